"""What each name brings: a stage what it needs, and nobody hours of training that were not asked for."""

from pathlib import Path

import pytest

from rglcd_pipelines import pipeline_registry
from rglcd_pipelines.dvc_graph import graph
from rglcd_pipelines.pipeline_registry import RECIPES, register_pipelines
from rglcd_pipelines.pipelines.asked import Asked, Student
from rglcd_pipelines.pipelines.parameters import data_paths
from rglcd_pipelines.pipelines.stages import stage_of

ROOT = Path(__file__).resolve().parents[2]

LCM, HPS, FROZEN = Student("lcm"), Student("hps"), Student("hps_lrm", lrm=True)
OTHER = Student("hps-seed1", seed=1)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For hps, with a report of some students."""
    asked = Asked(HPS, LCM, report=(LCM, HPS, FROZEN, OTHER), arena=("hps", "teacher"), distances=True)
    monkeypatch.setattr(pipeline_registry, "_asked", asked)


def tags(name: str) -> set[str]:
    return {tag for node in register_pipelines()[name].nodes for tag in node.tags}


def test_a_student_brings_what_it_needs_and_nobody_else() -> None:
    before = {"ingest", "encode", "trajectories"}
    assert tags("distill") == {*before, "distill-hps"}
    evaluated = {*before, "distill-hps", "distill-lcm", "prompts"}
    assert tags("evaluate") == {*evaluated, "evaluate-hps", "evaluate-lcm", "evaluate-teacher"}


def test_a_report_brings_every_student_of_its_list() -> None:
    students = {"lcm", "hps", "hps_lrm", "hps-seed1"}
    wanted = {f"{stage}-{student}" for stage in ("distill", "evaluate") for student in students}
    shared = {"ingest", "encode", "trajectories", "trajectories-seed1", "lrm", "prompts", "evaluate-teacher"}
    assert tags("report") == wanted | shared | {"report"}
    assert tags("arena") & {"evaluate-hps", "evaluate-hps_lrm"} == {"evaluate-hps"}


def test_nodes_of_a_student_bear_its_name() -> None:
    nodes = {node.name: node for node in register_pipelines()["report"].nodes}
    assert stage_of(nodes["hps.distill"]) == "distill"
    assert stage_of(nodes["teacher.score"]) == "evaluate"
    assert nodes["hps-seed1.distill"].inputs[2] == "seed1/trajectories"
    assert "zero_shot" in nodes["hps_lrm.resolve"].inputs
    assert "zero_shot" not in nodes["hps.resolve"].inputs


def test_only_its_own_name_runs_a_recipe() -> None:
    for name, pipeline in register_pipelines().items():
        recipes = {tag for node in pipeline.nodes for tag in node.tags} & set(RECIPES)
        assert recipes == ({name} & set(RECIPES))


def test_a_stage_brings_what_it_needs() -> None:
    pipelines = register_pipelines()
    assert {tag for node in pipelines["encode"].nodes for tag in node.tags} == {"ingest", "encode"}
    assert {tag for node in pipelines["__default__"].nodes for tag in node.tags} == tags("evaluate") | {"lrm"}


def test_no_recipe_reads_a_stage_or_is_read_by_one() -> None:
    pipelines = register_pipelines()
    for recipe in RECIPES:
        assert not pipelines[recipe].datasets() & pipelines["__default__"].datasets() - {"parameters"}


def test_parts_are_made_before_what_needs_them() -> None:
    names = [node.name for node in register_pipelines()["world"].nodes]
    for earlier, later in (
        ("make_autoencoder", "make_teacher"),
        ("make_clip", "make_teacher"),
        ("make_teacher", "make_preferences"),
        ("make_judge", "make_preferences"),
        ("make_preferences", "make_imgrwd"),
        ("make_sets", "assemble_world"),
        ("assemble_world", "picture_world"),
    ):
        assert names.index(earlier) < names.index(later)


@pytest.mark.slow
def test_dvc_neither_runs_a_recipe_nor_keeps_a_copy_of_what_git_has() -> None:
    world = graph(ROOT)["stages"]["world"]
    assert world["frozen"]
    assert world["outs"] == [
        {"data/06_models/base/world": {"cache": False}},
        {"data/08_reporting/base/world.png": {"cache": False}},
    ]
    assert "deps" not in world


def test_paths_inside_data_are_found_wherever_they_stand() -> None:
    tree = {
        "vae": {"id": "data/06_models/a", "n": 3},
        "list": ["x", "data/b", {"deep": "data/c"}],
        "no": None,
    }
    assert list(data_paths(tree)) == ["data/06_models/a", "data/b", "data/c"]
    assert list(data_paths(None)) == []
