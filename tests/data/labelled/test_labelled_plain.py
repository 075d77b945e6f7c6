"""Images of every kind come out as the same pixels in eight bits and RGB, or as a verdict."""

import io

import numpy as np
import pytest
from PIL import Image

from rglcd_pipelines.data.images import BadImage, decode
from rglcd_pipelines.data.labelled.plain import plain
from tests.data.make_shards import encoded, picture

UPSIDE_DOWN = 3
ORIENTATION = 0x0112


def turned(image: Image.Image, format: str) -> bytes:
    """Stored upside down, with the note that says so."""
    exif = Image.Exif()
    exif[ORIENTATION] = UPSIDE_DOWN
    return encoded(image.transpose(Image.Transpose.ROTATE_180), format, exif=exif, quality=95)


def pixels(content: bytes) -> np.ndarray:
    """As the encoder will read them."""
    return np.asarray(decode(content, transparency="white"), np.int16)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_plain_images_are_not_touched(mode: str, format: str) -> None:
    content = encoded(picture(1, mode=mode), format)
    found, extension = plain(content)
    assert found == content
    assert Image.registered_extensions()[f".{extension}"] == format


def test_sixteen_bits_of_grey_keep_their_upper_half() -> None:
    values = np.linspace(0, 65535, 40 * 32).reshape(32, 40).astype(np.uint16)
    for format in ("PNG", "TIFF"):
        content, extension = plain(encoded(Image.fromarray(values), format))
        assert extension == "png"
        assert Image.open(io.BytesIO(content)).mode == "RGB"
        assert np.array_equal(pixels(content)[:, :, 1], values >> 8)


@pytest.mark.parametrize("mode", ["CMYK", "P", "RGB", "L"])
def test_the_right_way_up_and_once_only(mode: str) -> None:
    original = picture(2, 40, 30)
    format = "PNG" if mode == "P" else "JPEG"
    found = pixels(plain(turned(original.convert(mode), format))[0])
    expected = np.asarray(original.convert(mode).convert("RGB"), np.int16)
    assert np.abs(found - expected).mean() < 6  # what JPEG takes
    assert np.abs(found[::-1, ::-1] - expected).mean() > 12


def test_what_can_be_seen_through_stands_on_white() -> None:
    glass = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    content, extension = plain(encoded(glass))
    assert extension == "png"
    assert (pixels(content) == 255).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_image"),
        (b"no image at all", "corrupt_image"),
        (encoded(picture(1), "JPEG")[:400], "corrupt_image"),
        (encoded(picture(1, mode="CMYK"), "JPEG")[:900], "corrupt_image"),
        (encoded(picture(1, mode="F"), "TIFF"), "colour_mode"),
        (
            encoded(picture(1), "GIF", save_all=True, append_images=[picture(2)]),
            "animated_image",
        ),
    ],
)
def test_what_is_no_image_is_told(content: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        plain(content)
    assert caught.value.reason == reason
