"""What each name brings: a stage what it needs, and nobody hours of training that were not asked for."""

from pathlib import Path

import pytest

from rglcd_pipelines.dvc_graph import graph
from rglcd_pipelines.pipeline_registry import RECIPES, STAGES, register_pipelines
from rglcd_pipelines.pipelines.parameters import data_paths

ROOT = Path(__file__).resolve().parents[2]


def test_only_its_own_name_runs_a_recipe() -> None:
    for name, pipeline in register_pipelines().items():
        recipes = {tag for node in pipeline.nodes for tag in node.tags} & set(RECIPES)
        assert recipes == ({name} & set(RECIPES))


def test_a_stage_brings_what_it_needs() -> None:
    pipelines = register_pipelines()
    assert {tag for node in pipelines["encode"].nodes for tag in node.tags} == {"ingest", "encode"}
    assert {tag for node in pipelines["__default__"].nodes for tag in node.tags} == set(STAGES)


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
