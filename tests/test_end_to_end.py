"""The commands that users type, in a fresh project, at the smallest size."""

import hashlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.project import Project

pytestmark = pytest.mark.slow

UP_TO_DATE = "Data and pipelines are up to date."


def manifest(project: Project, place: str) -> dict[str, Any]:
    return json.loads((project.path / "data" / place / "manifest.json").read_text(encoding="utf-8"))


def made(project: Project) -> list[str]:
    """Which kinds of data there are, but for what git keeps."""
    kept = {"06_models", "08_reporting"}
    return sorted(folder.name for folder in (project.path / "data").glob("*") if folder.name not in kept)


def test_kedro_first_then_dvc(project: Project) -> None:
    """`kedro run` brings what is missing upstream; a second one and `dvc repro` find nothing to do."""
    first = project.run("kedro", "run", "--pipeline=encode")
    assert first.returncode == 0, first.stdout + first.stderr
    pairs, latents = (
        manifest(project, "02_intermediate/base/pairs"),
        manifest(project, "04_feature/base/latents"),
    )
    assert pairs["counts"]["kept"] == latents["samples"] > 80
    assert latents["latent"] == {"shape": [4, 8, 8], "dtype": "float16", "kind": "mean"}

    second = project.run("kedro", "run", "--pipeline=encode")
    assert second.returncode == 0
    assert second.stderr.count("nothing to do") == 2
    assert manifest(project, "04_feature/base/latents") == latents

    assert project.run("dvc", "status", "--with-deps", "encode").stdout.strip() == UP_TO_DATE
    repro = project.run("dvc", "repro", "encode")
    assert repro.returncode == 0, repro.stderr
    assert "Running stage" not in repro.stdout
    for stage in ("ingest", "encode"):
        assert f"Stage '{stage}' didn't change, skipping" in repro.stdout

    assert project.mlflow("SELECT status FROM runs") == [("FINISHED",), ("FINISHED",)]
    parameters = dict(project.mlflow("SELECT key, value FROM params"))
    assert parameters["ingest.world.samples"] == "96"
    assert parameters["encode.keep"] == "mean"
    metrics = dict(project.mlflow("SELECT key, value FROM metrics"))
    assert metrics["pairs/kept"] == pairs["counts"]["kept"]
    assert metrics["latents/images_per_second"] > 0
    assert project.mlflow("SELECT name FROM experiments WHERE experiment_id > 0") == [("rglcd-base",)]


def test_dvc_first_then_kedro(project: Project) -> None:
    repro = project.run("dvc", "repro", "encode")
    assert repro.returncode == 0, repro.stdout + repro.stderr
    assert "Running stage 'world'" not in repro.stdout
    before = manifest(project, "04_feature/base/latents")
    run = project.run("kedro", "run", "--pipeline=encode")
    assert run.stderr.count("nothing to do") == 2
    assert manifest(project, "04_feature/base/latents") == before
    assert project.run("dvc", "status", "--with-deps", "encode").stdout.strip() == UP_TO_DATE


def test_a_changed_parameter_makes_only_what_depends_on_it(project: Project) -> None:
    assert project.run("kedro", "run", "--pipeline=encode").returncode == 0
    project.set("base/parameters_encode.yml", lambda content: content["encode"].update(keep="moments"))
    run = project.run("kedro", "run", "--pipeline=encode")
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("nothing to do") == 1
    assert manifest(project, "04_feature/base/latents")["latent"]["shape"] == [8, 8, 8]


def test_what_kedro_remakes_leaves_the_cache_of_dvc_whole(project: Project) -> None:
    """What stands may be a link into DVC's cache: writing through it would change history."""
    assert project.run("kedro", "run", "--pipeline=ingest").returncode == 0
    project.set("base/parameters_ingest.yml", lambda content: content["ingest"]["world"].update(seed=5))
    assert project.run("kedro", "run", "--pipeline=ingest").returncode == 0
    cached = [
        file for file in (project.path / ".dvc" / "cache" / "files" / "md5").rglob("*") if file.is_file()
    ]
    assert len(cached) > 6
    for file in cached:
        name = file.parent.name + file.name.removesuffix(".dir")
        assert hashlib.md5(file.read_bytes()).hexdigest() == name


def test_dvc_knows_what_was_found_under_changed_settings(project: Project) -> None:
    """Settings that make no difference to the pairs (how many processes) leave them; DVC must know both."""
    assert project.run("kedro", "run", "--pipeline=ingest").returncode == 0
    project.set("base/parameters_ingest.yml", lambda content: content["ingest"]["clean"].update(workers=2))
    again = project.run("kedro", "run", "--pipeline=ingest")
    assert "nothing to do" in again.stderr
    assert "recorded in dvc.lock: ingest" in again.stderr
    assert "didn't change, skipping" in project.run("dvc", "repro", "ingest").stdout
    assert "recorded" not in project.run("kedro", "run", "--pipeline=ingest").stderr


def test_environments_do_not_touch_each_other(project: Project) -> None:
    project.set(
        "tiny/parameters_ingest.yml", lambda content: content.update(ingest={"world": {"samples": 48}})
    )
    assert project.run("kedro", "run", "--pipeline=ingest").returncode == 0
    before = manifest(project, "02_intermediate/base/pairs")
    tiny = project.run("kedro", "run", "--pipeline=ingest", "--env=tiny")
    assert tiny.returncode == 0, tiny.stderr
    assert manifest(project, "02_intermediate/tiny/pairs")["counts"]["seen"] == 48
    assert manifest(project, "02_intermediate/base/pairs") == before
    experiments = project.mlflow("SELECT name FROM experiments WHERE experiment_id > 0 ORDER BY name")
    assert experiments == [("rglcd-base",), ("rglcd-tiny",)]


def test_a_run_from_a_folder_below_uses_the_same_places(project: Project) -> None:
    below = project.path / "conf" / "base"
    run = Project(below).run("kedro", "run", "--pipeline=ingest")
    assert run.returncode == 0, run.stderr
    assert manifest(project, "02_intermediate/base/pairs")["counts"]["seen"] == 96
    assert not (below / "data").exists()
    assert not (below / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (
            "ingest.sourc=world,ingest.source=wrld,encode.batch_size=many,encod.batch_size=3",
            [
                "ingest.sourc: there is no such parameter; did you mean ingest.source?",
                "ingest.source: should be 'world', 'shards' or 'urls', not 'wrld'; did you mean world?",
                "encode.batch_size: should be a valid integer, not 'many'",
                "encod: there is no such parameter; did you mean encode?",
            ],
        ),
        ("ingest.source=urls", ["ingest: source is urls, but there is no section `urls` that describes it"]),
        (
            "world.resoluton=3",
            ["world.resoluton: there is no such parameter; did you mean world.resolution?"],
        ),
    ],
)
def test_mistakes_are_refused_before_anything_runs(
    project: Project, parameters: str, told: list[str]
) -> None:
    run = project.run("kedro", "run", "--pipeline=encode", f"--params={parameters}")
    assert run.returncode == 1
    assert [words for words in told if words not in run.stderr] == []
    assert "Traceback" not in run.stdout + run.stderr
    assert made(project) == []
    assert not (project.path / "mlflow.db").exists()


def test_ctrl_c_says_so_and_the_same_command_goes_on(project: Project) -> None:
    project.set("base/parameters_ingest.yml", lambda content: content["ingest"]["world"].update(samples=3000))
    run = project.start("kedro", "run", "--pipeline=encode")
    partial = project.path / "data" / "04_feature" / "base" / ".partial"
    assert wait_until(lambda: any(partial.glob("*/*.json")), 120), "encode never got to its second file"
    run.send_signal(signal.SIGINT)
    assert run.wait(60) != 0
    assert project.mlflow("SELECT status FROM runs") == [("KILLED",)]
    assert not (project.path / "data" / "04_feature" / "base" / "latents").exists()
    again = project.run("kedro", "run", "--pipeline=encode")
    assert again.returncode == 0, again.stderr
    assert "were encoded by a run that was stopped" in again.stderr
    assert manifest(project, "04_feature/base/latents")["samples"] > 2900


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--env=sd51"], "--env=sd51: there is no such environment"),
        (["--pipeline=encod"], "Failed to find the pipeline named 'encod'"),
        (["--pipeline=encode", "--params=encode.device=cuda"], "encode.device: is cuda, but there is no GPU"),
    ],
)
def test_what_cannot_be_run_is_told_in_a_line(project: Project, arguments: list[str], told: str) -> None:
    if "cuda" in told and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    run = project.run("kedro", "run", *arguments)
    assert run.returncode == 1
    assert told in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert made(project) == []


def test_dvc_yaml_is_checked_against_the_pipelines(project: Project) -> None:
    check = ("python", "-m", "rglcd_pipelines.dvc_graph", "--check")
    assert project.run(*check).returncode == 0
    file = project.path / "dvc.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("04_feature", "05_feature"), encoding="utf-8")
    differs = project.run(*check)
    assert differs.returncode == 1
    assert "python -m rglcd_pipelines.dvc_graph" in differs.stdout
    assert project.run("python", "-m", "rglcd_pipelines.dvc_graph").returncode == 0
    assert project.run(*check).returncode == 0


def test_a_failed_run_says_so_to_mlflow_and_leaves_nothing(project: Project) -> None:
    def impossible(content: dict[str, Any]) -> None:
        content["ingest"]["clean"]["rules"]["max_aspect_ratio"] = 1.0
        content["ingest"]["clean"]["rules"]["caption_min_length"] = 500
        content["ingest"]["clean"]["rules"]["caption_max_length"] = 600

    project.set("base/parameters_ingest.yml", impossible)
    run = project.run("kedro", "run", "--pipeline=ingest")
    assert run.returncode == 1
    assert "caption_too_short" in run.stderr
    assert "Traceback" not in run.stderr
    assert not Path(project.path / "data/02_intermediate/base/pairs").exists()
    assert project.mlflow("SELECT status FROM runs") == [("FAILED",)]
