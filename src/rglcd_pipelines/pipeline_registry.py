"""The pipelines that `kedro run --pipeline=NAME` knows.

Each name stands for its stage and everything upstream; stages that are done already are passed over, so a
name alone brings whatever is missing.
"""

from kedro.pipeline import Pipeline

from rglcd_pipelines.pipelines import distill, encode, ingest, publish, trajectories, world

STAGES = {
    "ingest": ingest.create_pipeline,
    "encode": encode.create_pipeline,
    "trajectories": trajectories.create_pipeline,
    "distill": distill.create_pipeline,
}
"""Each stage by itself; every node carries its stage's name as a tag."""

RECIPES = {"world": world.create_pipeline}
"""How what comes with the project was made. Hours of training never start because something else was asked
for: other stages read the finished folder, and only its own name runs a recipe."""

ON_REQUEST = {"publish": publish.create_pipeline}
"""What goes out of the house: only its own name runs it, and alone. It makes nothing, so DVC knows nothing of
it."""


def register_pipelines() -> dict[str, Pipeline]:
    """Every stage's name with all it needs, recipes and what is on request, and all stages as the default."""
    stages = {name: Pipeline(create(), tags=name) for name, create in STAGES.items()}
    whole = sum(stages.values(), Pipeline([]))
    named = {name: Pipeline(create(), tags=name) for name, create in (RECIPES | ON_REQUEST).items()}
    for name, stage in stages.items():
        needed = whole.to_nodes(*(node.name for node in stage.nodes))
        # Whole stages: their pictures and reports too, which nothing downstream asks for.
        named[name] = whole.only_nodes_with_tags(*{tag for node in needed.nodes for tag in node.tags})
    return named | {"__default__": whole}
