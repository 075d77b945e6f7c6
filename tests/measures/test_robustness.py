"""Changes that people overlook, and what they take from scores that hang on noise."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.measures.robustness import drop, jpeg, shifted
from rglcd_pipelines.measures.spectrum import high_frequency

CAPTIONS = ["one", "two"]


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("quality", [75, 30])
def test_jpeg_is_what_files_would_hold(quality: int) -> None:
    images = random(2, 3, 20, 28)
    changed = jpeg(images, quality)
    for image, found in zip(images, changed, strict=True):
        file = io.BytesIO()
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
        expected = np.asarray(Image.open(file))
        assert np.array_equal((found * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_jpeg_halves_the_resolution_of_colour() -> None:
    """A red pixel beside a green one of the same luma becomes the colour between both."""
    pixels = torch.zeros(1, 3, 16, 16)
    pixels[:, 0, :, ::2] = 1.0
    pixels[:, 1, :, 1::2] = 0.299 / 0.587
    reds = jpeg(pixels, 95)[0, 0]
    assert float(reds.std()) < 0.05 < float(pixels[0, 0].std())


def test_jpeg_hardly_changes_a_smooth_picture_and_takes_noise_away() -> None:
    at = torch.arange(64) / 64
    smooth = (0.5 + 0.3 * torch.cos(2 * torch.pi * at)).expand(1, 3, 64, 64)
    noisy = smooth + 0.05 * (random(1, 3, 64, 64) - 0.5)
    assert float((jpeg(smooth) - smooth).abs().max()) < 0.03
    assert float(high_frequency(jpeg(noisy))) < 0.5 * float(high_frequency(noisy))


def test_jpeg_keeps_kind_and_refuses_what_is_no_number() -> None:
    assert jpeg(random(2, 3, 16, 16).double()).dtype == torch.float64
    broken = random(2, 3, 16, 16)
    broken[1, 0, 3, 3] = torch.nan
    with pytest.raises(DataError, match="Picture 2 of 2"):
        jpeg(broken)


def test_shifted_moves_right_and_down_and_repeats_the_edge() -> None:
    image = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]).expand(1, 3, 3, 3)
    assert shifted(image, 1)[0, 0].tolist() == [[1, 1, 2], [1, 1, 2], [4, 4, 5]]
    assert shifted(image)[0, 2].tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert torch.equal(shifted(image, 0), image)


def test_drop_is_what_the_change_takes_away() -> None:
    asked: list[Sequence[str]] = []

    def score(images: Tensor, captions: Sequence[str]) -> Tensor:
        asked.append(captions)
        return images.mean((1, 2, 3))

    images = torch.stack([torch.full((3, 4, 4), 0.8), torch.full((3, 4, 4), 0.4)])
    assert drop(score, images, CAPTIONS, lambda each: each / 2).tolist() == pytest.approx([0.4, 0.2])
    assert asked == [CAPTIONS, CAPTIONS]


def test_a_score_of_noise_drops_under_jpeg_and_one_of_brightness_does_not() -> None:
    images = 0.5 + 0.1 * (random(2, 3, 32, 32) - 0.5)
    noise = drop(lambda each, _: high_frequency(each), images, CAPTIONS, jpeg)
    bright = drop(lambda each, _: each.mean((1, 2, 3)), images, CAPTIONS, jpeg)
    assert bool((noise > 0.5 * high_frequency(images)).all())
    assert bool((bright.abs() < 0.005).all())
