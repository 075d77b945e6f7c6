"""Scores of the original packages, on random weights in their own format, and ours on the same.

scripts/golden has what made the numbers; where it says how, they can be made again.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rglcd_pipelines.config import check
from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.open_clip import Architecture, load_open_clip
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.settings import Place, RewardConfig
from scripts.golden import recipe

CPU = torch.device("cpu")
GOLDEN = Path(__file__).parent / "golden"
SAME: dict[str, Any] = {"atol": 1e-4, "rtol": 0.0}


def golden(name: str, run: str = "224") -> torch.Tensor:
    return torch.tensor(json.loads((GOLDEN / f"{name}.json").read_text())["scores"][run])


def tensors(shapes: recipe.Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in recipe.state(shapes)}


def pictures(side: int = 224) -> torch.Tensor:
    return torch.from_numpy(recipe.pictures(side)).permute(0, 3, 1, 2) / 255


def scores(reward: Reward, images: torch.Tensor, captions: Sequence[str] = recipe.CAPTIONS) -> torch.Tensor:
    """[captions, images]"""
    with torch.no_grad():
        return torch.stack([reward.score(images, [caption] * len(images)) for caption in captions])


def save_hps(folder: Path, sizes: Mapping[str, Any], architecture: str) -> RewardConfig:
    file = "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": tensors(recipe.open_clip(sizes))}, folder / file)
    return RewardConfig(kind="open_clip", id=str(folder), file=file, architecture=architecture)


def save_image_reward(folder: Path, sizes: Mapping[str, Any]) -> RewardConfig:
    torch.save(tensors(recipe.image_reward(sizes)), folder / "ImageReward.pt")
    (folder / "med_config.json").write_text(json.dumps(sizes["text"]))
    words = folder / "bert"
    words.mkdir()
    (words / "vocab.txt").write_text("\n".join(recipe.bert_tokens()) + "\n", encoding="utf-8")
    return RewardConfig(kind="imgrwd", id=str(folder), file="ImageReward.pt", tokenizer=Place(id=str(words)))


@pytest.fixture(scope="module")
def hps(tmp_path_factory: pytest.TempPathFactory) -> RewardConfig:
    folder = tmp_path_factory.mktemp("hps")
    (folder / "narrow.json").write_text(json.dumps(recipe.HPS))
    return save_hps(folder, recipe.HPS, str(folder / "narrow.json"))


def test_hps(hps: RewardConfig) -> None:
    reward = load_reward("hps", {"hps": hps}, CPU)
    torch.testing.assert_close(scores(reward, pictures()), golden("hps"), **SAME)


@pytest.mark.parametrize(("antialias", "run"), [(True, "320 antialiased"), (False, "320 plain")])
def test_hps_shrinks_pictures_alike_either_way(hps: RewardConfig, antialias: bool, run: str) -> None:
    # Its package leaves it to the installed torchvision, which changed its mind.
    catalog = {"hps": hps.model_copy(update={"antialias": antialias})}
    torch.testing.assert_close(
        scores(load_reward("hps", catalog, CPU), pictures(320)), golden("hps", run), **SAME
    )


def test_image_reward(tmp_path: Path) -> None:
    catalog = {"imgrwd": save_image_reward(tmp_path, recipe.IMAGE_REWARD)}
    reward = load_reward("imgrwd", catalog, CPU)
    torch.testing.assert_close(scores(reward, pictures()), golden("imgrwd"), **SAME)


def test_pick_score(tmp_path: Path) -> None:
    # Without a tokenizer's files, it is CLIP's own.
    save_file(tensors(recipe.transformers_clip(recipe.PICK)), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(recipe.PICK))
    config = RewardConfig(kind="clip", id=str(tmp_path), scaled=True)
    reward = load_reward("pick", {"pick": config}, CPU)
    torch.testing.assert_close(scores(reward, pictures()), golden("pick"), **SAME)


def test_aesthetic(tmp_path: Path) -> None:
    torch.save(tensors(recipe.head("", 768)), tmp_path / "aesthetic-model.pth")
    save_file(tensors(recipe.open_clip(recipe.AESTHETIC_CLIP)), tmp_path / "clip.safetensors")
    architecture = check(Architecture, recipe.AESTHETIC_CLIP)
    clip = load_open_clip(tmp_path / "clip.safetensors", architecture, "ViT-L-14")
    clip.save_pretrained(tmp_path / "clip")
    config = RewardConfig(
        kind="aesthetic",
        id=str(tmp_path),
        file="aesthetic-model.pth",
        clip=Place(id=str(tmp_path / "clip")),
    )
    reward = load_reward("aesthetic", {"aesthetic": config}, CPU)
    found = scores(reward, pictures())
    torch.testing.assert_close(found, golden("aesthetic").expand_as(found), **SAME)


in_full = pytest.mark.skipif(
    "RGLCD_FULL_SIZE" not in os.environ, reason="takes minutes and 8 GB of memory; set RGLCD_FULL_SIZE=1"
)


@pytest.mark.slow
@in_full
def test_hps_in_full(tmp_path: Path) -> None:
    reward = load_reward("hps", {"hps": save_hps(tmp_path, recipe.HPS_FULL, "ViT-H-14")}, CPU)
    expected = golden("hps", "full")
    found = scores(reward, pictures(), recipe.CAPTIONS[: len(expected)])
    torch.testing.assert_close(found, expected, **SAME)


@pytest.mark.slow
@in_full
def test_image_reward_in_full(tmp_path: Path) -> None:
    catalog = {"imgrwd": save_image_reward(tmp_path, recipe.IMAGE_REWARD_FULL)}
    reward = load_reward("imgrwd", catalog, CPU)
    torch.testing.assert_close(scores(reward, pictures()), golden("imgrwd", "full"), **SAME)
