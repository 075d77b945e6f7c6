"""Reading preference pairs."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rglcd_pipelines.errors import DataError, first_line

LABELS = "labels.safetensors"


@dataclass(frozen=True)
class Preferences:
    """The pairs of one split, with the labels of one taste."""

    images: Tensor
    """[pair, 2, 3, H, W], uint8."""
    captions: list[str]
    differences: Tensor
    """[pair]: by how much the rule of taste prefers the first picture."""
    first: Tensor
    """[pair]: whether it is preferred, which the rule decides through noise."""
    sources: Tensor
    """[pair]: indexes of SOURCES."""


def chunk_name(split: str, index: int) -> str:
    return f"{split}-{index:04d}.safetensors"


def load_preferences(folder: Path, split: str, taste: str) -> Preferences:
    """The pairs of `split` ("train" or "held_out") as `taste` sees them."""
    try:
        labels = _read(folder / LABELS)[0]
        chunks = [_read(file) for file in sorted(folder.glob(f"{split}-*.safetensors"))]
        joined = {name: torch.cat([tensors[name] for tensors, _ in chunks]) for name in ("images", "sources")}
        return Preferences(
            images=joined["images"],
            captions=[caption for _, captions in chunks for caption in captions],
            differences=labels[f"{split}.{taste}.differences"],
            first=labels[f"{split}.{taste}.first"].bool(),
            sources=joined["sources"],
        )
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(
            f"{folder}: the preference pairs cannot be read ({first_line(error)}). "
            "Remove the folder and make them again with: kedro run --pipeline=world"
        ) from None


def _read(file: Path) -> tuple[dict[str, Tensor], list[str]]:
    with safe_open(file, "pt") as opened:
        captions = json.loads((opened.metadata() or {}).get("captions", "[]"))
        return {name: opened.get_tensor(name) for name in opened.keys()}, captions  # noqa: SIM118
