"""The same prompts and the same noise for every model: whoever draws, in whatever parts, killed or not."""

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.generate.generate import draw_samples
from rglcd_pipelines.evaluation.generate.samples import Samples
from rglcd_pipelines.evaluation.generate.settings import DrawConfig
from rglcd_pipelines.evaluation.generate.worker import DrawJob, DrawWorker
from rglcd_pipelines.training.finished import draw, load
from tests.evaluation.generate.gallery import TEACHER, TEXTS, Gallery, contents
from tests.killing import killed

CPU = torch.device("cpu")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def test_a_student_draws_what_diffusers_draws_with_it(gallery: Gallery, tmp_path: Path) -> None:
    samples = Samples(gallery.draw(tmp_path / "lcm"))
    assert samples.columns == {"1": Column(1, 1, "lcm"), "2": Column(2, 2, "lcm")}
    pipeline = load(gallery.student.path, CPU)
    for prompt, png in samples.pngs("2", "first"):
        own = draw(pipeline, [prompt.text], 2, 3.0, prompt.seed)[0]
        assert np.abs(pixels(png) - (own * 255).round().permute(1, 2, 0).numpy()).max() <= 1


def test_a_teacher_draws_what_diffusers_draws_with_it(gallery: Gallery, tmp_path: Path) -> None:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, StableDiffusionPipeline

    config = gallery.config()
    samples = Samples(gallery.draw(tmp_path / "teacher", gallery.teacher_drawer(config)))
    assert samples.columns["slow"] == Column(5, 10, "ddim")
    assert samples.columns["free"] == Column(2, 2, "ddim")
    pipeline: Any = StableDiffusionPipeline.from_pretrained(
        gallery.bench.teacher["id"], local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    own = pipeline.scheduler.config
    kinds = {
        "ddim": DDIMScheduler.from_config(own),
        "dpm": DPMSolverMultistepScheduler.from_config(own, algorithm_type="dpmsolver++"),
    }
    for name, way in TEACHER.items():
        pipeline.scheduler = kinds[str(way["sampler"])]
        for prompt, png in samples.pngs(name, "first"):
            made = pipeline(
                prompt.text,
                negative_prompt=way.get("negative_prompt"),
                num_inference_steps=way["steps"],
                guidance_scale=way["guidance_scale"],
                generator=torch.Generator().manual_seed(prompt.seed),
                output_type="np",
            )
            assert np.abs(pixels(png) - (made.images[0] * 255).round()).max() <= 1


def test_every_model_gets_the_same_prompts_and_noise(gallery: Gallery, tmp_path: Path) -> None:
    config = gallery.config()
    student = Samples(gallery.draw(tmp_path / "lcm"))
    teacher = Samples(gallery.draw(tmp_path / "teacher", gallery.teacher_drawer(config)))
    assert student.prompts("2") == teacher.prompts("slow")
    assert [prompt.text for prompt in student.prompts("2", "first")] == TEXTS
    assert [prompt.repeat for prompt in student.prompts("2", "second")] == [0, 1] * 3
    assert student.prompts("1", "second") == []  # the set names its columns
    assert len({prompt.seed for prompt in student.prompts("2")}) == len(TEXTS) + 6


def test_what_is_drawn_does_not_depend_on_who_draws_how_much(gallery: Gallery, tmp_path: Path) -> None:
    once = gallery.draw(tmp_path / "once" / "lcm")
    for lanes in (1, 3):
        assert contents(gallery.draw(tmp_path / str(lanes) / "lcm", lanes=lanes)) == contents(once)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_workers_draw_the_same_bytes(gallery: Gallery, tmp_path: Path, engine: str) -> None:
    one = gallery.draw(tmp_path / "one" / "lcm")
    two = gallery.draw(tmp_path / "two" / "lcm", workers=2, engine=engine)
    assert one.manifest["shards"] == two.manifest["shards"]


def test_what_is_there_is_not_drawn_again(gallery: Gallery, tmp_path: Path) -> None:
    first = gallery.draw(tmp_path / "lcm")
    assert not first.reused
    assert gallery.draw(tmp_path / "lcm").reused
    assert not gallery.draw(tmp_path / "lcm", omega=4.0).reused
    assert not list((tmp_path / "lcm").glob("*/0*.json"))  # what only a draft needs


def drawn(folder: str, place: Path) -> None:
    """Draws in a process that dies; the gallery is made from what the test has left in the folder."""
    from rglcd_pipelines.artifacts import open_artifact
    from rglcd_pipelines.evaluation.generate.models import StudentDrawer
    from rglcd_pipelines.evaluation.prompts.settings import PromptsConfig
    from tests.evaluation.generate.gallery import SETS

    torch.set_num_threads(1)
    told = {name: {**told, "path": f"{folder}/prompts.txt"} for name, told in SETS.items()}
    sets = check(PromptsConfig, {"sets": told}).sets
    asked = {"steps": [1, 2], "omega": 3.0, "teacher": TEACHER, "batch_size": 2, "shard_size": 3}
    config = check(DrawConfig, {**asked, "precision": "fp32", "progress": False, "lanes": 1})
    drawer = StudentDrawer.of(Path(folder) / "lcm", config)
    draw_samples(
        "lcm", drawer, open_artifact(Path(folder) / "prompts", "prompts"), sets, config, place / "lcm"
    )


@pytest.mark.slow
def test_a_killed_run_is_taken_up_where_it_was(gallery: Gallery, tmp_path: Path) -> None:
    whole = gallery.draw(tmp_path / "whole" / "lcm", lanes=1)
    work = "tests.evaluation.generate.test_generate:drawn"
    folder = str(gallery.folder)
    (tmp_path / "counted").mkdir()
    [(_, count)] = killed(work, [folder], [(tmp_path / "counted", 0)])
    jobs = [(tmp_path / str(part), int(count) * part // 4) for part in (1, 2, 3)]
    for place, _ in jobs:
        place.mkdir()
    assert [status for status, _ in killed(work, [folder], jobs)] == [-9, -9, -9]
    again = killed(work, [folder], [(place, 0) for place, _ in jobs])
    assert [status for status, _ in again] == [0, 0, 0]
    for place, _ in jobs:
        made = place / "lcm"
        assert {file.relative_to(made) for file in made.rglob("*")} == {
            file.relative_to(whole.path) for file in whole.path.rglob("*")
        }
        for file in whole.path.rglob("*.tar"):
            assert (made / file.relative_to(whole.path)).read_bytes() == file.read_bytes()


def test_a_column_that_nobody_draws_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.sets\.second\.steps: there is no column 'slow'; there"):
        gallery.draw(tmp_path / "lcm", teacher={"quick": TEACHER["fast"]})
    with pytest.raises(ConfigError, match=r"teacher\.2: a student's column has that name"):
        gallery.config(teacher={"2": TEACHER["fast"]})
    with pytest.raises(ConfigError, match="steps has 2 more than once"):
        gallery.config(steps=[2, 2])


def test_relative_places_are_made_absolute_for_the_workers(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of a cluster is started in another folder; here one goes to another folder."""
    init = DrawWorker.__init__

    def moved(self: DrawWorker, job: DrawJob, index: int) -> None:
        monkeypatch.chdir(tmp_path)
        init(self, job, index)

    monkeypatch.setattr(DrawWorker, "__init__", moved)
    monkeypatch.setattr(DrawWorker, "close", lambda _: os.chdir(gallery.folder))
    config = gallery.config()
    student, teacher = gallery.student_drawer(config), gallery.teacher_drawer(config)
    monkeypatch.chdir(gallery.folder)
    drawers = [
        (student, replace(student, folder=Path(os.path.relpath(student.folder)))),
        (
            teacher,
            replace(
                teacher,
                teacher=teacher.teacher.model_copy(update={"id": os.path.relpath(teacher.teacher.id)}),
                vae=teacher.vae.model_copy(update={"id": os.path.relpath(str(teacher.vae.id))}),
            ),
        ),
    ]
    for index, (whole, relative) in enumerate(drawers):
        assert relative.identity() == whole.identity()
        made = gallery.draw(Path("relative") / str(index), relative)
        assert {shard["name"] for shard in made.manifest["shards"]} == {
            file.relative_to(made.path).as_posix() for file in made.path.rglob("*.tar")
        }


def test_pictures_that_are_gone_or_damaged_are_told_by_name(gallery: Gallery, tmp_path: Path) -> None:
    made = gallery.draw(tmp_path / "lcm")
    opened = Samples(made)
    with pytest.raises(DataError, match=r"has no column 16; there is 1, 2"):
        opened.prompts("16")
    with pytest.raises(DataError, match=r"has no set third; there is first, second"):
        opened.prompts("2", "third")
    shard = made.path / "1" / "00000.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:1536])
    with pytest.raises(DataError, match=rf"{re.escape(str(shard))}: is damaged .* Remove its folder"):
        list(opened.pngs("1"))
    shard.unlink()
    with pytest.raises(DataError, match=rf"{re.escape(str(shard))}: cannot be read"):
        list(opened.pngs("1"))
