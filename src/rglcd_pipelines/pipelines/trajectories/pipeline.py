"""The trajectories stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.trajectories.nodes import answer


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                answer,
                inputs=["latents", "params:teacher", "params:trajectories", "params:places.trajectories"],
                outputs="trajectories",
                name="trajectories",
            )
        ]
    )
