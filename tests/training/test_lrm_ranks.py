"""Several processes, and real ones that are killed, train a student and its latent reward model."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rglcd_pipelines.artifacts import digest_files
from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.latent_reward.folder import WEIGHTS
from rglcd_pipelines.training.card import LATENT_REWARD
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.launch import run
from tests.training.make_job import Bench, towards
from tests.training.test_distill import losses
from tests.training.test_ranks import started, started_again

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_children")]

CLOSE = ("lcd", "reward", "matching", "agreement", "correlation", "gap", "expert", "matching_gradient")


@pytest.fixture
def quiet_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def kept(folder: Path) -> np.ndarray:
    """What is known of the real images."""
    (file,) = (folder / "real_rewards").glob("*.f32")
    return np.fromfile(file, np.float32)


def two(bench: Bench, folder: Path, died: Path, **settings: Any) -> Job:
    """Of two processes, of which one dies unless there is a file that says it has."""
    job = bench.job(folder / "student", "bright_lrm", processes=2, **settings)
    options = {"after": 8, "once": str(died)}
    return towards(job, {"kind": "tests.training.bad_reward:Deadly", "options": options})


def test_two_processes_have_the_figures_of_one(bench: Bench, tmp_path: Path) -> None:
    """A sample of each step each: sums in another order, so equal to some 1e-5 at first."""
    one = distill(bench.job(tmp_path / "one" / "student", "bright_lrm"))
    other = run(bench.job(tmp_path / "two" / "student", "bright_lrm", processes=2))
    ours, theirs = losses(other.path), losses(one.path)
    assert ours[0] == pytest.approx(theirs[0], rel=2e-5)
    for each, expected in zip(ours, theirs, strict=True):
        for name in CLOSE:
            assert each[name] == pytest.approx(expected[name], rel=2e-3), name
    np.testing.assert_allclose(kept(tmp_path / "two"), kept(tmp_path / "one"), rtol=1e-5)
    for name, value in one.manifest["figures"].items():
        assert other.manifest["figures"][name] == pytest.approx(value, abs=0.02), name


def test_a_dying_process_and_the_same_command_to_the_bit(bench: Bench, tmp_path: Path) -> None:
    """Both optimizers go on from where they were, in both processes."""
    (tmp_path / "died").touch()
    whole = run(two(bench, tmp_path / "whole", tmp_path / "died"))
    job = two(bench, tmp_path / "broken", tmp_path / "broken" / "died")
    with pytest.raises(RglcdError, match=r"process 1 of 2 ended with exit code 9.* The same command goes on"):
        run(job)
    assert not Path(job.place).exists()
    saved = sorted((tmp_path / "broken" / ".partial").glob("scratch-*/checkpoints/step-*"))
    assert [place.name for place in saved] == ["step-0000002", "step-0000004"]
    again = run(job)
    assert (again.path / "losses.csv").read_bytes() == (whole.path / "losses.csv").read_bytes()
    assert again.manifest["files"] == whole.manifest["files"]


def test_kill_9_at_some_step_to_the_bit(bench: Bench, tmp_path: Path) -> None:
    def job(name: str) -> Job:
        plain = bench.job(tmp_path / name / "student", "bright_lrm", report_every=1)
        return towards(plain, {"kind": "tests.training.bad_reward:Slow", "options": {"seconds": 0.05}})

    process = started(job("killed"), tmp_path / "killed")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "student").exists()
    again = started_again(job("killed"), tmp_path / "killed")
    whole = started_again(job("whole"), tmp_path / "whole")
    assert (again / LATENT_REWARD / WEIGHTS).is_file()
    assert digest_files(again) == digest_files(whole)
