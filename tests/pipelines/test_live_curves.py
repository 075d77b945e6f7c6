"""Curves reach MLflow while a training runs, with their steps, and a tracker that fails stops nothing."""

import logging
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from rglcd_pipelines import curves, live_curves
from rglcd_pipelines.live_curves import LiveCurves

pytestmark = pytest.mark.slow


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = MlflowClient()
    return client.create_run(client.create_experiment("curves")).info.run_id


def history(run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in MlflowClient().get_metric_history(run_id, name)]


def test_figures_arrive_with_their_steps(run_id: str) -> None:
    sent = LiveCurves(run_id)
    sent.stage = "world"
    with curves.listening(sent):
        for step in (50, 100):
            curves.tell("autoencoder", step, {"loss": 1 / step, "lr": 0.1})
    assert history(run_id, "world/autoencoder/loss") == []  # not one query for each step
    sent.flush()
    assert history(run_id, "world/autoencoder/loss") == [(50, 0.02), (100, 0.01)]
    assert history(run_id, "world/autoencoder/lr") == [(50, 0.1), (100, 0.1)]


def test_what_waits_long_enough_is_sent(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_curves, "SECONDS_BETWEEN_BATCHES", -1.0)
    LiveCurves(run_id)("clip", 1, {"loss": 2.0})
    assert history(run_id, "clip/loss") == [(1, 2.0)]


def test_more_than_fits_into_one_batch_is_sent(run_id: str) -> None:
    sent = LiveCurves(run_id)
    for step in range(1200):
        sent("clip", step, {"loss": float(step)})
    sent.flush()
    assert len(history(run_id, "clip/loss")) == 1200


def test_a_name_that_mlflow_would_not_take_loses_what_is_odd_in_it(run_id: str) -> None:
    sent = LiveCurves(run_id)
    sent("imgrwd's captions (50 %)", 1, {"loss": 2.0})
    sent.flush()
    assert history(run_id, "imgrwds captions 50 /loss") == [(1, 2.0)]


def test_a_tracker_that_does_not_answer_stops_no_training(
    run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent = LiveCurves(f"not-{run_id}")
    sent("clip", 1, {"loss": 2.0})
    with caplog.at_level(logging.WARNING):
        sent.flush()
    assert "did not take 1 figures" in caplog.text
    sent.flush()
