"""The distill stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.distill.nodes import picture, resolve, train

TOLD = [
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
]
OF_LRM = ["params:lrm", "params:matching", "lrm", "zero_shot"]
"""What a variant depends on besides that needs the latent reward model."""


def create_pipeline(lrm: bool = False) -> Pipeline:
    """The stage of a variant, which needs the latent reward model or does not."""
    return Pipeline(
        [
            node(resolve, inputs=[*TOLD, *(OF_LRM if lrm else [])], outputs="job", name="resolve"),
            node(train, inputs=["job", "latents", "trajectories"], outputs="student", name="distill"),
            node(
                picture,
                inputs=["student", "job", "params:places"],
                outputs="student_sheet",
                name="picture_student",
            ),
        ]
    )
