"""MLflow gone in the middle of a run: everything arrives later, once and in order, or lies in a file."""

import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from rglcd_pipelines import live_curves
from rglcd_pipelines.live_curves import LiveCurves, main
from tests.pipelines.tracking_server import Door, free_port, serving
from tests.project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("server")) as port:
        yield port


@pytest.fixture
def door(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_BATCHES", 0.1)
    door = Door(server)
    door.open()
    mlflow.set_tracking_uri(door.uri)
    yield door
    door.shut()


@pytest.fixture
def run_id(door: Door) -> str:
    return MlflowClient(door.uri).create_run("0").info.run_id


def losses(run_id: str, uri: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in MlflowClient(uri).get_metric_history(run_id, "clip/loss")]


def images(run_id: str, uri: str) -> list[str]:
    there = [Path(file.path).name for file in MlflowClient(uri).list_artifacts(run_id, "images")]
    return sorted(name.split("+timestamp+")[0] for name in there if name.endswith(".png"))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def train(sent: LiveCurves, steps: range) -> None:
    for step in steps:
        sent("clip", step, {"loss": float(step)})
        if step % 10 == 0:
            sent.show("samples", step, Image.new("RGB", (32, 16), (step, 0, 0)))
        time.sleep(0.005)


def test_a_server_that_comes_back_is_told_everything(
    door: Door, run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = LiveCurves(run_id, tmp_path / "unsent")
    train(sent, range(100))
    door.shut()
    train(sent, range(100, 200))
    file = tmp_path / "unsent" / f"{run_id}.jsonl"
    wait_until(file.exists)  # a run that is killed now loses nothing
    time.sleep(3)  # some attempts
    door.open()
    wait_until(lambda: not file.exists())
    train(sent, range(200, 210))
    assert sent.close("FINISHED")
    assert losses(run_id, door.uri) == [(step, float(step)) for step in range(210)]
    assert images(run_id, door.uri) == sorted(f"samples+step+{step}" for step in range(0, 210, 10))
    assert caplog.text.count("MLflow takes no") == 1
    assert "MLflow answers again" in caplog.text
    assert "Traceback" not in caplog.text
    assert not (tmp_path / "unsent").exists()


def test_what_a_server_took_without_saying_so_is_told_once(door: Door, run_id: str, tmp_path: Path) -> None:
    """The worst moment: the picture is stored, and the connection breaks before what follows."""
    sent = LiveCurves(run_id, tmp_path / "unsent")
    door.shut_after = "compressed"
    sent.show("samples", 0, Image.new("RGB", (32, 16)))
    wait_until((tmp_path / "unsent" / f"{run_id}.jsonl").exists)
    door.open()
    assert sent.close("FINISHED")
    assert images(run_id, door.uri) == ["samples+step+0"]


def test_what_a_server_gone_for_good_was_not_told_is_sent_by_hand(
    door: Door, run_id: str, server: int, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    sent = LiveCurves(run_id, tmp_path / "unsent")
    train(sent, range(50))
    door.shut()
    train(sent, range(50, 100))
    began = time.monotonic()
    assert not sent.close("FINISHED", 2.0)
    assert time.monotonic() - began < 5
    file = tmp_path / "unsent" / f"{run_id}.jsonl"
    assert f"python -m rglcd_pipelines.live_curves {file}" in caplog.text
    shutil.copytree(tmp_path / "unsent", tmp_path / "again")

    assert main([str(file)]) == 1  # nobody opens yet
    assert f"error: {door.uri}: [Errno 111] Connection refused" in capsys.readouterr().err
    assert file.exists()
    other = Door(server)
    other.open()
    command = [sys.executable, "-m", "rglcd_pipelines.live_curves", file, "--tracking-uri", other.uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"to run {run_id}" in done.stdout
    assert not (tmp_path / "unsent").exists()
    assert losses(run_id, other.uri) == [(step, float(step)) for step in range(100)]
    assert images(run_id, other.uri) == sorted(f"samples+step+{step}" for step in range(0, 100, 10))
    assert MlflowClient(other.uri).get_run(run_id).info.status == "FINISHED"

    assert main([str(tmp_path / "again" / file.name), "--tracking-uri", other.uri]) == 0
    assert len(losses(run_id, other.uri)) == 100
    assert len(images(run_id, other.uri)) == 10
    other.shut()


def test_a_later_run_sends_what_an_earlier_one_could_not(
    door: Door, run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = LiveCurves(run_id, tmp_path)
    door.shut()
    train(first, range(20))
    assert not first.close("FAILED", 0.5)
    caplog.clear()
    assert LiveCurves(run_id, tmp_path).close("")  # the server is still gone: that is no news, and no harm
    assert caplog.text == ""
    door.open()
    later = LiveCurves(MlflowClient(door.uri).create_run("0").info.run_id, tmp_path)
    assert later.close("FINISHED")
    assert losses(run_id, door.uri) == [(step, float(step)) for step in range(20)]
    assert MlflowClient(door.uri).get_run(run_id).info.status == "FAILED"
    assert not list(tmp_path.glob("*"))


TRAINING = """
import sys, time
import mlflow
from pathlib import Path
from rglcd_pipelines.live_curves import LiveCurves
uri, run_id, unsent = sys.argv[1:]
mlflow.set_tracking_uri(uri)
sent = LiveCurves(run_id, Path(unsent))
for step in range(20):
    sent("clip", step, {"loss": float(step)})
time.sleep(600)
"""


def test_a_run_that_is_killed_while_its_server_is_gone_loses_nothing(
    door: Door, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door.shut()
    training = subprocess.Popen([sys.executable, "-c", TRAINING, door.uri, run_id, str(tmp_path / "unsent")])
    file = tmp_path / "unsent" / f"{run_id}.jsonl"
    wait_until(lambda: file.is_file() and file.read_text(encoding="utf-8").count("clip/loss") == 20)
    assert main([str(file)]) == 1
    assert "a run that is under way holds this file" in capsys.readouterr().err
    training.kill()
    training.wait()
    door.open()
    assert main([str(file)]) == 0
    assert losses(run_id, door.uri) == [(step, float(step)) for step in range(20)]


def test_a_server_that_hangs_holds_up_no_end(run_id: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as deaf:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        sent = LiveCurves(run_id, tmp_path)
        train(sent, range(20))
        began = time.monotonic()
        assert not sent.close("FINISHED", 2.0)
        assert time.monotonic() - began < 4
        assert (tmp_path / f"{run_id}.jsonl").read_text(encoding="utf-8").count('"clip/loss"') == 20


def test_a_locked_database_is_told_when_it_is_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow waits for 20 seconds by itself; this one is locked for longer."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_BATCHES", 0.1)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    experiment = MlflowClient().create_experiment("curves", str(tmp_path / "artifacts"))
    run_id = MlflowClient().create_run(experiment).info.run_id
    sent = LiveCurves(run_id, tmp_path / "unsent")
    lock = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(24, lambda: lock.execute("ROLLBACK"))
    release.start()
    began = time.monotonic()
    train(sent, range(50))
    assert time.monotonic() - began < 5  # the training saw nothing of it
    wait_until((tmp_path / "unsent" / f"{run_id}.jsonl").exists)
    release.join()
    assert sent.close("FINISHED")
    lock.close()
    assert losses(run_id, uri) == [(step, float(step)) for step in range(50)]
    assert caplog.text.count("MLflow takes no") == 1
    assert "database is locked" in caplog.text
    assert "Traceback" not in caplog.text


def through(project: Project, door: Door) -> Project:
    project.set("base/mlflow.yml", lambda content: content["server"].update(mlflow_tracking_uri=door.uri))
    return project


def unsent(project: Project) -> list[Path]:
    return list((project.path / "data/08_reporting/base/unsent").glob("*.jsonl"))


def test_a_run_succeeds_though_its_server_dies(door: Door, server: int, project: Project) -> None:
    through(project, door)
    door.shut_after = "/runs/set-tag"  # the last request of the start
    run = project.run("kedro", "run", "--pipeline=ingest")
    assert run.returncode == 0, run.stderr
    assert (project.path / "data/02_intermediate/base/pairs/manifest.json").is_file()
    assert "MLflow takes no" in run.stderr
    assert "MLflow was not told all of this run" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert "Retrying" not in run.stderr
    assert "answers again" not in run.stderr
    (file,) = unsent(project)

    other = Door(server)
    other.open()
    send = ("python", "-m", "rglcd_pipelines.live_curves", str(file.relative_to(project.path)))
    done = project.run(*send, "--tracking-uri", other.uri)
    assert done.returncode == 0, done.stderr
    told = MlflowClient(other.uri).get_run(file.stem)
    other.shut()
    assert told.info.status == "FINISHED"
    assert told.data.metrics["pairs/kept"] > 80
    assert told.data.params["ingest.world.samples"] == "96"
    assert told.data.tags["pairs"] == "made"
    assert unsent(project) == []


def test_a_run_that_fails_without_its_server_tells_its_own_error(door: Door, project: Project) -> None:
    project.set(
        "base/parameters_ingest.yml",
        lambda content: content["ingest"]["clean"]["rules"].update(
            caption_min_length=500, caption_max_length=600
        ),
    )
    through(project, door)
    door.shut_after = "/runs/set-tag"
    run = project.run("kedro", "run", "--pipeline=ingest")
    assert run.returncode == 1
    assert "caption_too_short" in run.stderr
    assert "Traceback" not in run.stderr
    assert '"status": "FAILED"' in unsent(project)[0].read_text(encoding="utf-8")


def test_a_server_that_is_not_there_at_the_start_is_told_in_a_line(door: Door, project: Project) -> None:
    through(project, door)
    door.shut()
    began = time.monotonic()
    run = project.run("kedro", "run", "--pipeline=ingest")
    assert run.returncode == 1
    assert f"error: MLflow does not take this run ({door.uri}: [Errno 111] Connection refused)." in run.stderr
    assert "conf/*/mlflow.yml" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert time.monotonic() - began < 120
    assert not (project.path / "data/02_intermediate").exists()
