"""The prompts stage."""

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.prompts.nodes import collect_prompts, collect_reference


def create_pipeline(distances: bool = False) -> Pipeline:
    """The stage; with `distances`, real pictures are looked at too."""
    prompts = node(
        collect_prompts,
        inputs=["params:evaluate", "params:places.prompts"],
        outputs="prompts",
        name="prompts",
    )
    reference = node(
        collect_reference,
        inputs=["params:evaluate", "params:places.reference"],
        outputs="reference",
        name="reference",
    )
    return Pipeline([prompts, reference] if distances else [prompts])
