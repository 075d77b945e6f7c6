"""An image of any size becomes a square, and it is known where it came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rglcd_pipelines.data.latents.fit import fit


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, np.full_like(red, 7)], axis=-1).astype(np.uint8))


@given(width=st.integers(1, 90), height=st.integers(1, 90), resolution=st.sampled_from([8, 32, 40]))
def test_any_size_becomes_the_square(width: int, height: int, resolution: int):
    fitted = fit(Image.new("RGB", (width, height), (1, 2, 3)), resolution)
    assert fitted.array.shape == (resolution, resolution, 3)
    assert fitted.array.dtype == np.uint8
    assert (fitted.array == (1, 2, 3)).all()
    assert (fitted.width, fitted.height) == (width, height)
    assert min(fitted.crop_top, fitted.crop_left) == 0
    # The crop lies in the middle: what is cut off on either side differs by a pixel at most.
    long = round(max(width, height) * resolution / min(width, height))
    assert max(fitted.crop_top, fitted.crop_left) == (max(long, resolution) - resolution) // 2


def test_a_square_of_the_right_size_is_untouched():
    image = gradient(32, 32)
    assert np.array_equal(fit(image, 32).array, np.asarray(image))


def test_a_short_side_that_fits_is_only_cropped():
    image = gradient(50, 32)
    fitted = fit(image, 32)
    assert (fitted.crop_top, fitted.crop_left) == (0, 9)
    assert np.array_equal(fitted.array, np.asarray(image)[:, 9:41])


@pytest.mark.parametrize(("size", "crop"), [((64, 128), (16, 0)), ((128, 64), (0, 16))])
def test_rows_are_rows_and_columns_are_columns(size: tuple[int, int], crop: tuple[int, int]):
    fitted = fit(gradient(*size), 32)
    assert (fitted.crop_top, fitted.crop_left) == crop
    assert fitted.array[16, 30, 0] > fitted.array[16, 2, 0]
    assert fitted.array[30, 16, 1] > fitted.array[2, 16, 1]


def test_small_images_are_enlarged_and_the_same_image_gives_the_same_bytes():
    small = gradient(10, 14)
    assert fit(small, 64).array.tobytes() == fit(small.copy(), 64).array.tobytes()
    assert fit(small, 64).array.shape == (64, 64, 3)
