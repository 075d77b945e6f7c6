"""`kedro run --pipeline=world` at its smallest: made whole, killed and gone on with, never made twice."""

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.artifacts import digest_file
from tests.project import Project

pytestmark = pytest.mark.slow

FIT = {"steps": 4, "batch_size": 8, "lr": 1.0e-3, "warmup_steps": 2}
SMALLEST: dict[str, Any] = {
    "autoencoder": {"block_out_channels": [8, 16, 16], "fit": FIT},
    "clip": {
        "text": {"width": 32, "layers": 1},
        "image": {"width": 32, "layers": 1},
        "naming": FIT,
        "fit": FIT,
    },
    "judge": {"members": 1, "width": 8, "fit": FIT},
    "teacher": {
        "block_out_channels": [32, 32],
        "layers_per_block": 1,
        "renders": 64,
        "early": [2],
        "fit": FIT,
    },
    "preferences": {
        "pairs": 40,
        "held_out_pairs": 30,
        "early": {"captions": 4, "held_out_captions": 4, "variants": 2, "steps": 2},
    },
    "hps": {"fit": FIT},
    "pick": {"fit": FIT},
    "imgrwd": {
        "width": 32,
        "heads": 2,
        "vision_layers": 1,
        "text_layers": 1,
        "naming": FIT,
        "matching": FIT,
        "fit": FIT,
    },
    "sets": {"zero_shot_per_class": 1, "prompts_per_style": 10, "captions": 20, "reference": 20},
    "figures": {"renders": 32, "prompts": 8, "steps": 2},
}


@pytest.fixture
def small(project: Project) -> Project:
    """A project with two environments of the same smallest world."""
    for env in ("tiny", "twin"):
        project.set(f"{env}/parameters_world.yml", lambda content: content.update(world=SMALLEST))
    return project


def world(project: Project, env: str) -> Path:
    return project.path / "data/06_models" / env / "world"


def files(project: Project, env: str) -> dict[str, str]:
    return json.loads((world(project, env) / "manifest.json").read_text(encoding="utf-8"))["files"]


def run(project: Project, env: str) -> str:
    done = project.run("kedro", "run", "--pipeline=world", f"--env={env}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_the_recipe_from_end_to_end(small: Project) -> None:
    started = small.start("kedro", "run", "--pipeline=world", "--env=tiny")
    partial = small.path / "data/05_model_input/tiny/world/.partial"
    end = time.monotonic() + 300
    while not list(partial.glob("teacher-*")) and time.monotonic() < end:
        time.sleep(0.02)
    started.kill()
    started.wait()
    assert list(partial.glob("teacher-*")), "the recipe never got to its teacher"
    assert not world(small, "tiny").exists()

    run(small, "tiny")
    run(small, "twin")
    assert files(small, "tiny") == files(small, "twin")
    assert "| teacher_noun |" in (world(small, "tiny") / "README.md").read_text(encoding="utf-8")
    assert (small.path / "data/08_reporting/tiny/world.png").stat().st_size > 10_000
    check_mlflow(small)

    # The world stands by itself: nothing is made again, even where the parts are gone.
    shutil.rmtree(small.path / "data/05_model_input/tiny")
    assert "the world is there already; nothing to do" in run(small, "tiny")
    assert not (small.path / "data/05_model_input/tiny").exists()

    # Where they are there, a damaged file is put back from them.
    damaged = world(small, "twin") / "clip/model.safetensors"
    damaged.write_bytes(b"damaged")
    assert "putting the world together" in run(small, "twin")
    assert digest_file(damaged) == files(small, "twin")["clip/model.safetensors"]


def check_mlflow(project: Project) -> None:
    with sqlite3.connect(project.path / "mlflow.db") as database:
        metrics = {key for (key,) in database.execute("SELECT DISTINCT key FROM metrics")}
        parameters = {key for (key,) in database.execute("SELECT DISTINCT key FROM params")}
    assert {
        "world/autoencoder/loss",
        "world/teacher/loss",
        "world/hps/right",
        "world/teacher_noun",
    } <= metrics
    assert {"world.teacher.fit.steps", "world.resolution"} <= parameters
