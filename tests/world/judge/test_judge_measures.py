import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.judge.measures import lab, measure
from rglcd_pipelines.world.vocabulary import COLOURS
from rglcd_pipelines.world.vocabulary import lab as lab_of_one


@pytest.fixture(scope="module")
def renders() -> Tensor:
    return unit(draw_batch("figures", 7, 128, 32).images)


def softened(images: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def noisy(images: Tensor, sigma: float) -> Tensor:
    return images + sigma * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))


def test_lab_is_the_vocabularys() -> None:
    colours = torch.randint(0, 256, (3, 3, 20, 20), generator=torch.Generator().manual_seed(0))
    colours[0, :, 0, : len(COLOURS)] = torch.tensor(list(COLOURS.values())).T
    colours[0, :, 1, :11] = torch.arange(11)  # where the curve's straight part ends
    found = lab(colours.float() / 255).permute(0, 2, 3, 1).reshape(-1, 3)
    pixels = colours.permute(0, 2, 3, 1).reshape(-1, 3).tolist()
    wanted = torch.tensor([lab_of_one((r, g, b)) for r, g, b in pixels])
    assert torch.allclose(found, wanted, atol=0.01)


def test_contrast_is_in_proportion() -> None:
    halves = torch.zeros(1, 3, 32, 32)
    halves[..., 16:] = 1
    assert measure(halves).contrast.item() == pytest.approx(50, rel=0.01)
    assert measure(halves * 0 + 0.5).contrast.item() == pytest.approx(0, abs=1e-3)


def test_grey_has_no_chroma_and_red_much() -> None:
    red = torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 32, 32)
    assert measure(red.contiguous()).chroma.item() == pytest.approx(104.6, abs=0.5)
    assert measure(torch.full((1, 3, 32, 32), 0.4)).chroma.item() < 0.1


def test_sharpness_falls_with_blur_and_stays_with_contrast(renders: Tensor) -> None:
    sharp = measure(renders).sharpness
    soft = measure(softened(renders)).sharpness
    assert (soft < sharp).all()
    assert (soft < 0.9 * sharp).float().mean() > 0.95
    assert torch.allclose(measure(renders * 0.3 + 0.2).sharpness, sharp, rtol=1e-3)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_noise_is_measured_in_its_sigma(renders: Tensor, sigma: float) -> None:
    plain = measure(noisy(torch.full((64, 3, 32, 32), 0.5), sigma))
    assert plain.noise.mean().item() == pytest.approx(sigma, rel=0.05)
    assert 0.6 * sigma < plain.quiet_noise.mean().item() < sigma
    clean, worse = measure(renders), measure(noisy(renders, sigma))
    assert (worse.noise > clean.noise).all()
    assert (worse.quiet_noise > clean.quiet_noise).float().mean() > 0.95


def test_ramps_and_straight_edges_are_no_noise() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    edge = (torch.arange(32) > 13).float().expand(1, 3, 32, 32)
    for image in (ramp, edge, edge.mT):
        figures = measure(image.contiguous())
        assert math.isclose(figures.noise.item(), 0, abs_tol=1e-6)
