"""Publishing: a single node, which reads what stands and makes nothing that is missing."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.publish.nodes import publish_student


def create_pipeline() -> Pipeline:
    # The student is no input: an input of the catalog is opened before the node could say that the repository
    # is missing, or with which variant the student is made.
    return Pipeline(
        [
            node(
                publish_student,
                inputs=["params:publish", "params:variant", "params:places"],
                outputs="published",
                name="publish",
            )
        ]
    )
