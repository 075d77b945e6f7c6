"""Stages that build on the world that git keeps: found, recorded by DVC, and refused when it is damaged."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rglcd_pipelines.artifacts import digest_file, draft, publish
from tests.project import Project

pytestmark = pytest.mark.slow

UP_TO_DATE = "Data and pipelines are up to date."
WORLD = "data/06_models/base/world"
VAE = f"{WORLD}/teacher/vae"
WEIGHTS = f"{VAE}/diffusion_pytorch_model.safetensors"


def make_world(place: Path) -> None:
    """A world with an autoencoder that has learnt nothing."""
    from diffusers import AutoencoderKL

    levels = 3
    with draft(place, {}) as work:
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,  # pyright: ignore[reportArgumentType]
            up_block_types=("UpDecoderBlock2D",) * levels,  # pyright: ignore[reportArgumentType]
            block_out_channels=(8, 16, 16),  # pyright: ignore[reportArgumentType]
            norm_num_groups=8,
        ).save_pretrained(work.path / "teacher" / "vae")
        files = {
            file.relative_to(work.path).as_posix(): digest_file(file)
            for file in work.path.rglob("*")
            if file.is_file()
        }
        publish(work, place, "world", {}, {"files": files, "parts": {}, "figures": {}}, {})


@pytest.fixture
def builds_on_it(project: Project) -> Project:
    """A project whose `encode` uses a committed world's autoencoder."""

    def use(content: dict[str, Any]) -> None:
        content["encode"]["vae"] = {"source": "folder", "id": VAE}

    project.set("base/parameters_encode.yml", use)
    make_world(project.path / WORLD)
    sheet = project.path / "data/08_reporting/base/world.png"
    sheet.unlink(missing_ok=True)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(sheet)
    assert project.run("python", "-m", "rglcd_pipelines.dvc_graph").returncode == 0
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "as cloned")
    return project


def git(project: Project, *command: str) -> str:
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    return subprocess.run(
        ["git", *who, *command], cwd=project.path, check=True, capture_output=True, text=True
    ).stdout


def test_on_a_fresh_clone_dvc_trains_nothing_and_git_sees_no_change(builds_on_it: Project) -> None:
    assert git(builds_on_it, "ls-files", "data").split() == [
        f"{WORLD}/manifest.json",
        f"{VAE}/config.json",
        WEIGHTS,
        "data/08_reporting/base/world.png",
    ]
    repro = builds_on_it.run("dvc", "repro", "encode")
    assert repro.returncode == 0, repro.stdout + repro.stderr
    assert "Running stage 'world'" not in repro.stdout
    assert "Running stage 'encode'" in repro.stdout
    assert git(builds_on_it, "status", "--short", "data") == ""


def test_a_damaged_weight_is_refused_with_the_command_that_restores_it(builds_on_it: Project) -> None:
    run = builds_on_it.run("kedro", "run", "--pipeline=encode")
    assert run.returncode == 0, run.stderr
    assert "recorded in dvc.lock: world, ingest, encode" in run.stderr
    assert builds_on_it.run("dvc", "status", "--with-deps", "encode").stdout.strip() == UP_TO_DATE

    with (builds_on_it.path / WEIGHTS).open("ab") as file:
        file.write(b"x")
    refused = builds_on_it.run("kedro", "run", "--pipeline=encode")
    assert refused.returncode == 1
    assert f"error: {WEIGHTS}: is not what was written" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert "nothing to do" not in refused.stderr  # not one node ran
    # Who does not build on it does not need it.
    assert builds_on_it.run("kedro", "run", "--pipeline=ingest").returncode == 0

    *_, command = refused.stderr.strip().partition("Restore it: ")
    assert command == f"git checkout -- {WORLD}"
    assert builds_on_it.run(*command.split()).returncode == 0
    again = builds_on_it.run("kedro", "run", "--pipeline=encode")
    assert again.returncode == 0
    assert again.stderr.count("nothing to do") == 2
