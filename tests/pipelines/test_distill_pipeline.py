"""`kedro run --pipeline=distill` on a fresh checkout, at its smallest, with the world's own models."""

import json

import pytest
from PIL import Image

from tests.pipelines.conftest import STEPS
from tests.project import Project

pytestmark = pytest.mark.slow


def test_distill_brings_all_that_is_missing_and_never_repeats_it(small: Project) -> None:
    done = small.run("kedro", "run", "--pipeline=distill")
    assert done.returncode == 0, done.stderr
    assert "data/08_reporting/base/students/hps.png: what the student draws in 1 and 2 steps" in done.stderr
    with Image.open(small.path / "data/08_reporting/base/students/hps.png") as sheet:
        assert sheet.width > 500
    student = small.path / "data/06_models/base/students/hps"
    told = json.loads((student / "manifest.json").read_text(encoding="utf-8"))
    assert told["variant"] == "hps"
    assert {"lcd", "reward", "gradient", "loss"} <= set(told["figures"])
    assert str(small.path) not in (student / "README.md").read_text(encoding="utf-8")

    tags = dict(small.mlflow("SELECT key, value FROM tags"))
    assert tags["mlflow.runName"] == tags["variant"] == tags["reward"] == "hps"
    assert (tags["beta"], tags["lrm"], tags["scale"]) == ("1", "none", "base")
    params = dict(small.mlflow("SELECT key, value FROM params"))
    assert params["distill.steps"] == str(STEPS)
    assert params["beta"] == "1"
    assert not [name for name in params if name.startswith(("variants", "rewards"))]
    steps = small.mlflow("SELECT step FROM metrics WHERE key = 'distill/student/reward' ORDER BY step")
    assert steps == [(2,), (4,)]
    assert list((small.path / "mlruns").rglob("*student*")), "no sheet was logged"

    again = small.run("kedro", "run", "--pipeline=distill")
    assert again.returncode == 0, again.stderr
    assert "the student is there already; nothing to do" in again.stderr
    repro = small.run("dvc", "repro", "distill-hps")
    assert repro.returncode == 0, repro.stderr
    assert "Running stage" not in repro.stdout

    other = small.run("kedro", "run", "--pipeline=distill", "--params=variant=lcm")
    assert other.returncode == 0, other.stderr
    assert "the answers are there already; nothing to do" in other.stderr
    assert json.loads((student / "manifest.json").read_text(encoding="utf-8")) == told
    assert (student.parent / "lcm" / "model_index.json").is_file()
    repro = small.run("dvc", "repro", "distill-lcm")
    assert "Running stage" not in repro.stdout
    trained = small.run("python", "-m", "rglcd_pipelines.training", "data/05_model_input/base/jobs/lcm.json")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.strip() == "data/06_models/base/students/lcm"


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (
            "variants.hps.beta=-1,variants.pick.beta=1e9",
            [
                "variants.hps.beta: should be greater than or equal to 0, not -1",
                "variants.pick.beta: should be less than or equal to 1000",
            ],
        ),
        ("variants.hps.reward=hp", ["variants.hps.reward: there is no reward 'hp'; did you mean hps?"]),
        ("distill.steps=999999", ["distill.steps is 999999, but the teacher answers"]),
        (
            "teacher.id=data/06_models/base/world/teachr",
            ["the nearest is data/06_models/base/world/teacher. Set teacher.id to one"],
        ),
        ("rewards.hps.id=data/06_models/base/world/hsp", ["Set rewards.hps.id to one"]),
    ],
)
def test_mistakes_are_refused_before_anything_runs(
    project: Project, parameters: str, told: list[str]
) -> None:
    run = project.run("kedro", "run", "--pipeline=distill", f"--params={parameters}")
    assert run.returncode == 1
    assert [words for words in told if words not in run.stderr] == []
    assert "Traceback" not in run.stdout + run.stderr
    assert not (project.path / "data/02_intermediate").exists()
