"""The distill stage of a student."""

from functools import partial, update_wrapper

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.asked import Student
from rglcd_pipelines.pipelines.distill.nodes import picture, resolve, train

TOLD = [
    "params:variants",
    "params:series",
    "params:distill",
    "params:rewards",
    "params:teacher",
    "params:encode",
    "params:trajectories",
    "params:places",
    "latents",
]
OF_LRM = ["params:lrm", "params:matching", "lrm", "zero_shot"]
"""What a student depends on besides that needs the latent reward model."""


def create_pipeline(student: Student) -> Pipeline:
    """The stage of a student, which needs the latent reward model or does not."""
    name = student.name
    answers = "trajectories" if student.seed is None else f"seed{student.seed}/trajectories"
    told = [*TOLD, answers, *(OF_LRM if student.lrm else [])]
    return Pipeline(
        [
            node(
                update_wrapper(partial(resolve, variant=name), resolve),
                inputs=told,
                outputs=f"{name}/job",
                name="resolve",
                namespace=name,
            ),
            node(
                train,
                inputs=[f"{name}/job", "latents", answers],
                outputs=f"{name}/student",
                name="distill",
                namespace=name,
            ),
            node(
                picture,
                inputs=[f"{name}/student", f"{name}/job", "params:places"],
                outputs=f"{name}/student_sheet",
                name="picture_student",
                namespace=name,
            ),
        ]
    )
