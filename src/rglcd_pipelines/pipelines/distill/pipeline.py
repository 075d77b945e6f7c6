"""The distill stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.distill.nodes import picture, resolve, train


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            node(
                resolve,
                inputs=[
                    "params:variant",
                    "params:variants",
                    "params:distill",
                    "params:rewards",
                    "params:teacher",
                    "params:encode",
                    "params:trajectories",
                    "params:places",
                    "latents",
                    "trajectories",
                ],
                outputs="job",
                name="resolve",
            ),
            node(train, inputs=["job", "latents", "trajectories"], outputs="student", name="distill"),
            node(
                picture,
                inputs=["student", "job", "params:places"],
                outputs="student_sheet",
                name="picture_student",
            ),
        ]
    )
