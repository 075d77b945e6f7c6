"""The node that publishes; it imports what it calls when it runs."""

import logging
from dataclasses import asdict
from pathlib import Path

from rglcd_pipelines.errors import first_line
from rglcd_pipelines.training.publishing import PublishConfig, publish

logger = logging.getLogger(__name__)


def publish_student(settings: PublishConfig, variant: str, places: dict[str, str]) -> dict[str, str]:
    """Where the variant's student is now: repository, commit, and its digest."""
    published = asdict(publish(settings, Path(places["students"], variant), variant))
    _tag(published)
    return published


def _tag(published: dict[str, str]) -> None:
    """The same as tags of the MLflow run, if there is one; what is published stays so without them."""
    import mlflow

    if mlflow.active_run() is None:
        return
    try:
        mlflow.set_tags({f"published.{name}": value for name, value in published.items()})
    except Exception as error:  # whatever the store raises
        logger.warning("MLflow was not told what was published: %s", first_line(error))
