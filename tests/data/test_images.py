"""Images are judged from their bytes: the good ones come out upright in RGB, the bad ones with a reason."""

import io
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from rglcd_pipelines.data.images import BadImage, ImageFacts, decode, inspect
from tests.data.make_shards import encoded, picture

ENCODINGS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
}


def reason_of(content: bytes, **limits: object) -> str:
    with pytest.raises(BadImage) as inspected:
        inspect(content, **limits)  # type: ignore[arg-type]
    with pytest.raises(BadImage) as decoded:
        decode(content, **limits)  # type: ignore[arg-type]
    assert inspected.value.reason == decoded.value.reason
    return inspected.value.reason


@pytest.mark.parametrize("format", ENCODINGS)
def test_every_format_is_read(format: str) -> None:
    content = encoded(picture(1, 40, 30), format, **ENCODINGS[format])
    facts = inspect(content)
    assert (facts.width, facts.height, facts.format) == (40, 30, format)
    image = decode(content)
    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_grey_and_palette_become_rgb(mode: str) -> None:
    original = picture(2, mode=mode)
    assert np.array_equal(np.asarray(decode(encoded(original))), np.asarray(original.convert("RGB")))


def test_a_format_outside_the_list_is_corrupt() -> None:
    assert reason_of(encoded(picture(3), "PPM")) == "corrupt_image"
    assert reason_of(encoded(picture(3), "TGA")) == "corrupt_image"


def test_nothing_and_noise() -> None:
    assert reason_of(b"") == "empty_image"
    assert reason_of(b"\0") == "corrupt_image"
    assert reason_of(bytes(range(256)) * 20) == "corrupt_image"


@given(st.binary(max_size=300), st.sampled_from(list(ENCODINGS)), st.integers(0, 200))
def test_no_bytes_bring_anything_but_a_verdict(noise: bytes, format: str, at: int) -> None:
    good = encoded(picture(4, 8, 8), format, **ENCODINGS[format])
    content = good[:at] + noise + good[at + len(noise) :]
    try:
        facts = inspect(content, max_pixels=10_000)
    except BadImage:
        return
    assert facts.width * facts.height <= 10_000


@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 90, "progressive": True}])
@given(cut=st.floats(0, 1))
def test_a_jpeg_cut_short_is_corrupt_or_whole(options: dict[str, object], cut: float) -> None:
    check_cut(encoded(picture(5), "JPEG", **options), cut)


@pytest.mark.parametrize("format", [name for name in ENCODINGS if name != "JPEG"])
@given(cut=st.floats(0, 1))
def test_an_image_cut_short_is_corrupt_or_whole(format: str, cut: float) -> None:
    check_cut(encoded(picture(5), format, **ENCODINGS[format]), cut)


def check_cut(whole: bytes, cut: float) -> None:
    """What lacks the end of its pixels is refused; what lacks only a trailer decodes to the same pixels."""
    part = whole[: int(cut * len(whole))]
    try:
        image = decode(part)
    except BadImage:
        assert reason_of(part) == ("corrupt_image" if part else "empty_image")
    else:
        assert np.array_equal(np.asarray(image), np.asarray(decode(whole)))


def png_of(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """An RGB PNG put together by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + header, b"IDAT" + zlib.compress(rows), b"IEND"):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content


def png_that_promises(width: int, height: int) -> bytes:
    return png_of(width, height, 8, bytes(1000))


def webp_that_promises(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("size", [(9_460, 9_460), (60_000, 60_000), (2**24, 2**24)])
@pytest.mark.parametrize("promise", [png_that_promises, webp_that_promises])
def test_a_bomb_is_judged_by_its_header(promise: Callable[[int, int], bytes], size: tuple[int, int]) -> None:
    assert reason_of(promise(*size)) == "too_many_pixels"


def test_the_limit_of_pixels_is_a_setting() -> None:
    for format, options in ENCODINGS.items():
        content = encoded(picture(6, 40, 30), format, **options)
        assert inspect(content, max_pixels=1200).width == 40
        assert reason_of(content, max_pixels=1199) == "too_many_pixels"
    lossy = encoded(picture(6, 40, 30), "WEBP")
    assert reason_of(lossy, max_pixels=1199) == "too_many_pixels"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_are_refused(format: str) -> None:
    frames = [picture(seed) for seed in (7, 8, 9)]
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert reason_of(content) == "animated_image"


def test_a_jpeg_with_a_preview_behind_it_is_one_photograph() -> None:
    content = encoded(picture(7), "MPO", save_all=True, append_images=[picture(8)])
    assert inspect(content) == ImageFacts(40, 32, "RGB", "JPEG")


def test_colour_modes_that_are_not_8_bit_rgb_or_grey() -> None:
    assert reason_of(encoded(picture(10).convert("CMYK"), "JPEG")) == "colour_mode"
    assert reason_of(encoded(picture(10).convert("CMYK"), "TIFF")) == "colour_mode"
    grey_16 = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
    assert reason_of(encoded(grey_16, "PNG")) == "colour_mode"
    assert reason_of(encoded(grey_16, "TIFF")) == "colour_mode"
    assert reason_of(encoded(picture(10).convert("L").convert("F"), "TIFF")) == "colour_mode"
    assert reason_of(encoded(Image.new("LAB", (8, 8)), "TIFF")) == "colour_mode"


def test_16_bit_rgb_is_seen_although_pillow_opens_it_as_rgb() -> None:
    content = png_of(5, 4, 16, (b"\0" + bytes(6 * 5)) * 4)
    assert Image.open(io.BytesIO(content)).mode == "RGB"
    assert reason_of(content) == "colour_mode"


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_transparency(format: str) -> None:
    opaque = picture(11, mode="RGBA")
    content = encoded(opaque, format, **ENCODINGS[format])
    assert np.array_equal(np.asarray(decode(content)), np.asarray(opaque.convert("RGB")))

    seen_through = opaque.copy()
    seen_through.putpixel((3, 4), (10, 20, 30, 0))
    content = encoded(seen_through, format, **ENCODINGS[format])
    assert reason_of(content) == "transparent_image"
    on_white = decode(content, transparency="white")
    assert on_white.getpixel((3, 4)) == (255, 255, 255)
    assert on_white.getpixel((4, 4)) == opaque.convert("RGB").getpixel((4, 4))
    assert inspect(content, transparency="white").mode == "RGBA"


def test_a_transparent_palette_colour_counts_only_where_it_is_used() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    assert decode(encoded(image, transparency=0)).getpixel((0, 0)) == (0, 255, 0)
    assert reason_of(encoded(image, transparency=1)) == "transparent_image"
    assert decode(encoded(image, transparency=1), transparency="white").getpixel((0, 0)) == (255,) * 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_orientation_is_applied(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = picture(12, 40, 30)
    content = encoded(image, format, **ENCODINGS[format], exif=exif)
    width, height = (30, 40) if orientation >= 5 else (40, 30)
    facts, upright = inspect(content), decode(content)
    assert (facts.width, facts.height) == upright.size == (width, height)
    # 6: the camera was turned clockwise, so the top of the scene lies on the left of the stored picture.
    if orientation == 6 and format != "JPEG":
        assert np.array_equal(np.asarray(upright), np.rot90(np.asarray(image), k=-1))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encoded(picture(12, 40, 30), "JPEG", exif=exif)).size == (40, 30)


def test_a_photograph_with_broken_metadata_is_good() -> None:
    for exif in (b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x01" * 30):
        assert decode(encoded(picture(13), "JPEG", exif=exif)).size == (40, 32)


def test_no_warning_leaks() -> None:
    """In a process of its own where every warning is an error, as pytest's own filters hide some."""
    code = """
        import io
        from PIL import Image
        from rglcd_pipelines.data.images import BadImage, inspect
        def encoded(**options):
            file = io.BytesIO()
            Image.new("RGB", (40, 30), "red").save(file, "JPEG", **options)
            return file.getvalue()
        broken = b"Exif\\0\\0II*\\0\\x08\\0\\0\\0\\xff\\xff" + b"\\x01" * 30
        inspect(encoded(exif=broken))
        Image.MAX_IMAGE_PIXELS = 700  # as if somebody else had lowered it: the warning comes above this
        inspect(encoded())
        Image.MAX_IMAGE_PIXELS = 500
        try:
            inspect(encoded())
        except BadImage as error:
            assert error.reason == "too_many_pixels"
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_pillow_is_left_as_it_was_and_threads_agree() -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    contents = [
        encoded(picture(seed), format, **ENCODINGS[format]) for seed in range(5) for format in ENCODINGS
    ]
    expected = [decode(content).tobytes() for content in contents]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda content: decode(content).tobytes(), contents * 4)) == expected * 4
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
