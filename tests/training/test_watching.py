"""A student that is watched: what is told, what is kept, and that nothing else changes."""

import csv
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact, digest_file
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.training.card import LATENT_REWARD
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.export import LORA, OMEGA
from rglcd_pipelines.training.launch import run
from rglcd_pipelines.training.step import StepSupply
from rglcd_pipelines.training.watch_look import Examiner
from rglcd_pipelines.training.watch_rule import Look
from tests.training.make_job import STEPS, Bench
from tests.training.test_distill import WEIGHTS, Killed, dies_at, losses
from tests.training.watched import watched

pytestmark = pytest.mark.usefixtures("one_thread")

SEEN = ["high_frequency", "spectral_slope", "saturation", "contrast", "reconstruction", "pixel_diversity"]


def looks(place: Path) -> list[dict[str, float]]:
    with (place / "watch.csv").open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.usefixtures("few_fresh")
@pytest.mark.parametrize("variant", ["lcm", "bright", "bright_lrm", "frozen"])
def test_a_watched_student_is_the_same_student(bench: Bench, tmp_path: Path, variant: str) -> None:
    plain = distill(bench.job(tmp_path / "plain", variant))
    told: dict[int, dict[str, float]] = {}
    with curves.listening(
        lambda name, step, said: told.update({step: dict(said)} if name == "watch" else {})
    ):
        seen = distill(watched(bench.job(tmp_path / "seen", variant)))
    for file in (
        "losses.csv",
        WEIGHTS,
        *([f"{LATENT_REWARD}/open_clip_model.safetensors"] * (variant == "bright_lrm")),
    ):
        assert (seen.path / file).read_bytes() == (plain.path / file).read_bytes()
    assert seen.manifest["made_from"] == plain.manifest["made_from"]
    assert not (plain.path / "watch.csv").exists()
    rows = looks(seen.path)
    assert [row["step"] for row in rows] == [2, 4, 6]
    followed = {
        "bright": ["brightness"],
        "bright_lrm": ["brightness", "latent_reward"],
        "frozen": ["lrm"],
    }.get(variant, [])
    proxy = ["proxy"] * bool(followed)
    robust = ["proxy_jpeg_drop", "proxy_shift_drop"] if "brightness" in followed else []
    judges = [name for name in ("brightness", "warmth", "dark") if name not in followed]
    expected = [*proxy, *followed, *robust, *SEEN, *judges, "held_out"]
    assert {name for name in rows[0] if not name.endswith("_error")} == {"step", *expected}
    for row in rows:
        assert told[int(row["step"])] == pytest.approx(
            {name: row[name] for name in row if name != "step"}, rel=1e-8
        )
    assert rows[0]["held_out"] == pytest.approx(0, abs=1e-9)
    assert distill(watched(bench.job(tmp_path / "plain", variant))).reused


def test_figures_are_those_of_what_is_drawn(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look, once more through diffusers' own pipeline with the noise of its prompts."""
    from rglcd_pipelines.measures.diversity import pixel_diversity
    from rglcd_pipelines.measures.spectrum import high_frequency
    from rglcd_pipelines.training.finished import draw

    monkeypatch.setattr("rglcd_pipelines.training.watch_look.step_seed", lambda seed, row: seed + row)
    prompts: list[str] = []
    look = Examiner.look

    def noted(self: Examiner, step: int) -> Any:
        prompts[:] = self.prompts
        return look(self, step)

    monkeypatch.setattr(Examiner, "look", noted)
    job = watched(bench.job(tmp_path / "bright", "bright"), steps=4, seed=11, repeated=2, repeats=3)
    made = distill(job)
    from diffusers import LatentConsistencyModelPipeline

    pipeline: Any = LatentConsistencyModelPipeline.from_pretrained(made.path)
    pipeline.set_progress_bar_config(disable=True)
    again = [prompts[0], prompts[0], prompts[1], prompts[1]]
    drawn = draw(pipeline, [*prompts, *again], 4, job.settings.samples.omega, 11)
    images = drawn[:6]
    last = looks(made.path)[-1]
    assert last["brightness"] == last["proxy"] == pytest.approx(float(images.mean()), abs=1e-5)
    assert last["dark"] == pytest.approx(-float(images.mean()), abs=1e-5)
    assert last["high_frequency"] == pytest.approx(float(high_frequency(images).mean()), rel=1e-3)
    repeated = torch.stack([drawn[[0, 6, 7]], drawn[[1, 8, 9]]])
    assert last["pixel_diversity"] == pytest.approx(float(pixel_diversity(repeated).mean()), rel=1e-3)
    each = images.mean((1, 2, 3))
    assert last["proxy_error"] == pytest.approx(float(each.std()) / len(each) ** 0.5, rel=1e-3)


def test_diversity_is_not_asked_for(bench: Bench, tmp_path: Path) -> None:
    made = distill(watched(bench.job(tmp_path / "lcm"), every=100, repeated=0))
    assert "pixel_diversity" not in looks(made.path)[-1]


def test_prompts_are_none_that_it_learns_from(bench: Bench, tmp_path: Path) -> None:
    """Without a file they are the captions of the steps after the last one."""
    from rglcd_pipelines.data.latents.reader import LatentReader
    from rglcd_pipelines.training.batches import StepBatches

    job = bench.job(tmp_path / "lcm")
    batches = StepBatches(LatentReader(bench.latents), job.asked.draws)
    after = [*batches.batch(STEPS).captions, *batches.batch(STEPS + 1).captions]
    found: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        look = Examiner.look
        patch.setattr(Examiner, "look", lambda self, step: (found.extend(self.prompts), look(self, step))[1])
        distill(watched(job, every=100))
    assert found == after[:6]


@pytest.mark.parametrize("at", [1, 3, 5])
def test_killed_and_started_again_it_sees_the_same(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Checkpoints lie elsewhere than looks, so that some are looked at twice."""
    settings: dict[str, Any] = {"checkpoints": {"every": 3}}
    whole = distill(watched(bench.job(tmp_path / "whole", "bright", **settings)))
    job = watched(bench.job(tmp_path / "killed", "bright", **settings))
    with monkeypatch.context() as patch:
        patch.setattr(StepSupply, "take", dies_at(at))
        with pytest.raises(Killed):
            distill(job)
    again = distill(job)
    assert (again.path / "watch.csv").read_bytes() == (whole.path / "watch.csv").read_bytes()
    assert files(again) == files(whole)


def files(made: Artifact) -> dict[str, str]:
    return {name: digest for name, digest in made.manifest["files"].items() if name != "README.md"}


def test_looks_of_other_settings_are_no_part_of_the_course(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job(tmp_path / "student", "bright")
    with monkeypatch.context() as patch:
        patch.setattr(StepSupply, "take", dies_at(5))
        with pytest.raises(Killed):
            distill(watched(job, seed=1))
    fresh = looks(distill(watched(bench.job(tmp_path / "fresh", "bright"))).path)
    rows = looks(distill(watched(job)).path)
    assert [row["step"] for row in rows] == [4, 6]  # at the checkpoint it looks again
    for row, other in zip(rows, fresh[1:], strict=True):
        assert row["proxy"] == other["proxy"]
        assert row["held_out"] != other["held_out"]  # which counts from the first look


def test_a_look_that_went_wrong_is_made_up_for(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = distill(watched(bench.job(tmp_path / "whole", "bright")))
    job = watched(bench.job(tmp_path / "student", "bright"))
    look = Examiner.look

    def fails(self: Examiner, step: int) -> Any:
        if step == 4:
            raise ConfigError("the judge is out")
        return look(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Examiner, "look", fails)
        with pytest.raises(ConfigError, match="the judge is out"):
            distill(job)
    saved = sorted((tmp_path / ".partial").glob("scratch-student*/checkpoints/step-*"))
    assert saved[-1].name == "step-0000004"
    assert files(distill(job)) == files(whole)


def test_an_lcm_is_told_beside(bench: Bench, tmp_path: Path) -> None:
    lcm = distill(watched(bench.job(tmp_path / "lcm")))
    told: list[tuple[int, dict[str, float]]] = []

    def listen(name: str, step: int, figures: Any) -> None:
        if name == "watch":
            told.append((step, dict(figures)))

    with curves.listening(listen):
        distill(watched(bench.job(tmp_path / "bright", "bright")))
        for _ in range(2):
            shutil.rmtree(tmp_path / "bright")
            (lcm.path / "watch.csv").write_text('step,"half')
            distill(watched(bench.job(tmp_path / "bright", "bright")))
            (lcm.path / "watch.csv").unlink()
    beside = [(step, said) for step, said in told if any(name.startswith("lcm/") for name in said)]
    last = looks_told = beside[0][1]
    assert [step for step, _ in beside] == [2]
    assert looks_told["lcm/proxy"] == last["lcm/brightness"]
    assert {"lcm/warmth", "lcm/dark", *(f"lcm/{name}" for name in SEEN)} <= set(last)


def test_an_lcm_that_drew_other_pictures_is_not_told_beside(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lcm = distill(watched(bench.job(tmp_path / "lcm"), prompts=4))
    told: list[str] = []
    with curves.listening(lambda _, __, figures: told.extend(figures)):
        distill(watched(bench.job(tmp_path / "bright", "bright")))
    assert "proxy" in told
    assert not [name for name in told if name.startswith("lcm/")]
    assert caplog.text.count(f"{lcm.path}: its looks are at other pictures than these") == 1


def test_how_often_one_prompt_is_drawn_is_no_part_of_the_course(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on with another setting keeps its looks; what they did not measure stays empty."""
    settings: dict[str, Any] = {"checkpoints": {"every": 2}}
    whole = distill(watched(bench.job(tmp_path / "whole", "bright", **settings), repeated=0))
    job = bench.job(tmp_path / "killed", "bright", **settings)
    with monkeypatch.context() as patch:
        patch.setattr(StepSupply, "take", dies_at(3))
        with pytest.raises(Killed):
            distill(watched(job, repeated=0))
    again = distill(watched(job, repeated=2))
    with (again.path / "watch.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = looks(whole.path)
    assert [row["step"] for row in rows] == [f"{look['step']:g}" for look in expected]
    assert [bool(row["pixel_diversity"]) for row in rows] == [False, True, True]
    assert [float(row["proxy"]) for row in rows] == [look["proxy"] for look in expected]


def test_sheets_are_kept(bench: Bench, tmp_path: Path) -> None:
    seen: dict[int, Image.Image] = {}
    samples = {"every": 4, "prompts": ["a cat"], "steps": [1]}
    with curves.listening(lambda *_: None, lambda _, step, picture: seen.update({step: picture})):
        made = distill(bench.job(tmp_path / "lcm", samples=samples))
    kept = sorted((made.path / "progress").iterdir())
    assert [file.name for file in kept] == ["0000004.png", "0000006.png"]
    for file, picture in zip(kept, seen.values(), strict=True):
        with Image.open(file) as image:
            assert image.tobytes() == picture.tobytes()


STOP = {"patience": 1, "tolerance": 0.5}


def brighter(bench: Bench, place: Path, variant: str = "bright", **settings: Any) -> Any:
    """It follows brightness fast, and is judged by darkness."""
    settings = {"optimizer": {"lr": 1e-2}, "weights": "online", **settings}
    job = bench.job(place, variant, chosen={"beta": 50.0}, **settings)
    return watched(job, stop=STOP, rewards=["dark"])


def hacked(_: Examiner, step: int) -> Look:
    """As a student would look that goes too far from the beginning."""
    return Look(step, {"proxy": float(step)}, [float(step)] * 4, {"dark": [1.0, 2.1, 2.9, 4.0 - step]})


@pytest.mark.usefixtures("few_fresh")
@pytest.mark.parametrize("variant", ["bright", "bright_lrm"])
def test_it_ends_and_keeps_the_best(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    if variant == "bright_lrm":  # a model that nobody trained leads nowhere
        monkeypatch.setattr(Examiner, "look", hacked)
    job = brighter(bench, tmp_path / "student", variant)
    made = distill(job)
    rows = looks(made.path)
    assert [row["step"] for row in rows] == [2, 4]
    assert rows[1]["proxy"] > rows[0]["proxy"]
    assert rows[0]["held_out"] == pytest.approx(0, abs=1e-9)
    assert rows[1]["held_out"] < -0.01
    told = made.manifest["watch"]
    assert (told["ended_at"], told["weights_of_step"]) == (4, 2)
    assert "rose from" in told["why"]
    assert made.metrics["ended_at"] == 4
    assert made.metrics["weights_of_step"] == 2
    card = " ".join((made.path / "README.md").read_text(encoding="utf-8").split())
    assert f"| kept | as it was after step 2, for it went too far: {told['why']} |" in card
    assert [file.name for file in (made.path / "progress").iterdir()] == ["0000004.png"]
    assert len(losses(made.path)) == 4
    # It is the student of a training of two steps, and so is the model that it followed.
    short = distill(
        bench.job(
            tmp_path / "short",
            variant,
            chosen={"beta": 50.0},
            optimizer={"lr": 1e-2},
            weights="online",
            steps=2,
        )
    )
    assert digest_file(made.path / WEIGHTS) == digest_file(short.path / WEIGHTS)
    if variant == "bright_lrm":
        name = f"{LATENT_REWARD}/open_clip_model.safetensors"
        assert digest_file(made.path / name) == digest_file(short.path / name)
    assert distill(job).reused


def test_a_student_by_lora_ends_too(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Examiner, "look", hacked)
    settings: dict[str, Any] = {"lora": {"rank": 2, "alpha": 2.0}}
    made = distill(brighter(bench, tmp_path / "student", **settings))
    assert made.manifest["watch"]["weights_of_step"] == 2
    settings |= {"optimizer": {"lr": 1e-2}, "weights": "online", "steps": 2}
    short = distill(bench.job(tmp_path / "short", "bright", chosen={"beta": 50.0}, **settings))
    for name in (LORA, OMEGA):
        assert digest_file(made.path / name) == digest_file(short.path / name)


@pytest.mark.parametrize("every", [2, 3, 4, 100])
@pytest.mark.parametrize("dies", ["before", "after"])
def test_the_end_is_the_same_after_a_kill(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, dies: str
) -> None:
    settings: dict[str, Any] = {"checkpoints": {"every": every}}
    whole = distill(brighter(bench, tmp_path / "whole", **settings))
    job = brighter(bench, tmp_path / "killed", **settings)
    with monkeypatch.context() as patch:
        if dies == "before":
            patch.setattr(StepSupply, "take", dies_at(3))
        else:
            patch.setattr("rglcd_pipelines.training.distill.export", killed)
        with pytest.raises(Killed):
            distill(job)
    again = distill(job)
    assert files(again) == files(whole)
    assert again.manifest["watch"] == whole.manifest["watch"]
    assert again.manifest["figures"] == whole.manifest["figures"]


def killed(*_: Any) -> None:
    raise Killed


def test_what_may_end_it_is_part_of_what_it_is(bench: Bench, tmp_path: Path) -> None:
    from rglcd_pipelines.training.distill import made_from

    job = bench.job(tmp_path / "student", "bright")
    plain = made_from(job)
    assert made_from(watched(job)) == plain
    stops = made_from(watched(job, stop=STOP))
    assert stops != plain
    others: list[dict[str, Any]] = [
        {"seed": 5},
        {"every": 3},
        {"prompts": 5},
        {"steps": 3},
        {"rewards": ["dark"]},
    ]
    assert all(made_from(watched(job, stop=STOP, **other)) != stops for other in others)
    assert made_from(watched(job, stop={**STOP, "patience": 2})) != stops
    assert made_from(watched(job, stop=STOP, keep=False, reference="elsewhere")) == stops
    lcm = bench.job(tmp_path / "lcm")
    assert made_from(watched(lcm, stop=STOP)) == made_from(lcm)  # it follows nothing, so nothing can end it


def test_a_watch_that_cannot_be(bench: Bench, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "student", "bright")
    for change, words in [
        ({"rewards": ["warmht"]}, "distill.watch.rewards: there is no reward 'warmht'; did you mean warmth"),
        ({"rewards": ["lrm"]}, "distill.watch.rewards: lrm looks at latents"),
        ({"rewards": ["brightness"], "stop": STOP}, "follows all of them"),
    ]:
        with pytest.raises(ConfigError, match=words):
            distill(watched(job, **change))


def test_models_need_not_stay(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rglcd_pipelines.training import held_out

    loaded: list[str] = []
    load = held_out.load_reward
    monkeypatch.setattr(
        held_out, "load_reward", lambda name, *rest: (loaded.append(name), load(name, *rest))[1]
    )
    stay = distill(watched(bench.job(tmp_path / "stay", "bright")))
    assert loaded == ["warmth", "dark"]
    go = distill(watched(bench.job(tmp_path / "go", "bright"), keep=False))
    assert loaded[2:] == ["warmth", "dark"] * 3
    assert files(stay) == files(go)


@pytest.mark.slow
def test_two_processes_end_together(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    told: list[int] = []
    with curves.listening(lambda name, step, _: told.append(step) if name == "watch" else None):
        made = run(brighter(bench, tmp_path / "two", processes=2))
    assert [row["step"] for row in looks(made.path)] == told == [2, 4]
    assert len(losses(made.path)) == 4
    assert made.manifest["watch"]["weights_of_step"] == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu(bench: Bench, tmp_path: Path) -> None:
    plain = distill(bench.job(tmp_path / "plain", "bright", deterministic=True))
    seen = distill(watched(bench.job(tmp_path / "seen", "bright", deterministic=True)))
    assert (seen.path / "losses.csv").read_bytes() == (plain.path / "losses.csv").read_bytes()
    assert len(looks(seen.path)) == 3
