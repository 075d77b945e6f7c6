"""Every way of making pictures worse makes them worse, the more the stronger, and always in the same way."""

import pytest
import torch

from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.preferences.degrade import DEGRADATIONS, degrade, grey

RENDERS = unit(draw_batch("preferences", 0, 24, 32).images)


def worse(name: str, strength: float, seed: int = 0) -> torch.Tensor:
    kinds = torch.full((len(RENDERS),), list(DEGRADATIONS).index(name))
    strengths = torch.full((len(RENDERS),), strength)
    return degrade(RENDERS, kinds, strengths, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_stronger_the_further_from_the_render(name: str):
    distances = [float((worse(name, strength) - RENDERS).abs().mean()) for strength in (0.0, 0.4, 1.0)]
    assert 0 < distances[0] < distances[1] < distances[2]
    degraded = worse(name, 1.0)
    assert degraded.min() >= 0
    assert degraded.max() <= 1


def detail(images: torch.Tensor) -> float:
    return float((images[..., 1:] - images[..., :-1]).square().mean())


def spread(images: torch.Tensor) -> float:
    return float(images.flatten(1).std(1).mean())


def colourfulness(images: torch.Tensor) -> float:
    return float((images - grey(images)).abs().mean())


def test_each_does_what_its_name_says():
    blurred, noisy, squares = worse("blur", 0.7), worse("white_noise", 0.7), worse("pixelation", 1.0)
    assert detail(blurred) < 0.4 * detail(RENDERS)
    assert detail(noisy) > 1.5 * detail(RENDERS)
    assert float((squares[..., 0::4] - squares[..., 3::4]).abs().max()) < 1e-6
    assert spread(worse("low_contrast", 0.7)) < 0.5 * spread(RENDERS)
    assert spread(worse("high_contrast", 0.7)) > 1.2 * spread(RENDERS)
    assert colourfulness(worse("low_saturation", 1.0)) < 1e-6
    assert colourfulness(worse("high_saturation", 0.5)) > colourfulness(RENDERS)
    assert float((worse("colour_cast", 0.5) - RENDERS).mean((0, 2, 3)).abs().max()) < 0.2


def test_every_blur_has_its_own_width():
    strengths = torch.linspace(0, 1, len(RENDERS))
    together = degrade(RENDERS, torch.zeros(len(RENDERS)).long(), strengths, torch.Generator())
    for i in (0, 9, 23):
        alone = degrade(RENDERS[i : i + 1], torch.zeros(1).long(), strengths[i : i + 1], torch.Generator())
        torch.testing.assert_close(together[i : i + 1], alone)


def test_the_seed_decides_and_the_untouched_stay_so():
    assert torch.equal(worse("white_noise", 0.5, seed=1), worse("white_noise", 0.5, seed=1))
    assert not torch.equal(worse("white_noise", 0.5, seed=1), worse("white_noise", 0.5, seed=2))
    kinds = torch.arange(len(RENDERS)) % (len(DEGRADATIONS) + 1) - 1
    before = RENDERS.clone()
    mixed = degrade(RENDERS, kinds, torch.full((len(RENDERS),), 0.5), torch.Generator().manual_seed(0))
    assert torch.equal(mixed[kinds == -1], RENDERS[kinds == -1])
    assert bool(((mixed - RENDERS).abs().flatten(1).amax(1) > 0).equal(kinds != -1))
    assert torch.equal(RENDERS, before)


@pytest.mark.parametrize("side", [16, 64])
def test_at_other_resolutions_too(side: int):
    images = unit(draw_batch("preferences", 1, 10, side).images)
    degraded = degrade(images, torch.arange(10), torch.full((10,), 0.5), torch.Generator().manual_seed(0))
    assert degraded.shape == images.shape
    assert bool(((degraded - images).abs().flatten(1).amax(1) > 0).all())
