"""ImageReward as its authors published it: one checkpoint, and the text tower's sizes beside it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from torch import Tensor

from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.checkpoint import From, Table, check_shapes, in_place, read_state
from rglcd_pipelines.rewards.image_reward import (
    ImageRewardModel,
    ImageRewardModelConfig,
    TextConfig,
    VisionConfig,
)
from rglcd_pipelines.rewards.weights import explain

SIZES = "med_config.json"
WHAT = "the published ImageReward"
HEAD_WIDTH = 64
"""Channels of an attention head in both of BLIP's image towers; a checkpoint does not say it."""
MEAN, STD = 0.16717362830052426, 1.0333394966054072
HEAD = (0, 2, 4, 6, 7)
"""Which of the head's layers have weights: dropout stands between them, but not before the last."""
UNUSED = (
    # What BLIP was pretrained with, and a list of the numbers from 0 on that old versions saved.
    r"blip\.(vision|text)_proj\.(weight|bias)",
    r"blip\.itm_head\.(weight|bias)",
    r"blip\.text_encoder\.embeddings\.position_ids",
)


class Sizes(Config):
    """What counts of med_config.json."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, use_attribute_docstrings=True)

    hidden_size: int = Field(ge=1)
    """Channels of a token."""
    num_hidden_layers: int = Field(ge=1)
    """Blocks of the text tower."""
    num_attention_heads: int = Field(ge=1)
    """Attention heads of a block."""
    vocab_size: int = Field(ge=1)
    """How many tokens there are."""
    max_position_embeddings: int = Field(ge=1)
    """How many positions have an embedding."""


def load_published(file: Path) -> ImageRewardModel:
    """The model of the checkpoint `file`, beside which med_config.json lies, in float32, frozen."""
    state = read_state(file, WHAT)
    config = _config(_sizes(file.parent / SIZES), state, file)
    table = dict(names(config))
    weights = in_place(table, state, file, WHAT, UNUSED)
    model = ImageRewardModel(config)
    check_shapes(weights, model.state_dict(), table, file, WHAT)
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def names(config: ImageRewardModelConfig) -> Iterator[tuple[str, From]]:
    """What each weight is called here, and what there."""
    yield "vision.embeddings.class_embedding", From("blip.visual_encoder.cls_token")
    yield "vision.embeddings.position_embedding", From("blip.visual_encoder.pos_embed")
    yield from _both("vision.embeddings.patch_embedding", "blip.visual_encoder.patch_embed.proj")
    yield from _both("vision.post_layernorm", "blip.visual_encoder.norm")
    for layer in range(config.vision.layers):
        ours, theirs = f"vision.encoder.layers.{layer}", f"blip.visual_encoder.blocks.{layer}"
        yield from _both(f"{ours}.layer_norm1", f"{theirs}.norm1")
        yield from _both(f"{ours}.self_attn.qkv", f"{theirs}.attn.qkv")
        yield from _both(f"{ours}.self_attn.projection", f"{theirs}.attn.proj")
        yield from _both(f"{ours}.layer_norm2", f"{theirs}.norm2")
        yield from _both(f"{ours}.mlp.fc1", f"{theirs}.mlp.fc1")
        yield from _both(f"{ours}.mlp.fc2", f"{theirs}.mlp.fc2")
    for part in _text_parts(config.text.layers):
        # transformers took its text tower from the same source, names and all.
        yield f"text.{part}", From(f"blip.text_encoder.{part}")
    for place, index in enumerate(HEAD):
        yield from _both(f"head.{2 * place}", f"mlp.layers.{index}")


def _text_parts(layers: int) -> Iterator[str]:
    yield "embeddings.word_embeddings.weight"
    yield "embeddings.position_embeddings.weight"
    parts = ["embeddings.LayerNorm"]
    for layer in range(layers):
        block = f"encoder.layer.{layer}"
        for attention in (f"{block}.attention", f"{block}.crossattention"):
            parts += [f"{attention}.self.{which}" for which in ("query", "key", "value")]
            parts += [f"{attention}.output.dense", f"{attention}.output.LayerNorm"]
        parts += [f"{block}.intermediate.dense", f"{block}.output.dense", f"{block}.output.LayerNorm"]
    for part in parts:
        yield from (f"{part}.{kind}" for kind in ("weight", "bias"))


def _both(ours: str, theirs: str) -> Iterator[tuple[str, From]]:
    for kind in ("weight", "bias"):
        yield f"{ours}.{kind}", From(f"{theirs}.{kind}")


def _sizes(file: Path) -> Sizes:
    if not file.is_file():
        raise DataError(f"{file}: is missing; it lies beside the checkpoint of ImageReward. Fetch it too.")
    with explain(file, "sizes of ImageReward"):
        told: Any = json.loads(file.read_text(encoding="utf-8"))
        try:
            return check(Sizes, told)
        except ConfigError as error:
            raise DataError(f"{file}: {error}") from None


def _config(sizes: Sizes, state: Mapping[str, Tensor], file: Path) -> ImageRewardModelConfig:
    """The whole model's sizes: of the text tower as told, of the rest as the weights are."""
    probes: Table = {
        "patches": From("blip.visual_encoder.patch_embed.proj.weight"),
        "positions": From("blip.visual_encoder.pos_embed"),
        **{str(index): From(f"mlp.layers.{index}.weight") for index in HEAD[:-1]},
    }
    if any(source.name not in state for source in probes.values()):
        in_place(probes, state, file, WHAT, unused=(".*",))  # tells which is missing
    patches, positions = (state[probes[name].name].shape for name in ("patches", "positions"))
    layers = {name.split(".")[3] for name in state if name.startswith("blip.visual_encoder.blocks.")}
    width, patch_size = patches[0], patches[-1]
    return ImageRewardModelConfig(
        vision=VisionConfig(
            width=width,
            layers=max(len(layers), 1),
            heads=max(width // HEAD_WIDTH, 1),
            image_size=patch_size * round((positions[1] - 1) ** 0.5),
            patch_size=patch_size,
        ),
        text=TextConfig(
            width=sizes.hidden_size,
            layers=sizes.num_hidden_layers,
            heads=sizes.num_attention_heads,
            vocabulary=sizes.vocab_size,
            positions=sizes.max_position_embeddings,
            length=min(35, sizes.max_position_embeddings),
        ),
        head=[state[probes[str(index)].name].shape[0] for index in HEAD[:-1]],
        mean=MEAN,
        std=STD,
    )
