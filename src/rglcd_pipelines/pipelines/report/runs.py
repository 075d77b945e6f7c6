"""Where each student's run is in MLflow."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rglcd_pipelines.errors import first_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

ROW = "row"
"""The tag that says whose row a run is."""

LOCAL = "http://127.0.0.1:5000"
"""Where `mlflow ui` answers, which shows what lies in a file."""


def run_urls(students: Mapping[str, str]) -> dict[str, str]:
    """The addresses of the runs that made students, by name; of those that MLflow knows by their digests."""
    import mlflow
    from mlflow import MlflowClient

    active = mlflow.active_run()
    if active is None:
        return {}
    experiment, client, uri = active.info.experiment_id, MlflowClient(), mlflow.get_tracking_uri()
    base = uri.rstrip("/") if uri.startswith("http") else LOCAL
    found: dict[str, str] = {}
    for name, digest in students.items():
        try:
            run = run_of(client, experiment, digest)
        except Exception as error:  # whatever the store raises: the report can do without
            logger.warning("MLflow does not say where runs are: %s", first_line(error))
            return found
        if run is not None:
            found[name] = f"{base}/#/experiments/{experiment}/runs/{run}"
    return found


def run_of(client: "MlflowClient", experiment: str, digest: str) -> str | None:
    """The id of the run that is the row of the student of this digest, if there is one.

    That which made it; or where MLflow has no such run, that which told of it first.
    """
    own = f"tags.`student.digest` = '{digest}'"
    made = f"{own} and tags.student = 'made'"
    return _newest(client, experiment, made) or _newest(client, experiment, f"{own} and tags.row LIKE '%'")


def row_of(client: "MlflowClient", experiment: str, name: str) -> str | None:
    """The id of the run that was begun to be the row of somebody."""
    return _newest(client, experiment, f"tags.{ROW} = '{name}'")


def _newest(client: "MlflowClient", experiment: str, query: str) -> str | None:
    runs = client.search_runs([experiment], query, order_by=["start_time DESC"], max_results=1)
    return runs[0].info.run_id if runs else None
