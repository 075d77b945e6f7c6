"""open_clip's image towers, for latents: other channels, and any size."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.latent_reward.settings import TowerConfig

POSITIONS = {"vit": "positional_embedding", "resnet": "attnpool.positional_embedding"}
"""Where each kind keeps its position embeddings: one for the whole image, then a square of them."""
STAGES = ("layer1", "layer2", "layer3", "layer4")


def vision_cfg(config: TowerConfig, side: int) -> dict[str, Any]:
    """The tower as open_clip's JSON files describe it."""
    told = {"layers": config.layers, "width": config.width, "head_width": config.head_width}
    if config.kind == "resnet":
        # Its stem would shrink by four, and the size of its last map is counted from that.
        return told | {"image_size": 4 * side}
    # The mean of all tokens: a token that only collects takes long to learn where from.
    return told | {
        "image_size": side,
        "patch_size": config.patch_size,
        "mlp_ratio": config.mlp_ratio,
        "pool_type": "avg",
    }


def build_tower(
    config: TowerConfig, channels: int, side: int, embedding: int, quick_gelu: bool = False
) -> nn.Module:
    """The tower for latents [B, channels, side, side], with random weights."""
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    check_side(config, side)
    tower: Any = _build_vision_tower(embedding, CLIPVisionCfg(**vision_cfg(config, side)), quick_gelu)
    old = tower.conv1
    if config.kind == "vit":
        tower.conv1 = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, bias=False)
    else:
        tower.conv1 = nn.Conv2d(channels, old.out_channels, old.kernel_size, padding=1, bias=False)
        tower.avgpool = nn.Identity()
    return tower


def check_side(config: TowerConfig, side: int) -> None:
    """Refuse latents that the tower cannot cut into whole squares."""
    if side % config.shrinks:
        raise ConfigError(
            f"lrm.tower: a side of {side} cannot be divided by {config.shrinks}; change "
            + ("patch_size" if config.kind == "vit" else "kind")
        )


def resampled(positions: Tensor, side: int) -> Tensor:
    """Position embeddings [1 + n * n, D] for a square of `side * side` tokens."""
    first, square = positions[:1], positions[1:]
    old = round(len(square) ** 0.5)
    if old == side:
        return positions
    grid = square.float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([first.float(), grid.permute(0, 2, 3, 1).reshape(side * side, -1)]).to(positions.dtype)


def last_blocks(config: TowerConfig, tower: nn.Module, count: int, where: str) -> list[nn.Module]:
    """The last `count` blocks; `where` is the parameter that asks for them."""
    found: Any = tower
    if config.kind == "vit":
        blocks = list(found.transformer.resblocks)
    else:
        blocks = [block for stage in STAGES for block in getattr(found, stage)]
    return pick_last(cast("Sequence[nn.Module]", blocks), count, where)


def pick_last(blocks: Sequence[nn.Module], count: int, where: str) -> list[nn.Module]:
    """The last `count` of `blocks`, of which there must be as many."""
    if count > len(blocks):
        raise ConfigError(f"{where}: is {count}, but there are {len(blocks)} blocks; lower it")
    return list(blocks)[len(blocks) - count :]


class PlainAttention(nn.MultiheadAttention):
    """Attention step by step: torch's fused one is slow in the backward pass on a CPU."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return super().forward(*inputs, **named | {"need_weights": True, "average_attn_weights": False})


def plain_attention(tower: nn.Module) -> None:
    """Have all of a tower's attention computed step by step."""
    for module in tower.modules():
        if type(module) is nn.MultiheadAttention:
            module.__class__ = PlainAttention
