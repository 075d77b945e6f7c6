"""Encoded images: what one is, and its pixels as RGB, without trusting a byte of it.

Only the parsers of a few formats are ever tried, sizes are judged from the header before anything is decoded,
and none of Pillow's global settings is touched, so every function may be called from many threads.
"""

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any, Literal

# TIFF and WEBP are not among the parsers that Pillow loads by itself; threads should not do it at once.
from PIL import Image, ImageFile, TiffImagePlugin, WebPImagePlugin  # noqa: F401
from PIL.ExifTags import Base as ExifTag

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
EXTENSION_OF = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
MAX_PIXELS = 89_478_485

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What an EXIF orientation other than 1 asks for."""

Transparency = Literal["reject", "white"]

_MUTED = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


class BadImage(ValueError):  # noqa: N818
    """An image that cannot be used, and why: a verdict to be counted, hence the name."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return BadImage, (self.reason,)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image is; width and height as one sees it, with the EXIF orientation applied."""

    width: int
    height: int
    mode: str
    format: str


def inspect(
    content: bytes, max_pixels: int = MAX_PIXELS, transparency: Transparency = "reject"
) -> ImageFacts:
    """The facts of an image that `decode` takes; every pixel of it has been decoded."""
    image = _load(content, max_pixels, transparency)
    width, height = image.size
    if _orientation(image) >= 5:  # turned by 90° either way
        width, height = height, width
    return ImageFacts(width, height, image.mode, _format(image))


def decode(
    content: bytes, max_pixels: int = MAX_PIXELS, transparency: Transparency = "reject"
) -> Image.Image:
    """The pixels of an image, upright and in RGB; a transparent one stands on white if that is allowed."""
    image = _load(content, max_pixels, transparency)
    orientation = _orientation(image)
    if image.has_transparency_data:
        image = _on_white(image)  # changes nothing where the alpha channel is opaque
    image = image.convert("RGB")
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _load(content: bytes, max_pixels: int, transparency: Transparency) -> Image.Image:
    if not content:
        raise BadImage("empty_image")
    # Pillow complains of odd metadata by warnings. catch_warnings is no way to mute them: before Python 3.14
    # it is not safe among threads. A filter that names Pillow's modules alone, and stays, is.
    if _MUTED not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        return _load_or_raise(content, max_pixels, transparency)
    except (BadImage, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise BadImage("too_many_pixels", str(error)) from None
    except Exception as error:  # what the parsers raise on hostile bytes is not listed anywhere
        raise BadImage("corrupt_image", str(error)) from None


def _load_or_raise(content: bytes, max_pixels: int, transparency: Transparency) -> Image.Image:
    # The WEBP parser allocates the canvas as soon as it opens a file.
    _check_pixels(*_webp_size(content), max_pixels)
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    _check_pixels(*image.size, max_pixels)
    # A JPEG with a second picture behind it (MPO: a camera's preview or depth map) is still one photograph.
    if _format(image) != "JPEG" and getattr(image, "is_animated", False):
        raise BadImage("animated_image")
    if image.mode not in MODES or _is_16_bit(image):
        raise BadImage("colour_mode", image.mode)
    image.load()
    if transparency == "reject" and image.has_transparency_data and not _opaque(image):
        raise BadImage("transparent_image")
    return image


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadImage("too_many_pixels", f"{width}×{height}")


def _format(image: Image.Image) -> str:
    return "JPEG" if image.format == "MPO" else image.format or ""


def _is_16_bit(image: ImageFile.ImageFile) -> bool:
    """Whether the file has 16 bits a channel; Pillow opens such RGB as RGB and drops the lower half."""
    return image.format in ("PNG", "TIFF") and any(";16" in str(tile[3]) for tile in image.tile)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or where the EXIF data cannot be read."""
    try:
        orientation = image.getexif().get(ExifTag.Orientation, 1)
    except Exception:  # as above: the pixels are good, whatever the metadata is
        return 1
    return orientation if orientation in range(1, 9) else 1


def _opaque(image: Image.Image) -> bool:
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return lowest == 255


def _on_white(image: Image.Image) -> Image.Image:
    colours = image.convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours)


def _webp_size(content: bytes) -> tuple[int, int]:
    """The canvas that a WEBP header promises; (0, 0) for everything else."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return 0, 0
    kind = content[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = int.from_bytes(content[26:28], "little"), int.from_bytes(content[28:30], "little")
    return width & 0x3FFF, height & 0x3FFF
