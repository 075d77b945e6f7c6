"""How far pictures are from what an autoencoder makes of them."""

import pytest
import torch

from rglcd_pipelines.measures.reconstruction import distance_to_reconstruction


def test_it_is_the_root_mean_square() -> None:
    images = torch.full((2, 3, 4, 4), 0.5)
    changes = torch.zeros(2, 3, 4, 4)
    changes[0, :, :2] = 0.2  # half of the pixels
    found = distance_to_reconstruction(images, lambda each: each + changes)
    assert found.tolist() == pytest.approx([0.2 / 2**0.5, 0.0])


def test_what_is_beyond_white_is_cut_off() -> None:
    images = torch.ones(1, 3, 4, 4)
    assert distance_to_reconstruction(images, lambda each: each + 3).tolist() == [0.0]


def test_a_blurring_autoencoder_is_far_from_noise_and_near_to_smooth_pictures() -> None:
    smooth = torch.linspace(0.2, 0.8, 32).expand(1, 3, 32, 32)
    noisy = smooth + 0.1 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = torch.cat([smooth, noisy])
    near, far = distance_to_reconstruction(
        images, lambda each: torch.nn.functional.avg_pool2d(each, 3, 1, 1, count_include_pad=False)
    ).tolist()
    assert near < 0.01
    assert far == pytest.approx(0.1 * (8 / 9) ** 0.5, abs=0.006)


def test_another_precision_comes_back_as_the_images_are() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = distance_to_reconstruction(images, lambda each: each.bfloat16())
    assert found.dtype == torch.float32
    assert bool((found < 0.002).all())


def test_another_size_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="came back as"):
        distance_to_reconstruction(torch.rand(1, 3, 8, 8), lambda each: each[..., :4, :4])
