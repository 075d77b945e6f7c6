"""Real pictures in folders or in shards, one after another; every one that cannot be used is told by name."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rglcd_pipelines.data.images import BadImage, decode
from rglcd_pipelines.data.shards import IMAGE_EXTENSIONS, Damage, read_shard
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.distances.preparing import prepare

THREADS, AT_ONCE = 8, 256
TOLD = 5
"""How many unreadable pictures are named."""

Encoded = tuple[str, bytes]


def picture_files(folder: Path) -> list[Path]:
    """Every file under `folder` that is called as pictures are, in the order of their names."""
    _check(folder)
    found = [file for file in folder.rglob("*") if file.suffix.lower()[1:] in IMAGE_EXTENSIONS]
    return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def shard_files(folder: Path) -> list[Path]:
    _check(folder)
    return sorted(folder.glob("*.tar"))


def read_folder(folder: Path, size: int | None, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """The pictures under `folder` as [y, x, channel], cropped and resized to `size`."""
    files = picture_files(folder)[:count]
    encoded = ((file.relative_to(folder).as_posix(), file.read_bytes()) for file in files)
    return _decoded(encoded, folder, size)


def read_shards(folder: Path, size: int | None, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """The pictures of all shards in `folder`, in the same way."""
    return _decoded(islice(_members(shard_files(folder)), count), folder, size)


def _members(files: list[Path]) -> Iterator[Encoded]:
    for file in files:
        for sample in read_shard(file):
            if isinstance(sample, Damage):
                raise DataError(f"{file}: {sample.key}: {sample.reason}. Make or fetch the shard again.")
            if sample.image is not None:
                yield f"{file.name}/{sample.key}", sample.image


def _decoded(encoded: Iterator[Encoded], folder: Path, size: int | None) -> Iterator[NDArray[np.uint8]]:
    """All that can be read; at the end, a DataError that names what could not."""
    bad: list[str] = []

    def one(item: Encoded) -> NDArray[np.uint8] | str:
        name, content = item
        try:
            return np.asarray(prepare(decode(content, transparency="white"), size))
        except BadImage as error:
            return f"{name} ({error.reason})"

    with ThreadPoolExecutor(THREADS) as pool:
        # A few at a time: map would read the whole folder at once.
        while part := list(islice(encoded, AT_ONCE)):
            for found in pool.map(one, part):
                if isinstance(found, str):
                    bad.append(found)
                else:
                    yield found
    if bad:
        more = f", and {len(bad) - TOLD} more" if len(bad) > TOLD else ""
        raise DataError(
            f"{folder}: {len(bad)} pictures cannot be read: {', '.join(bad[:TOLD])}{more}. "
            "Fetch them again, or remove them."
        )


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Set evaluate.reference.path to one.")
