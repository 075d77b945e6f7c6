"""The encode stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.encode.nodes import encode_pairs


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                encode_pairs,
                inputs=["pairs", "params:encode", "params:places.latents"],
                outputs="latents",
                name="encode",
            )
        ]
    )
