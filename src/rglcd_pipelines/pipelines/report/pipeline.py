"""The report."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.report.nodes import names, write_report


def create_pipeline(models: Sequence[str]) -> Pipeline:
    """The report of these models; the teacher is one of them."""
    return Pipeline(
        [
            node(
                write_report,
                inputs=["params:report", "params:variants", "params:places", *names(models)],
                outputs="report",
                name="report",
            )
        ]
    )
