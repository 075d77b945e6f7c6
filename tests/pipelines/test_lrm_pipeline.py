"""`kedro run --pipeline=lrm`, and students through it, on a fresh checkout at the smallest size."""

import json

import pytest
from PIL import Image

from tests.project import Project

pytestmark = pytest.mark.slow


def test_the_model_is_pretrained_checked_and_shown(small: Project) -> None:
    done = small.run("kedro", "run", "--pipeline=lrm")
    assert done.returncode == 0, done.stderr
    assert "of 960 latents is found" in done.stderr
    model = small.path / "data/06_models/base/lrm"
    assert {"open_clip_config.json", "open_clip_model.safetensors", "losses.csv"} <= {
        file.name for file in model.iterdir()
    }
    with Image.open(small.path / "data/08_reporting/base/zero_shot.png") as sheet:
        assert sheet.width > 1000
    figures = dict(small.mlflow("SELECT key, value FROM metrics"))
    assert figures["zero_shot/samples"] == 960
    assert 0 <= figures["zero_shot/top1"] <= figures["zero_shot/top5"] <= 1
    assert {"lrm/lrm/contrastive", "lrm/contrastive", "lrm/lrm/right"} <= set(figures)

    tags = dict(small.mlflow("SELECT key, value FROM tags"))
    assert (tags["mlflow.runName"], tags["scale"]) == ("lrm", "base")

    again = small.run("kedro", "run", "--pipeline=lrm")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing to do") == 7
    assert "Data and pipelines are up to date." in small.run("dvc", "status", "--with-deps", "lrm").stdout

    small.set("base/parameters_lrm.yml", lambda content: content["lrm"]["zero_shot"].update(floor=0.9))
    below = small.run("kedro", "run", "--pipeline=lrm")
    assert below.returncode == 1
    assert "less than lrm.zero_shot.floor = 90.0%" in below.stderr
    assert "Traceback" not in below.stderr


def test_a_student_through_the_model_brings_it_and_others_do_not(small: Project) -> None:
    plain = small.run("kedro", "run", "--pipeline=distill", "--params=variant=lcm")
    assert plain.returncode == 0, plain.stderr
    assert not (small.path / "data/06_models/base/lrm").exists()

    done = small.run("kedro", "run", "--pipeline=distill", "--params=variant=hps_lrm")
    assert done.returncode == 0, done.stderr
    student = small.path / "data/06_models/base/students/hps_lrm"
    told = json.loads((student / "manifest.json").read_text(encoding="utf-8"))
    assert {"matching", "agreement_before", "agreement_after"} <= set(told["figures"])
    assert "through | a latent reward model" in (student / "README.md").read_text(encoding="utf-8")
    assert (student / "latent_reward/open_clip_model.safetensors").is_file()
    tags = small.mlflow("SELECT value FROM tags WHERE key = 'lrm' ORDER BY value")
    assert tags == [("matched",), ("none",)]
    curves = {name for (name,) in small.mlflow("SELECT DISTINCT key FROM metrics")}
    assert {"distill/student/agreement", "distill/student/gap", "distill/student/expert_2_steps"} <= curves

    frozen = small.run("kedro", "run", "--pipeline=distill", "--params=variant=lrm")
    assert frozen.returncode == 0, frozen.stderr
    assert (small.path / "data/06_models/base/students/lrm/manifest.json").is_file()
    status = small.run("dvc", "status", "--with-deps", "distill-lrm", "distill-hps_lrm", "distill-lcm")
    assert status.stdout.strip() == "Data and pipelines are up to date."
