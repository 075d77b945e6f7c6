"""Pictures for a judge, what it must say of them, and how it is told where to ask."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.rewards.judge.judge import JudgeReward
from tests.rewards.judge_server import MODEL, Endpoint


def settings(endpoint: Endpoint, cache: Path) -> dict[str, Any]:
    """One request at a time, no waiting; a timeout that a busy machine does not reach."""
    return {
        "base_url": endpoint.base_url,
        "model": MODEL,
        "key_variable": "JUDGE_KEY",
        "at_once": 1,
        "attempts": 4,
        "backoff": 0.0,
        "timeout": 60.0,
        "cache": str(cache),
    }


def pictures(count: int, first: int = 0) -> Tensor:
    """[count, 3, 6, 8], each of another colour; of equal numbers, equal ones."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    colours = torch.stack([numbers * 7, numbers * 11 + 90, numbers * 13 + 40], 1) % 256 / 255
    return colours[:, :, None, None].expand(-1, -1, 6, 8).contiguous()


def captions(count: int, first: int = 0) -> list[str]:
    return [f'picture "{number}"' for number in range(first, first + count)]


def expected(images: Tensor) -> list[Any]:
    """Semantic, quality and overall, as the server marks: red and green for content, blue for quality."""
    red, green, blue = (images * 10).mean((2, 3)).T
    semantic, quality = torch.minimum(red, green), blue
    rows = torch.stack([semantic, quality, (semantic * quality).sqrt()], 1).tolist()
    return [pytest.approx(tuple(row), abs=0.02) for row in rows]


def all_right(judge: JudgeReward, count: int = 3, first: int = 0) -> bool:
    images = pictures(count, first)
    return judge.judge(images, captions(count, first)) == expected(images)
