"""The teacher's answers: the same computed once as computed live, and after any interruption."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.training import trajectories
from rglcd_pipelines.training.batches import StepBatches
from rglcd_pipelines.training.objective import arrive
from rglcd_pipelines.training.settings import DrawsConfig, TrajectoriesConfig
from rglcd_pipelines.training.trajectories import (
    Answerer,
    Answers,
    make_trajectories,
)
from tests.data.make_latents import make_latents
from tests.diffusion.tiny_teachers import save_sd

DRAWS = DrawsConfig(seed=3, steps=7, batch_size=6)
CONFIG = TrajectoriesConfig(draws=DRAWS, precision="fp32", part=4)
ABOUT = {"source": "folder", "weights": "abc"}


@pytest.fixture(autouse=True)
def _short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "CHUNK", 3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    folder = save_sd(tmp_path_factory.mktemp("teacher"), "v_prediction")
    return load_teacher(TeacherConfig(source="folder", id=str(folder), latent_factor=2))


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_latents(tmp_path_factory.mktemp("latents") / "latents")


def test_kept_and_live_answers_are_the_same(latents: Artifact, teacher: Teacher, tmp_path: Path) -> None:
    made = make_trajectories(CONFIG, latents, lambda: teacher, ABOUT, tmp_path / "trajectories")
    assert sorted(made.manifest["files"]) == [f"early-{start:07d}.npy" for start in (0, 3, 6)]
    batches, live, kept = StepBatches(LatentReader(latents), DRAWS), Answerer(CONFIG, teacher), Answers(made)
    for step in range(7):
        assert np.array_equal(kept.early(step), live.arrive(batches.batch(step)).numpy())
    assert make_trajectories(CONFIG, latents, lambda: teacher, ABOUT, tmp_path / "trajectories").reused


def test_they_are_the_solvers(latents: Artifact, teacher: Teacher) -> None:
    batch = StepBatches(LatentReader(latents), DRAWS).batch(2)
    live = Answerer(CONFIG, teacher)
    expected = arrive(live.solver, teacher, batch, teacher.conditioner.say(batch.captions))
    torch.testing.assert_close(live.arrive(batch), expected, atol=1e-5, rtol=1e-4)


def test_killed_and_started_again(
    latents: Artifact, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_trajectories(CONFIG, latents, lambda: teacher, ABOUT, tmp_path / "whole")
    computed: list[int] = []
    arrive = Answerer.arrive

    def dies(self: Answerer, batch: Any) -> torch.Tensor:
        computed.append(1)
        if len(computed) == 5:
            raise KeyboardInterrupt
        return arrive(self, batch)

    monkeypatch.setattr(Answerer, "arrive", dies)
    with pytest.raises(KeyboardInterrupt):
        make_trajectories(CONFIG, latents, lambda: teacher, ABOUT, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()
    again = make_trajectories(CONFIG, latents, lambda: teacher, ABOUT, tmp_path / "killed")
    assert again.manifest == whole.manifest
    assert len(computed) == 5 + 4  # the first file of three steps was there


def test_a_batch_is_the_steps_and_ranks_share_it(latents: Artifact) -> None:
    batches = StepBatches(LatentReader(latents), DRAWS)
    later = batches.batch(6)
    first = batches.batch(0)  # in any order
    assert torch.equal(batches.batch(6).z0, later.z0)
    assert first.captions != later.captions
    halves = [batches.batch(6, slice(0, 3)), batches.batch(6, slice(3, 6))]
    assert torch.equal(torch.cat([half.z0 for half in halves]), later.z0)
    assert halves[0].captions + halves[1].captions == later.captions
    assert torch.equal(torch.cat([half.draws.noise for half in halves]), later.draws.noise)


def test_latents_are_scaled(latents: Artifact) -> None:
    reader = LatentReader(latents)
    batch = StepBatches(reader, DRAWS).batch(0)
    known = {sample.caption: sample.latent for sample in (reader[index] for index in range(len(reader)))}
    for row, caption in enumerate(batch.captions):
        expected = torch.from_numpy(known[caption].astype(np.float32)) * 0.18215
        torch.testing.assert_close(batch.z0[row], expected)


def test_more_steps_than_were_answered(latents: Artifact, teacher: Teacher, tmp_path: Path) -> None:
    kept = Answers(make_trajectories(CONFIG, latents, lambda: teacher, ABOUT, tmp_path / "trajectories"))
    with pytest.raises(DataError, match=r"answers for 7 steps, not for step 8\. Raise trajectories\.draws"):
        kept.early(7)
    (tmp_path / "trajectories" / "early-0000003.npy").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"early-0000003\.npy: the teacher's answers cannot be read"):
        kept.early(4)
    assert kept.early(2).shape == (6, 4, 8, 8)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="omega_min is 9, more than omega_max = 5"):
        check(DrawsConfig, {"steps": 1, "batch_size": 1, "omega_min": 9, "omega_max": 5})


def test_a_live_teacher_keeps_nothing_and_is_not_loaded(latents: Artifact, tmp_path: Path) -> None:
    def loaded() -> Teacher:
        raise AssertionError("nobody asked it")

    live = CONFIG.model_copy(update={"live": True})
    made = make_trajectories(live, latents, loaded, ABOUT, tmp_path / "live")
    assert [file.name for file in made.path.iterdir()] == ["manifest.json"]
    assert made.manifest["teacher"] == ABOUT


def test_answers_that_the_disk_cannot_hold_are_refused_at_once(latents: Artifact, tmp_path: Path) -> None:
    many = CONFIG.model_copy(update={"draws": DRAWS.model_copy(update={"steps": 10**12})})
    with pytest.raises(DataError, match=r"answers take .* GB, and the disk has .* Set trajectories"):
        make_trajectories(many, latents, lambda: pytest.fail("loaded"), ABOUT, tmp_path / "many")
