"""Small shards and images to test with, made from a seed; nothing here trusts the code under test."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Members = Iterable[tuple[str, bytes]]


def picture(seed: int, width: int = 40, height: int = 32, mode: str = "RGB") -> Image.Image:
    """A smooth picture with a little noise: it has detail in every encoding."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR), dtype=np.int16)
    noisy = smooth + random.integers(-8, 9, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(seed: int, width: int = 40, height: int = 32, mode: str = "RGB") -> bytes:
    return encoded(picture(seed, width, height, mode))


def pair(key: str, seed: int, caption: str | None = None) -> Iterator[tuple[str, bytes]]:
    yield f"{key}.png", png(seed)
    yield f"{key}.txt", (caption or f"A small test picture, number {seed}").encode()


def tar_bytes(members: Members) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def write_tar(path: Path, members: Members) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_bytes(members))
    return path


def write_good_shards(folder: Path, shards: int, samples: int) -> Path:
    """`shards` tars of `samples` pairs each, all of which are clean and different."""
    for shard in range(shards):
        start = shard * samples
        write_tar(
            folder / f"{shard:05d}.tar",
            (member for n in range(start, start + samples) for member in pair(f"{n:09d}", n)),
        )
    return folder
