"""The world in git: whole, small enough, made from the settings in conf, and as good as it must be."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.world.folder import COMMITTED, MAX_BYTES, finished, open_world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def world() -> Artifact:
    return open_world(ROOT / COMMITTED)


def test_every_file_is_as_it_was_written_and_git_need_not_keep_more(world: Artifact) -> None:
    sizes = [(world.path / name).stat().st_size for name in world.manifest["files"]]
    assert sum(sizes) == world.manifest["bytes"] <= MAX_BYTES
    there = {file.relative_to(world.path).as_posix() for file in world.path.rglob("*") if file.is_file()}
    assert there == {*world.manifest["files"], "manifest.json", "README.md"}


def test_every_figure_holds_its_bar(world: Artifact) -> None:
    from rglcd_pipelines.world.figures import BARS

    missed = {name: world.manifest["figures"][name] for name, bar in BARS.items() if
              not world.manifest["figures"][name] >= bar}  # fmt: skip
    assert missed == {}


def test_its_card_and_its_sheet_are_its_own(world: Artifact) -> None:
    card = (world.path / "README.md").read_text(encoding="utf-8")
    for name, value in world.manifest["figures"].items():
        assert f"| {name} | {value:.4g} |" in card
    with Image.open(ROOT / "data/08_reporting/base/world.png") as sheet:
        assert sheet.info["world"] == world.digest


def test_the_recipe_finds_it_done(world: Artifact) -> None:
    from rglcd_pipelines.pipelines.world.config import WorldConfig
    from rglcd_pipelines.pipelines.world.recipe import FORMATS

    told: dict[str, Any] = yaml.safe_load((ROOT / "conf/base/parameters_world.yml").read_text())["world"]
    assert finished(world.path, check(WorldConfig, told, "world").model_dump(), FORMATS) is not None


@pytest.mark.slow
def test_fast_figures_are_what_the_manifest_says(world: Artifact) -> None:
    """Not to the last digit: another machine's threads add up in another order."""
    from rglcd_pipelines.world.batches import draw_batch
    from rglcd_pipelines.world.figures import (
        autoencoder_figures,
        judge_figures,
        stand_in_figures,
        zero_shot,
    )
    from rglcd_pipelines.world.judge import Judge

    told, device = world.manifest["figures"], torch.device("cpu")
    judge = Judge.load(world.path / "judge", device)
    renders = world.manifest["measured"]["renders"]
    batch = draw_batch("figures", 0, renders, judge.resolution, held_out=True)
    found = autoencoder_figures(world.path, judge, batch, device) | judge_figures(judge, renders)
    found |= {"clip_zero_shot": zero_shot(world.path, device)}
    for name in ("hps", "pick", "imgrwd"):
        found |= stand_in_figures(world.path, name, device)
    for name, value in found.items():
        assert value == pytest.approx(told[name], rel=0.02, abs=0.005), name
