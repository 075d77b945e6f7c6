"""Pictures that take little room as JPEG and yet have contrast."""

import io
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.catalog import load_mix, load_reward
from rglcd_pipelines.rewards.compression import CompressionReward
from rglcd_pipelines.rewards.settings import CompressionConfig, RewardConfig
from tests.rewards.tiny_models import CAPTIONS, pictures

CPU = torch.device("cpu")
SIDE = 64


def flat(value: float) -> Tensor:
    return torch.full((3, SIDE, SIDE), value)


def halves() -> Tensor:
    """Half black, half white: all the contrast that there can be, and nearly nothing to write down."""
    picture = flat(0.0)
    picture[:, :, SIDE // 2 :] = 1.0
    return picture


def score(images: Tensor, **settings: Any) -> list[float]:
    reward = CompressionReward("small", CompressionConfig(**settings))
    return reward.score(images, [""] * len(images)).tolist()


def test_contrast_pleases_and_noise_does_not() -> None:
    noise = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    best, middle, worst = score(torch.stack([halves(), flat(0.5), noise]))
    assert best > middle > worst


def test_each_part_is_what_it_says() -> None:
    images = torch.stack([halves(), flat(0.2), flat(0.9)])
    assert score(images, size_weight=0.0, contrast_weight=2.0) == pytest.approx([1.0, 0.0, 0.0])
    noise = pictures(2, SIDE)
    file = io.BytesIO()
    Image.fromarray((noise[1] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=30)
    expected = -3 * len(file.getvalue()) / SIDE**2
    assert score(noise, quality=30, size_weight=3.0, contrast_weight=0.0)[1] == pytest.approx(expected)
    coarse, fine = (score(noise, quality=quality, contrast_weight=0.0)[0] for quality in (10, 90))
    assert coarse > fine


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40))
def test_each_picture_by_itself(count: int, height: int, width: int) -> None:
    images = torch.rand(count, 3, height, width)
    alone = [score(images[index : index + 1])[0] for index in range(count)]
    assert score(images) == alone


def test_what_comes_back() -> None:
    images = pictures().requires_grad_()
    reward = CompressionReward("small", CompressionConfig())
    found = reward.score(images, CAPTIONS)
    assert (found.dtype, found.shape, found.requires_grad) == (torch.float32, (3,), False)
    assert torch.equal(found, reward.score(images, ["x", "y", "z"]))
    assert torch.equal(
        found, reward.score(images.double() + torch.tensor([0.0])[:, None, None, None], CAPTIONS)
    )
    assert reward.score(images[:0], []).shape == (0,)
    assert not reward.differentiable
    with pytest.raises(ValueError, match="3 images and 1 captions"):
        reward.score(images, ["x"])
    with pytest.raises(DataError, match=r"rewards\.small: picture 1 of 3 holds values that are no numbers"):
        reward.score(images * float("inf"), CAPTIONS)


def test_beyond_black_and_white_there_is_nothing() -> None:
    assert score(torch.stack([halves() * 3 - 1])) == score(torch.stack([halves()]))


def test_it_is_loaded_by_its_name() -> None:
    catalog = {
        "small": check(RewardConfig, {"kind": "compression"}),
        "rough": check(RewardConfig, {"kind": "compression", "compression": {"quality": 10}, "cap": -0.7}),
    }
    for config in catalog.values():
        assert check(RewardConfig, config.model_dump()) == config
    images = pictures()
    plain = load_reward("small", catalog, CPU).score(images, CAPTIONS)
    assert plain.tolist() == score(images)
    capped = load_reward("rough", catalog, CPU).score(images, CAPTIONS)
    free = torch.tensor(score(images, quality=10))
    assert torch.allclose(capped, (free + 0.7).clamp(max=0))
    mix = load_mix({"small": 1.0, "rough": 2.0}, catalog, CPU)
    assert torch.allclose(mix.score(images, CAPTIONS), plain + 2 * capped)
    assert not mix.differentiable


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"compression": {"quality": 0}}, r"rewards\.x\.compression\.quality"),
        ({"compression": {"quality": 100}}, r"rewards\.x\.compression\.quality"),
        ({"compression": {"size_weight": float("nan")}}, r"rewards\.x\.compression\.size_weight"),
        ({"compression": {"sizes": 1.0}}, r"there is no such parameter"),
        ({"id": "folder"}, r"id means nothing for compression"),
        ({"antialias": False}, r"antialias means nothing for compression"),
        (
            {"judge": {"base_url": "http://a", "model": "b"}},
            r"judge means nothing for compression, only for judge",
        ),
    ],
)
def test_what_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(RewardConfig, {"kind": "compression", **values}, "rewards.x")
