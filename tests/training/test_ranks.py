"""Several processes train one student: the losses of one, and what happens when one of them dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.launch import run
from rglcd_pipelines.training.ranks import Ranks, _buckets
from tests.training.make_job import BATCH, STEPS, Bench
from tests.training.test_distill import WEIGHTS, losses


@pytest.fixture(autouse=True)
def _quiet_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def test_ranks_share_a_batch_without_gaps() -> None:
    cpu = torch.device("cpu")
    shares = [Ranks(rank, 3, cpu).share(12) for rank in range(3)]
    assert [list(range(12))[share] for share in shares] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert Ranks(0, 1, cpu).any(True)
    assert not Ranks(0, 1, cpu).any(False)


def test_gradients_travel_in_buckets_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rglcd_pipelines.training.ranks.BUCKET", 40)
    tensors = [torch.zeros(n) for n in (4, 5, 3, 100, 1)]
    assert [[len(tensor) for tensor in bucket] for bucket in _buckets(tensors)] == [[4, 5], [3], [100], [1]]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(bench: Bench, tmp_path: Path) -> None:
    """The same batch, half of it each: sums in another order, so equal to some 1e-5 at first."""
    one = distill(bench.job(tmp_path / "one", "bright"))
    told: list[int] = []
    seen: list[int] = []
    with curves.listening(
        lambda _, step, _figures: told.append(step), lambda _, step, _picture: seen.append(step)
    ):
        two = run(bench.job(tmp_path / "two", "bright", processes=2))
    ours, theirs = losses(one.path), losses(two.path)
    assert ours[0] == pytest.approx(theirs[0], rel=2e-5)
    for each, other in zip(ours, theirs, strict=True):
        assert each["lcd"] == pytest.approx(other["lcd"], rel=2e-3)
        assert each["reward"] == pytest.approx(other["reward"], rel=1e-4)
    assert told == [2, 4, 6]  # what the first process tells arrives here
    assert seen == [STEPS]
    assert run(bench.job(tmp_path / "two", "bright", processes=2)).reused
    # How many processes there are is no setting of the student.
    assert run(bench.job(tmp_path / "two", "bright")).reused


@pytest.mark.slow
def test_a_dying_process_fails_the_run_and_the_same_command_goes_on(bench: Bench, tmp_path: Path) -> None:
    plain = bench.job(tmp_path / "student", "bright", processes=2)
    options = {"after": 3, "once": str(tmp_path / "died")}
    reward = {"kind": "tests.training.bad_reward:Deadly", "options": options}
    job = Job.model_validate(plain.model_dump() | {"rewards": {"brightness": reward}})
    with pytest.raises(RglcdError, match=r"process 1 of 2 ended with exit code 9.* The same command goes on"):
        run(job)
    assert not (tmp_path / "student").exists()
    saved = sorted((tmp_path / ".partial").glob("scratch-*/checkpoints/step-*"))
    assert saved[-1].name == "step-0000002"
    again = losses(run(job).path)
    for each, other in zip(again, losses(distill(bench.job(tmp_path / "one", "bright")).path), strict=True):
        assert each["lcd"] == pytest.approx(other["lcd"], rel=2e-3)


@pytest.mark.slow
def test_torchrun_trains_without_kedro(bench: Bench, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "student")
    job.write(tmp_path / "resolved.json")
    refuse = (
        "import sys, runpy\n"
        "for name in ('kedro', 'mlflow', 'dvc', 'great_expectations'):\n"
        "    sys.modules[name] = None\n"  # importing them fails
        "sys.argv = ['training', sys.argv[1]]\n"
        "runpy.run_module('rglcd_pipelines.training', run_name='__main__')\n"
    )
    script = tmp_path / "without.py"
    script.write_text(refuse)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(script), str(tmp_path / "resolved.json")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(str(tmp_path / "student"))
    assert len(losses(tmp_path / "student")) == STEPS


def started(job: Job, folder: Path) -> "subprocess.Popen[bytes]":
    """The job as a command of its own, after its second step."""
    job.write(folder / "resolved.json")
    command = [sys.executable, "-m", "rglcd_pipelines.training", str(folder / "resolved.json")]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while not any(len(file.read_text().splitlines()) > 2 for file in folder.glob(".partial/*/losses.csv")):
        assert time.monotonic() < end, "it never got to its second step"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def slowly(job: Job) -> Job:
    """With a reward that takes its time."""
    slow = {"kind": "tests.training.bad_reward:Slow", "options": {"seconds": 0.2}}
    return Job.model_validate(job.model_dump() | {"rewards": {"brightness": slow}})


@pytest.mark.slow
def test_kill_9_at_some_step_to_the_bit(bench: Bench, tmp_path: Path) -> None:
    job = slowly(bench.job(tmp_path / "student", "bright", report_every=1))
    process = started(job, tmp_path)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "student").exists()
    again = started_again(job, tmp_path)
    whole = started_again(job.model_copy(update={"place": str(tmp_path / "whole")}), tmp_path)
    assert (again / "losses.csv").read_bytes() == (whole / "losses.csv").read_bytes()
    assert digest_file(again / WEIGHTS) == digest_file(whole / WEIGHTS)


def started_again(job: Job, folder: Path) -> Path:
    """The same command, left alone."""
    job.write(folder / "resolved.json")
    command = [sys.executable, "-m", "rglcd_pipelines.training", str(folder / "resolved.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_of_the_command(bench: Bench, tmp_path: Path, processes: int) -> None:
    """A stopped run saves, says no success, and goes on (to the bit: see test_distill.py)."""
    settings = {"processes": processes, "checkpoints": {"every": 1000}, "report_every": 1}
    job = slowly(bench.job(tmp_path / "student", "bright", **settings))
    process = started(job, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) not in (0, None)
    assert not (tmp_path / "student").exists()
    saved = sorted((tmp_path / ".partial").glob("scratch-*/checkpoints/step-*"))
    assert saved, "no checkpoint was saved"
    again = losses(run(job).path)
    for each, other in zip(again, losses(distill(bench.job(tmp_path / "one", "bright")).path), strict=True):
        assert each["lcd"] == pytest.approx(other["lcd"], rel=2e-3)


def test_a_batch_that_processes_cannot_share(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(RglcdError, match=rf"{BATCH} samples a step cannot be shared by 3 processes"):
        run(bench.job(tmp_path / "student", processes=3))
