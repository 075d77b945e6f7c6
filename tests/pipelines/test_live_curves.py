"""Curves and pictures reach MLflow while a training runs, and a tracker that fails stops nothing."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from rglcd_pipelines import curves, live_curves
from rglcd_pipelines.live_curves import LiveCurves
from rglcd_pipelines.tracker import Tracker

pytestmark = pytest.mark.slow


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = MlflowClient()
    experiment = client.create_experiment("curves", str(tmp_path / "artifacts"))
    return client.create_run(experiment).info.run_id


@pytest.fixture
def begin(run_id: str, tmp_path: Path) -> Iterator[Callable[[], LiveCurves]]:
    """Begins to listen; in the end nothing listens or sends any more."""
    begun: list[LiveCurves] = []

    def begin() -> LiveCurves:
        begun.append(LiveCurves(run_id, tmp_path / "unsent"))
        return begun[-1]

    yield begin
    for sent in begun:
        sent.close("", 0.1)


def history(run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in MlflowClient().get_metric_history(run_id, name)]


def images(run_id: str) -> list[str]:
    return [Path(file.path).name for file in MlflowClient().list_artifacts(run_id, "images")]


def unsent(tmp_path: Path) -> list[str]:
    return [file.name for file in sorted((tmp_path / "unsent").glob("*"))]


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_figures_arrive_with_their_steps(
    run_id: str, begin: Callable[[], LiveCurves], tmp_path: Path
) -> None:
    sent = begin()
    sent.stage = "world"
    with curves.listening(sent):
        for step in (50, 100):
            curves.tell("autoencoder", step, {"loss": 1 / step, "lr": 0.1})
    assert history(run_id, "world/autoencoder/loss") == []  # not one query for each step
    assert sent.close("FINISHED")
    assert history(run_id, "world/autoencoder/loss") == [(50, 0.02), (100, 0.01)]
    assert history(run_id, "world/autoencoder/lr") == [(50, 0.1), (100, 0.1)]
    assert unsent(tmp_path) == []


def test_what_waits_long_enough_is_sent(
    run_id: str, begin: Callable[[], LiveCurves], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_BATCHES", 0.05)
    sent = begin()
    for step in (1, 2):
        sent("clip", step, {"loss": 2.0})
        assert wait_until(lambda step=step: len(history(run_id, "clip/loss")) == step)


def test_more_than_fits_into_one_batch_is_sent_in_order(run_id: str, begin: Callable[[], LiveCurves]) -> None:
    sent = begin()
    for step in range(1200):
        sent("clip", step, {"loss": float(step)})
    assert sent.close("FINISHED")
    assert history(run_id, "clip/loss") == [(step, float(step)) for step in range(1200)]


def test_a_name_that_mlflow_would_not_take_loses_what_is_odd_in_it(
    run_id: str, begin: Callable[[], LiveCurves]
) -> None:
    sent = begin()
    sent("imgrwd's captions (50 %)", 1, {"loss": 2.0})
    sent.show("imgrwd's: samples (4 steps)", 1, Image.new("RGB", (8, 8)))
    assert sent.close("FINISHED")
    assert history(run_id, "imgrwds captions 50 /loss") == [(1, 2.0)]
    assert images(run_id)[0].startswith("imgrwds samples 4 steps+step+1+")


def test_pictures_arrive_as_series_over_the_steps(
    run_id: str, begin: Callable[[], LiveCurves], tmp_path: Path
) -> None:
    sent = begin()
    sent.stage = "distill"
    grid = Image.new("RGB", (16, 8))
    with curves.listening(sent, sent.show):
        for step in (0, 500):
            grid.paste((step // 2, 0, 0), (0, 0, 16, 8))  # one that changes after it was shown
            curves.show("lcm/samples", step, grid)
    assert sent.close("FINISHED")
    names = [name.split("+timestamp+")[0] for name in sorted(images(run_id)) if name.endswith(".png")]
    assert names == ["distill~lcm~samples+step+0", "distill~lcm~samples+step+500"]
    assert len(images(run_id)) == 4  # each in two sizes, from which the UI makes a slider
    assert MlflowClient().get_run(run_id).data.tags["mlflow.loggedImages"] == "True"
    files = sorted((tmp_path / "artifacts" / run_id / "artifacts" / "images").glob("*.png"))
    assert [Image.open(file).getpixel((3, 3)) for file in files] == [(0, 0, 0), (250, 0, 0)]


def test_who_listens_to_figures_alone_need_not_look_at_pictures() -> None:
    told: list[str] = []
    with curves.listening(lambda name, step, figures: told.append(f"{name} {step} {figures['loss']}")):
        curves.show("samples", 1, Image.new("RGB", (1, 1)))
        curves.tell("clip", 1, {"loss": 2.0})
    assert told == ["clip 1 2.0"]


def test_telling_waits_for_nobody(begin: Callable[[], LiveCurves], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_BATCHES", 0.0)
    monkeypatch.setattr(Tracker, "send", lambda *_, **__: answer.wait())
    sent = begin()
    began = time.perf_counter()
    for step in range(2000):
        sent("clip", step, {"loss": 2.0, "gradient": 1.0})
    assert time.perf_counter() - began < 1.0
    answer.set()


def test_a_run_that_mlflow_does_not_know_stops_no_training(
    run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent = LiveCurves(f"not-{run_id}", tmp_path / "unsent")
    sent("clip", 1, {"loss": 2.0})
    with caplog.at_level(logging.WARNING):
        assert not sent.close("FINISHED", 1.5)
    assert caplog.text.count("MLflow takes no figures") == 1
    assert caplog.text.count("MLflow was not told all of this run") == 1
    assert unsent(tmp_path) == [f"not-{run_id}.jsonl"]


def test_what_mlflow_refuses_holds_nothing_up(
    run_id: str, begin: Callable[[], LiveCurves], caplog: pytest.LogCaptureFixture
) -> None:
    MlflowClient().log_param(run_id, "beta", "1")
    sent = begin()
    sent("clip", 1, {"loss": 2.0})
    with caplog.at_level(logging.WARNING):
        for value in ("2", "3"):
            sent.note(params={"beta": value})
        sent("clip", 2, {"loss": 1.0})
        assert sent.close("FINISHED")
    assert history(run_id, "clip/loss") == [(1, 2.0), (2, 1.0)]
    assert MlflowClient().get_run(run_id).data.params == {"beta": "1"}
    assert caplog.text.count("MLflow does not take beta") == 1


def test_a_store_that_takes_no_pictures_holds_up_no_figures(
    run_id: str, begin: Callable[[], LiveCurves], tmp_path: Path
) -> None:
    (tmp_path / "artifacts").write_text("no folder")
    sent = begin()
    sent.show("samples", 1, Image.new("RGB", (8, 8)))
    sent("clip", 1, {"loss": 2.0})
    assert not sent.close("FINISHED", 1.5)
    assert history(run_id, "clip/loss") == [(1, 2.0)]
    (tmp_path / "artifacts").unlink()
    later = begin()  # another run sends what this one could not
    assert later.close("FINISHED")
    assert len(images(run_id)) == 2
    assert unsent(tmp_path) == []


def test_where_not_even_the_file_can_be_written_the_run_goes_on(
    run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "unsent").write_text("no folder")
    sent = LiveCurves(f"not-{run_id}", tmp_path / "unsent")
    sent("clip", 1, {"loss": 2.0})
    with caplog.at_level(logging.WARNING):
        assert not sent.close("FINISHED", 0.5)
    assert "cannot be written" in caplog.text
