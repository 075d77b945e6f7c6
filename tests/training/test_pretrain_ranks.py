"""Several processes pretrain one tower; and the command that does it without Kedro."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import open_artifact
from rglcd_pipelines.latent_reward.folder import WEIGHTS
from rglcd_pipelines.training.launch import run
from rglcd_pipelines.training.pretrain import pretrain
from tests.training.make_pretrain import RESNET, STEPS, VIT, Pretraining
from tests.training.test_distill import losses

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
WITHOUT = """
import sys, runpy
for name in ("kedro", "mlflow", "dvc", "great_expectations"):
    sys.modules[name] = None  # importing them fails
sys.argv = ["training", sys.argv[1]]
runpy.run_module("rglcd_pipelines.training", run_name="__main__")
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    return Pretraining(tmp_path_factory.mktemp("pretraining"))


@pytest.fixture(autouse=True)
def _quiet_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_two_processes_have_the_losses_of_one(bench: Pretraining, tmp_path: Path) -> None:
    one = losses(pretrain(bench.job(tmp_path / "one", VIT, other_captions=5)).path)
    told: list[int] = []
    with curves.listening(lambda _, step, _figures: told.append(step)):
        made = run(bench.job(tmp_path / "two", VIT, other_captions=5, processes=2))
    two = losses(made.path)
    for each, other in zip(one, two, strict=True):
        for name in ("contrastive", "right", "gradient", "scale", "lr"):
            assert other[name] == pytest.approx(each[name], rel=1e-4)
    assert told == [2, 4, 6]  # what the first process tells arrives here
    assert run(bench.job(tmp_path / "two", VIT, other_captions=5, processes=2)).reused
    # How many processes there are is no setting of the model.
    assert run(bench.job(tmp_path / "two", VIT, other_captions=5)).reused


@pytest.mark.parametrize("processes", [1, 2])
def test_the_command_needs_no_kedro(bench: Pretraining, tmp_path: Path, processes: int) -> None:
    job = bench.job(tmp_path / "lrm", RESNET)
    job.write(tmp_path / "lrm.json")
    script = tmp_path / "without.py"
    script.write_text(WITHOUT)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(script), str(tmp_path / "lrm.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(str(tmp_path / "lrm"))
    assert len(losses(tmp_path / "lrm")) == STEPS
    assert WEIGHTS in open_artifact(tmp_path / "lrm", "lrm").manifest["files"]


def test_the_command_does_what_the_call_does(bench: Pretraining, tmp_path: Path) -> None:
    bench.job(tmp_path / "lrm").write(tmp_path / "lrm.json")
    command = [sys.executable, "-m", "rglcd_pipelines.training", str(tmp_path / "lrm.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'lrm'}\n"
    called = pretrain(bench.job(tmp_path / "called"))
    assert open_artifact(tmp_path / "lrm", "lrm").manifest["files"] == called.manifest["files"]
    (tmp_path / "lrm.json").write_text("{}")
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert "Traceback" not in wrong.stderr
