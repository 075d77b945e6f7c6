"""Spectra of noise of known colour, and of waves of known frequency."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rglcd_pipelines.measures.pixels import luma
from rglcd_pipelines.measures.spectrum import high_frequency, high_frequency_share, spectral_slope


def noise(count: int, height: int, width: int, exponent: float) -> Tensor:
    """Grey pictures cut out of noise whose power falls as |f|^-exponent, so that borders do not match."""
    random = torch.Generator().manual_seed(0)
    field = torch.randn(count, 2 * height, 2 * width, generator=random, dtype=torch.float64)
    y, x = (torch.fft.fftfreq(side, dtype=torch.float64) for side in field.shape[-2:])
    frequency = torch.hypot(y[:, None], x[None, :])
    frequency[0, 0] = 1
    coloured = torch.fft.ifft2(torch.fft.fft2(field) * frequency ** (-exponent / 2)).real
    return grey((0.5 + 0.05 * coloured / coloured.std())[:, :height, :width])


def grey(values: Tensor) -> Tensor:
    return values.float()[:, None].expand(-1, 3, -1, -1)


def wave(side: int, across: int, down: int, amplitude: float = 0.25) -> Tensor:
    """One grey picture with so many whole cycles along each side."""
    at = torch.arange(side) / side
    return grey((0.5 + amplitude * torch.sin(2 * math.pi * (across * at + down * at[:, None])))[None])


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (192, 96)])
def test_the_slope_of_noise_is_that_of_its_colour(exponent: float, height: int, width: int) -> None:
    slopes = spectral_slope(noise(128 if height < 100 else 24, height, width, exponent))
    assert float(slopes.mean()) == pytest.approx(-exponent, abs=0.12)


def test_the_slope_knows_neither_contrast_nor_brightness() -> None:
    images = noise(4, 40, 32, 1.0)
    assert spectral_slope(0.2 + 0.3 * images).tolist() == pytest.approx(
        spectral_slope(images).tolist(), abs=1e-3
    )


def test_blur_makes_the_slope_steeper_and_noise_makes_it_flatter() -> None:
    images = noise(8, 32, 32, 1.0)
    blurred = torch.nn.functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    noisy = images + grey(0.05 * torch.randn(8, 32, 32, generator=torch.Generator().manual_seed(1)))
    steep, plain, flat = (float(spectral_slope(each).mean()) for each in (blurred, images, noisy))
    assert steep < plain - 0.5 < plain + 0.2 < flat


def test_a_flat_picture_has_no_slope_and_no_share() -> None:
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert spectral_slope(flat).tolist() == pytest.approx([0.0], abs=1e-4)
    assert high_frequency_share(flat).tolist() == [0.0]
    assert high_frequency(flat).tolist() == pytest.approx([0.0], abs=1e-12)


def test_too_small_a_picture_has_no_slope() -> None:
    with pytest.raises(ValueError, match=r"12×40.*at least 16"):
        spectral_slope(torch.rand(1, 3, 40, 12))


@pytest.mark.parametrize(
    ("across", "down", "fine"),
    [(15, 0, False), (17, 0, True), (0, 17, True), (12, 12, True), (11, 11, False)],
)
def test_a_wave_counts_above_its_own_frequency_alone(across: int, down: int, fine: bool) -> None:
    """Of 64 pixels, 16 cycles are a quarter of a cycle a pixel; of slanting waves the hypotenuse counts."""
    image = wave(64, across, down)
    assert float(high_frequency(image)) == pytest.approx(0.25**2 / 2 if fine else 0.0, abs=1e-7)
    assert float(high_frequency_share(image)) == pytest.approx(float(fine), abs=1e-5)


def test_a_limit_of_ones_own() -> None:
    both = (wave(32, 4, 0) + wave(32, 0, 13)) / 2
    energy = 0.125**2 / 2
    assert [float(high_frequency(both, above)) for above in (0.1, 0.2, 0.45)] == pytest.approx(
        [2 * energy, energy, 0.0], abs=1e-7
    )
    assert float(high_frequency_share(both, 0.2)) == pytest.approx(0.5, abs=1e-5)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1_000))
def test_all_energy_is_the_variance_of_luma(height: int, width: int, seed: int) -> None:
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    variance = luma(images).flatten(1).var(1, correction=0)
    assert torch.allclose(high_frequency(images, above=0.0), variance, rtol=1e-4, atol=1e-7)
    assert bool((high_frequency(images) <= variance * 1.0001).all())


def test_white_noise_has_four_fifths_of_its_energy_there() -> None:
    """All but a circle of radius a quarter in the unit square."""
    random = torch.Generator().manual_seed(0)
    images = 0.5 + 0.1 * grey(torch.randn(16, 64, 64, generator=random))
    assert float(high_frequency_share(images).mean()) == pytest.approx(1 - math.pi / 16, abs=0.01)
    assert float(high_frequency(images).mean()) == pytest.approx(0.01 * (1 - math.pi / 16), rel=0.03)


def test_half_precision_is_measured_in_float32() -> None:
    images = noise(2, 32, 32, 1.0)
    for measure in (high_frequency, high_frequency_share, spectral_slope):
        found = measure(images.bfloat16())
        assert found.dtype == torch.float32
        assert torch.equal(found, measure(images.bfloat16().float()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_measures_the_same() -> None:
    images = noise(4, 48, 32, 1.0)
    for measure in (high_frequency, high_frequency_share, spectral_slope):
        assert torch.allclose(measure(images.cuda()).cpu(), measure(images), rtol=1e-3, atol=1e-4)
