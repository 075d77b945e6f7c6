"""Images that everybody reads alike: what is not plainly RGB or grey becomes an RGB PNG.

ImageNet has a few JPEGs for print (CMYK), and PNGs and GIFs under other names.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from rglcd_pipelines.data.images import EXTENSION_OF, FORMATS, BadImage, decode, inspect

PLAIN = ("RGB", "L")


def plain(content: bytes) -> tuple[bytes, str]:
    """A plain image as it came or another one as RGB, and its extension; BadImage if it is none."""
    try:
        facts = inspect(content, transparency="white")
    except BadImage as error:
        if error.reason != "colour_mode":
            raise
        content = _png(_eight_bits(content))
    else:
        if facts.mode in PLAIN:
            return content, EXTENSION_OF[facts.format]
    return _png(decode(content, transparency="white")), "png"


def _eight_bits(content: bytes) -> Image.Image:
    """An image whose size was judged and found good, in a mode that `decode` takes, and upright."""
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        image.load()
    except Exception as error:  # as in images.py: what parsers raise is not listed anywhere
        raise BadImage("corrupt_image", str(error)) from None
    if image.mode in ("I", "F"):
        raise BadImage("colour_mode", f"{image.mode}, whose white is not known")
    image = _upright(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    # Of 16 bits a channel, Pillow has dropped the lower half by now.
    return image if image.mode in ("L", "LA", "RGBA") else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are good, whatever the metadata is
        return image


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, exif=b"")
    return file.getvalue()
