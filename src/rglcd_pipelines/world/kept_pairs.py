"""Held-out preference pairs that stay with the finished world: all pictures in one, and what people said.

As safetensors they would be several times as large, and git keeps them for ever.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world.preferences.load import Preferences, load_preferences
from rglcd_pipelines.world.preferences.pairs import PEOPLE
from rglcd_pipelines.world.preferences.split import HELD_OUT

PICTURES, LABELS = "held_out.webp", "held_out.json"
KEPT = 500
"""The most that are kept."""
PAIRS_A_ROW = 25


def keep_pairs(preferences: Path, folder: Path) -> None:
    """The first held-out pairs of a "preferences" folder, in `folder`."""
    seen = {taste: load_preferences(preferences, HELD_OUT.name, taste) for taste in PEOPLE}
    first = next(iter(seen.values()))
    Image.fromarray(_sheet(first.images[:KEPT])).save(
        folder / PICTURES, "WEBP", lossless=True, quality=100, method=6
    )
    tastes = {
        taste: {
            "differences": [float(f"{value:.6g}") for value in pairs.differences[:KEPT].tolist()],
            "first": pairs.first[:KEPT].tolist(),
        }
        for taste, pairs in seen.items()
    }
    told = {"captions": first.captions[:KEPT], "sources": first.sources[:KEPT].tolist(), "tastes": tastes}
    write_json(folder / LABELS, told)


def read_pairs(folder: Path, taste: str) -> Preferences:
    """The kept pairs with the labels of one taste."""
    try:
        told = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        with Image.open(folder / PICTURES) as sheet:
            images = _pictures(np.asarray(sheet), len(told["captions"]))
        labels = told["tastes"][taste]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: the held-out pairs cannot be read ({error}).") from None
    return Preferences(
        images=images,
        captions=told["captions"],
        differences=torch.tensor(labels["differences"]),
        first=torch.tensor(labels["first"]),
        sources=torch.tensor(told["sources"], dtype=torch.uint8),
    )


def _sheet(images: Tensor) -> np.ndarray:
    """[pair, 2, 3, H, W] as one picture, pairs side by side from left to right and from top to bottom."""
    count, side = len(images), images.shape[-1]
    rows = -(-count // PAIRS_A_ROW)
    cells = np.zeros((rows * PAIRS_A_ROW, 2, 3, side, side), np.uint8)
    cells[:count] = images.numpy()
    grid = cells.reshape(rows, 2 * PAIRS_A_ROW, 3, side, side).transpose(0, 3, 1, 4, 2)
    return grid.reshape(rows * side, 2 * PAIRS_A_ROW * side, 3)


def _pictures(sheet: np.ndarray, count: int) -> Tensor:
    """The way back."""
    side = sheet.shape[1] // (2 * PAIRS_A_ROW)
    rows = sheet.shape[0] // side
    grid = sheet.reshape(rows, side, 2 * PAIRS_A_ROW, side, 3).transpose(0, 2, 4, 1, 3)
    cells = grid.reshape(rows * PAIRS_A_ROW, 2, 3, side, side)
    return torch.from_numpy(np.ascontiguousarray(cells[:count]))
