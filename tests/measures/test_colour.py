"""Colours whose CIELAB values are published, and what is made of them."""

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.measures.colour import brightness, contrast, lab, saturation

PUBLISHED = {
    # sRGB: L*, a*, b* under D65
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (119, 119, 119): (50.03, 0.0, 0.0),
    (10, 10, 10): (2.74, 0.0, 0.0),
}


def flat(*rgb: int, side: int = 4) -> Tensor:
    return (torch.tensor(rgb) / 255)[:, None, None].expand(3, side, side)


@pytest.mark.parametrize("rgb", PUBLISHED)
def test_colours_are_where_they_are_published(rgb: tuple[int, int, int]) -> None:
    assert lab(flat(*rgb)[None])[0, :, 0, 0].tolist() == pytest.approx(PUBLISHED[rgb], abs=0.02)


def test_greys_have_no_saturation() -> None:
    greys = torch.stack([flat(value, value, value) for value in (0, 5, 10, 100, 255)])
    assert saturation(greys).tolist() == pytest.approx([0.0] * 5, abs=1e-3)


def test_saturation_is_the_mean_chroma() -> None:
    half = flat(255, 0, 0).clone()
    half[:, :, 2:] = 0.5
    assert saturation(torch.stack([flat(255, 0, 0), half])).tolist() == pytest.approx(
        [104.55, 52.28], abs=0.02
    )


def test_contrast_is_the_deviation_of_lightness() -> None:
    halves = flat(255, 255, 255).clone()
    halves[:, 2:] = 0
    images = torch.stack([halves, flat(255, 0, 0), 0.5 + 0.5 * halves])
    found = contrast(images).tolist()
    assert found[:2] == pytest.approx([50.0, 0.0], abs=1e-3)
    assert found[2] == pytest.approx((100 - 53.39) / 2, abs=0.02)  # of a grey of 0.5 and white


def test_brightness_is_the_mean_lightness() -> None:
    images = torch.stack([flat(255, 255, 255), flat(255, 0, 0), flat(0, 0, 0)])
    assert brightness(images).tolist() == pytest.approx([100.0, 53.24, 0.0], abs=0.01)


def test_what_no_screen_shows_is_cut_off() -> None:
    wide = torch.cat([flat(255, 0, 0)[None] * 1.5, flat(255, 0, 0)[None]])
    wide[0, 1:] = -0.2
    for measure in (saturation, contrast, brightness):
        first, second = measure(wide).tolist()
        assert first == pytest.approx(second, abs=1e-4)


def test_each_picture_is_measured_by_itself() -> None:
    images = torch.rand(3, 3, 20, 12, generator=torch.Generator().manual_seed(0))
    for measure in (saturation, contrast, brightness):
        alone = torch.cat([measure(image[None]) for image in images])
        assert measure(images).shape == (3,)
        assert torch.allclose(measure(images), alone)
