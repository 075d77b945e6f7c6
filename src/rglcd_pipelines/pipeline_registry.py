"""The pipelines that `kedro run --pipeline=NAME` knows.

Each name stands for its stage and everything upstream; stages that are done already are passed over, so a
name alone brings whatever is missing.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from kedro.framework.project import pipelines as registered
from kedro.pipeline import Pipeline

from rglcd_pipelines.pipelines import distill, encode, ingest, lrm, publish, trajectories, world

STAGES = {
    "ingest": ingest.create_pipeline,
    "encode": encode.create_pipeline,
    "trajectories": trajectories.create_pipeline,
    "lrm": lrm.create_pipeline,
    "distill": distill.create_pipeline,
}
"""Each stage by itself; every node carries its stage's name as a tag."""

RECIPES = {"world": world.create_pipeline}
"""How what comes with the project was made. Hours of training never start because something else was asked
for: other stages read the finished folder, and only its own name runs a recipe."""

ON_REQUEST = {"publish": publish.create_pipeline}
"""What goes out of the house: only its own name runs it, and alone. It makes nothing, so DVC knows nothing of
it."""


_needs_lrm = False
"""Whether the variant that is asked for does."""


def follow(parameters: Mapping[str, Any]) -> None:
    """Have the distill stage ask for the latent reward model if the variant of these parameters needs it.

    Pretraining takes minutes here and days at the paper's scale: who wants a plain LCM must not wait for it.
    Whatever is wrong with the parameters is told by those who check them.
    """
    global _needs_lrm
    needs = needs_lrm(parameters)
    if needs != _needs_lrm:
        _needs_lrm = needs
        registered.configure(__name__)  # what Kedro has read of it is forgotten


def needs_lrm(parameters: Mapping[str, Any]) -> bool:
    """Whether the variant follows the pretrained model, or one that learns beside it."""
    try:
        chosen = parameters["variants"][parameters["variant"]]
        reward = chosen.get("reward") or {}
        names = [reward] if isinstance(reward, str) else list(reward)
        ids = [parameters["rewards"].get(name, {}).get("id") for name in names]
        return bool(chosen.get("lrm")) or parameters["places"]["lrm"] in ids
    except (KeyError, TypeError, AttributeError):
        return False


def register_pipelines() -> dict[str, Pipeline]:
    """Every stage's name with all it needs, recipes and what is on request, and all stages as the default."""
    made = STAGES | {"distill": partial(distill.create_pipeline, lrm=_needs_lrm)}
    stages = {name: Pipeline(create(), tags=name) for name, create in made.items()}
    whole = sum(stages.values(), Pipeline([]))
    named = {name: Pipeline(create(), tags=name) for name, create in (RECIPES | ON_REQUEST).items()}
    for name, stage in stages.items():
        needed = whole.to_nodes(*(node.name for node in stage.nodes))
        # Whole stages: their pictures and reports too, which nothing downstream asks for.
        named[name] = whole.only_nodes_with_tags(*{tag for node in needed.nodes for tag in node.tags})
    return named | {"__default__": whole}
