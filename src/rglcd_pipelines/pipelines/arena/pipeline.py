"""The arena's page, and the counting of its votes."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node

from rglcd_pipelines.pipelines.arena.nodes import build_arena, tally_votes


def create_pipeline(models: Sequence[str]) -> Pipeline:
    """The page that compares these models' samples."""
    told = ["params:arena", "params:places.arena", *(f"{name}/samples" for name in models)]
    return Pipeline([node(build_arena, inputs=told, outputs="arena", name="arena")])


def create_votes_pipeline() -> Pipeline:
    # The arena is no input: votes are of the page that people saw, and it must not be made anew for them.
    return Pipeline(
        [node(tally_votes, inputs=["params:votes", "params:places"], outputs="votes", name="votes")]
    )
