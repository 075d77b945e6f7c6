"""The pipelines that `kedro run --pipeline=NAME` knows.

Each name stands for its stage and everything upstream; stages that are done already are passed over, so a
name alone brings whatever is missing. Students are many: a stage that each has for itself bears its name, as
`distill-hps`, and which of them are in the graph follows the parameters.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kedro.framework.project import pipelines as registered
from kedro.pipeline import Pipeline

from rglcd_pipelines.evaluation.settings import TEACHER
from rglcd_pipelines.pipelines import (
    arena,
    distill,
    encode,
    evaluate,
    ingest,
    lrm,
    prompts,
    publish,
    report,
    trajectories,
    world,
)
from rglcd_pipelines.pipelines.asked import NOBODY, Asked, asked_of
from rglcd_pipelines.pipelines.stages import tag_of

SHARED = {
    "ingest": ingest.create_pipeline,
    "encode": encode.create_pipeline,
    "trajectories": trajectories.create_pipeline,
    "lrm": lrm.create_pipeline,
}
"""Stages that all students have in common; every node carries its stage's name as a tag."""

RECIPES = {"world": world.create_pipeline}
"""How what comes with the project was made. Hours of training never start because something else was asked
for: other stages read the finished folder, and only its own name runs a recipe."""

ON_REQUEST = {"publish": publish.create_pipeline, "votes": arena.create_votes_pipeline}
"""What goes out of the house, or needs people: only its own name runs it, and alone. DVC knows nothing of
it."""

LOOKED_AT = ("arena",)
"""Stages that no other one needs, and that only their names run: they are not in `__default__`."""

_asked: Asked = NOBODY
_everybody = False


def follow(parameters: Mapping[str, Any]) -> None:
    """Have the graph hold the students that these parameters name.

    Each has the latent reward model upstream only if it needs it: pretraining takes minutes here and days at
    the paper's scale, and who wants a plain LCM must not wait for it.
    """
    global _asked
    asked = asked_of(parameters, _everybody)
    if asked != _asked:
        _asked = asked
        registered.configure(__name__)  # what Kedro has read of it is forgotten


@contextmanager
def with_everybody() -> Iterator[None]:
    """Every variant is in the graph, whichever the parameters ask for: so DVC sees it."""
    global _everybody
    before, _everybody = _everybody, True
    try:
        yield
    finally:
        _everybody = before


def register_pipelines() -> dict[str, Pipeline]:
    """Every stage's name with all it needs, recipes and what is on request, and what a student is made from
    and judged by as the default."""
    stages = _stages(_asked)
    whole = sum(stages.values(), Pipeline([]))
    main, baseline = _asked.variant.name, _asked.baseline.name
    beside = [tag_of("evaluate", TEACHER), tag_of("evaluate", baseline)]
    named = {name: Pipeline(create(), tags=name) for name, create in (RECIPES | ON_REQUEST).items()}
    named |= {name: _needed(whole, name, stages) for name in (*SHARED, "prompts", "report", *LOOKED_AT)}
    named["distill"] = _needed(whole, tag_of("distill", main), stages)
    named["evaluate"] = sum(
        (_needed(whole, tag, stages) for tag in (*beside, tag_of("evaluate", main))), Pipeline([])
    )
    # Each student's stage alone too, without the baselines beside it: so DVC runs it.
    named |= {tag: _needed(whole, tag, stages) for tag in stages if tag not in named}
    if _everybody:
        named["everybody"] = whole
    return named | {"__default__": named["evaluate"] + named["lrm"]}


def _stages(asked: Asked) -> dict[str, Pipeline]:
    """Each stage by itself, by its tag."""
    students, baseline = asked.students.values(), asked.baseline.name
    made = {name: create() for name, create in SHARED.items()}
    made["prompts"] = prompts.create_pipeline(asked.distances)
    for seed in sorted({student.seed for student in students if student.seed is not None}):
        made[tag_of("trajectories", f"seed{seed}")] = trajectories.create_pipeline(seed)
    made[tag_of("evaluate", TEACHER)] = evaluate.create_teacher_pipeline(asked.distances)
    for student in students:
        made[tag_of("distill", student.name)] = distill.create_pipeline(student)
        made[tag_of("evaluate", student.name)] = evaluate.create_pipeline(student, baseline, asked.distances)
    made["report"] = report.create_pipeline([TEACHER, *(student.name for student in asked.report)])
    made["arena"] = arena.create_pipeline(asked.arena)
    return {tag: Pipeline(pipeline, tags=tag) for tag, pipeline in made.items()}


def _needed(whole: Pipeline, tag: str, stages: Mapping[str, Pipeline]) -> Pipeline:
    """A stage and all that it builds on: whole stages, their pictures too, which nobody downstream reads."""
    needed = whole.to_nodes(*(node.name for node in stages[tag].nodes))
    return whole.only_nodes_with_tags(*{tag for node in needed.nodes for tag in node.tags})
