"""The evaluate stage of a student, and of the teacher."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.evaluation.settings import TEACHER
from rglcd_pipelines.pipelines.asked import Student
from rglcd_pipelines.pipelines.evaluate.nodes import (
    compare,
    draw_student,
    draw_teacher,
    score_student,
    score_teacher,
)

TOLD = ["params:evaluate", "params:rewards", "params:encode", "params:places"]


def create_pipeline(student: Student, baseline: str, distances: bool) -> Pipeline:
    """A student's stage; one that is not the baseline itself is compared with it.

    With `distances`, samples are compared with real pictures too.
    """
    name, real = student.name, ["reference"] if distances else []
    nodes = [
        node(
            draw_student,
            inputs=[f"{name}/student", "prompts", "params:evaluate", "params:places"],
            outputs=f"{name}/samples",
            name="draw",
            namespace=name,
        ),
        node(
            score_student,
            inputs=[f"{name}/samples", f"{name}/job", *TOLD, *real],
            outputs=f"{name}/scores",
            name="score",
            namespace=name,
        ),
    ]
    if name != baseline:
        against = node(
            compare,
            inputs=[f"{name}/scores", f"{baseline}/scores", "params:evaluate"],
            outputs=f"{name}/against_{baseline}",
            name="compare",
            namespace=name,
        )
        nodes.append(against)
    return Pipeline(nodes)


def create_teacher_pipeline(distances: bool) -> Pipeline:
    """The teacher's stage."""
    real = ["reference"] if distances else []
    return Pipeline(
        [
            node(
                draw_teacher,
                inputs=["prompts", "params:evaluate", "params:teacher", "params:encode", "params:places"],
                outputs=f"{TEACHER}/samples",
                name="draw",
                namespace=TEACHER,
            ),
            node(
                score_teacher,
                inputs=[f"{TEACHER}/samples", "params:teacher", *TOLD, *real],
                outputs=f"{TEACHER}/scores",
                name="score",
                namespace=TEACHER,
            ),
        ]
    )
