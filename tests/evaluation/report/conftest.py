"""Models are made, and the report of them, once for all tests that only look."""

from pathlib import Path

import pytest

from rglcd_pipelines.evaluation.report.make import make_report
from rglcd_pipelines.evaluation.report.models import Model
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from tests.evaluation.report.report_models import make_models

CONFIG = ReportConfig(prompts=2, resamples=200, distance_margin=0.1)


@pytest.fixture(scope="session")
def config() -> ReportConfig:
    return CONFIG


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def report(models: list[Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole report."""
    return make_report(CONFIG, models, tmp_path_factory.mktemp("report") / "report").path
