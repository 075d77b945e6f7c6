"""The ingest stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.ingest.nodes import ingest, picture


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                ingest,
                inputs=["params:ingest", "params:places.pairs", "params:places.raw", "params:places.hub"],
                outputs="pairs",
                name="ingest",
            ),
            node(picture, inputs="pairs", outputs="pairs_sheet", name="picture_pairs"),
        ]
    )
