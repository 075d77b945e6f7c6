"""Random access to a folder of latents.

Files are mapped, not read: opening costs nothing but a look at their sizes, a row is one copy out of the page
cache, and texts become Python strings only when somebody asks for them. What a file holds is checked against
the manifest the first time that it is touched.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from rglcd_pipelines.artifacts import MANIFEST, Artifact, digest_file
from rglcd_pipelines.data.latents.file import NUMBERS, TEXTS, latent_schema
from rglcd_pipelines.errors import DataError

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class LatentSample:
    """One pair, encoded."""

    key: str
    caption: str
    meta: str
    """JSON text, or "" if there was none beside the pair."""
    size: tuple[int, int]
    """Width and height of the original image."""
    crop: tuple[int, int]
    """Top and left of the crop in the resized image."""
    latent: np.ndarray
    """(C, H, W), a copy, as the VAE gives it: not times its scaling factor."""


class LatentBatch:
    """Some samples in the order asked for; everything but `latents` is looked up when it is first used."""

    indices: np.ndarray
    latents: np.ndarray

    def __init__(
        self, indices: np.ndarray, latents: np.ndarray, rows: "list[tuple[_MappedFile, int]]"
    ) -> None:
        self.indices = indices
        self.latents = latents
        self._rows = rows

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def keys(self) -> list[str]:
        return self._texts("key")

    @cached_property
    def captions(self) -> list[str]:
        return self._texts("caption")

    @cached_property
    def metas(self) -> list[str]:
        return self._texts("meta")

    @cached_property
    def sizes(self) -> np.ndarray:
        """(B, 2) int32: width and height of the original images."""
        return self._numbers("width", "height")

    @cached_property
    def crops(self) -> np.ndarray:
        """(B, 2) int32: top and left of the crops in the resized images."""
        return self._numbers("crop_top", "crop_left")

    def __getstate__(self) -> dict[str, Any]:
        """With everything looked up: another process has none of this one's mapped files."""
        looked_up = {name: getattr(self, name) for name in ("keys", "captions", "metas", "sizes", "crops")}
        return {"indices": self.indices, "latents": self.latents, "_rows": [], **looked_up}

    def _texts(self, column: str) -> list[str]:
        texts = []
        for file, row in self._rows:
            offsets, data = file.texts[column]
            texts.append(data[offsets[row] : offsets[row + 1]].tobytes().decode())  # a third faster than str
        return texts

    def _numbers(self, *columns: str) -> np.ndarray:
        values = [[file.numbers[column][row] for column in columns] for file, row in self._rows]
        return np.array(values, np.int32).reshape(len(self), len(columns))


class LatentReader:
    """The samples of all files of a "latents" folder, numbered through.

    May be pickled and forked: another process maps the files anew, and does not check those again that this
    one had checked.
    """

    def __init__(self, artifact: Artifact, verify: bool = True) -> None:
        """`verify`: refuse a file whose digest is not the manifest's, at its first touch."""
        self.artifact = artifact
        self.verify = verify
        self.shape, self.dtype, files = _described(artifact)
        self._names = [file["name"] for file in files]
        self._digests = [file["sha256"] for file in files]
        self._samples = [file["samples"] for file in files]
        self._ends = np.cumsum(self._samples, dtype=np.int64)
        self._starts = self._ends - np.array(self._samples, np.int64)
        self._verified: set[int] = set()
        self._mapped: dict[int, _MappedFile] = {}
        for file in files:
            self._check_size(file["name"], file["bytes"])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> LatentSample:
        batch = self.batch([index])
        width, height = batch.sizes[0].tolist()
        top, left = batch.crops[0].tolist()
        return LatentSample(
            batch.keys[0], batch.captions[0], batch.metas[0], (width, height), (top, left), batch.latents[0]
        )

    def captions(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Those of the samples at `indices`, in that order; no latent is read for them."""
        wanted = np.asarray(indices, np.int64)
        return LatentBatch(wanted, np.empty(0, self.dtype), self._rows(wanted)).captions

    def _rows(self, wanted: np.ndarray) -> "list[tuple[_MappedFile, int]]":
        """Where samples are."""
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"there are samples 0 to {len(self) - 1}, not {wanted.min()} to {wanted.max()}")
        numbers = np.searchsorted(self._ends, wanted, side="right")
        offsets = wanted - self._starts[numbers]
        files = {number: self._file(number) for number in set(numbers.tolist())}
        return [(files[n], row) for n, row in zip(numbers.tolist(), offsets.tolist(), strict=True)]

    def batch(self, indices: Sequence[int] | np.ndarray) -> LatentBatch:
        """The samples at `indices`, in that order; `latents` (B, C, H, W) is one new array."""
        wanted = np.asarray(indices, np.int64)
        rows = self._rows(wanted)
        latents = np.empty((len(rows), *self.shape), self.dtype)
        for place, (file, row) in enumerate(rows):
            latents[place] = file.latents[row]
        return LatentBatch(wanted, latents, rows)

    def verify_all(self, threads: int | None = None) -> None:
        """Check every file now, several at a time; those that were checked before are not read again."""
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            for _ in pool.map(self._verify, range(len(self._names))):
                pass

    def expect(
        self,
        vae_digest: str | None = None,
        shape: Iterable[int] | None = None,
        dtype: str | None = None,
        kind: str | None = None,
    ) -> None:
        """Refuse latents that were made with something else than what is given."""
        vae, latent = self.artifact.manifest.get("vae", {}), self.artifact.manifest["latent"]
        differ = [
            f"{name} {made!r}, but {asked!r} is asked for"
            for name, made, asked in (
                (f"the VAE {vae.get('id')} of digest", vae.get("digest"), vae_digest),
                ("shape", list(self.shape), None if shape is None else list(shape)),
                ("dtype", self.dtype.name, dtype),
                ("kind", latent.get("kind"), kind),
            )
            if asked is not None and made != asked
        ]
        if differ:
            raise DataError(
                f"{self.artifact.path}: these latents were made with {'; '.join(differ)}. "
                "Make them anew with: kedro run --pipeline=encode, or put the setting back."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}

    def _file(self, number: int) -> "_MappedFile":
        file = self._mapped.get(number)
        if file is None:
            if self.verify:
                self._verify(number)
            file = self._told(number, lambda path: _MappedFile(path, self.shape, self.dtype))
            if file.samples != self._samples[number]:
                raise self._damaged(number, f"holds {file.samples} samples, not {self._samples[number]}")
            self._mapped[number] = file
        return file

    def _verify(self, number: int) -> None:
        if number in self._verified:
            return
        if self._told(number, digest_file) != self._digests[number]:
            raise self._damaged(number, f"its bytes are not those that {MANIFEST} names by their sha256")
        self._verified.add(number)

    def _told(self, number: int, do: Callable[[Path], ValueT]) -> ValueT:
        """`do` with a file of the folder; what goes wrong is told by its name."""
        try:
            return do(self.artifact.path / self._names[number])
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._damaged(number, f"cannot be read ({error})") from None

    def _damaged(self, number: int, problem: str) -> DataError:
        return _damaged(self.artifact, self._names[number], problem)

    def _check_size(self, name: str, expected: int) -> None:
        try:
            found = (self.artifact.path / name).stat().st_size
        except OSError as error:
            raise _damaged(self.artifact, name, f"cannot be opened ({error.strerror})") from None
        if found != expected:
            raise _damaged(self.artifact, name, f"has {found:,} bytes, not {expected:,}")


class _MappedFile:
    """The columns of one file, where they lie in the mapping; nothing is copied."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        # The mapping outlives the file that is closed here: thousands of files need no open descriptors.
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as arrow:
            expected = latent_schema(shape, dtype.name)
            if not arrow.schema.equals(expected, check_metadata=True):
                raise ValueError(f"its columns are {arrow.schema.names}, latents {arrow.schema.metadata}")
            if arrow.num_record_batches != 1:
                raise ValueError(f"{arrow.num_record_batches} record batches, not 1")
            batch = arrow.get_batch(0)
        batch.validate()
        if any(column.null_count for column in batch.columns):
            raise ValueError("there are nulls")
        self.samples = batch.num_rows
        values = batch.column("latent").buffers()[1]
        self.latents = np.frombuffer(values, dtype).reshape(self.samples, *shape)
        self.numbers = {name: batch.column(name).to_numpy() for name in NUMBERS}
        self.texts = {name: self._text_column(batch.column(name)) for name in TEXTS}

    def _text_column(self, column: pa.Array) -> tuple[memoryview, memoryview]:
        """Where each text starts, and all of them: a slice of views costs a tenth of an Arrow scalar."""
        _, offsets, data = column.buffers()
        return memoryview(offsets).cast("i"), memoryview(data)


def _described(artifact: Artifact) -> tuple[tuple[int, ...], np.dtype, list[dict[str, Any]]]:
    """Shape, dtype and files, as the manifest has them."""
    manifest = artifact.manifest
    try:
        if manifest["kind"] != "latents":
            raise ValueError(f"it is of {manifest['kind']}")
        shape = tuple(int(size) for size in manifest["latent"]["shape"])
        dtype = np.dtype(manifest["latent"]["dtype"])
        files = [{n: file[n] for n in ("name", "samples", "bytes", "sha256")} for file in manifest["files"]]
        if sum(file["samples"] for file in files) != manifest["samples"]:
            raise ValueError(f"its files do not add up to {manifest['samples']} samples")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(artifact, MANIFEST, f"does not describe latents ({error!r})") from None
    return shape, dtype, files


def _damaged(artifact: Artifact, name: str, problem: str) -> DataError:
    return DataError(
        f"{artifact.path / name}: {problem}. "
        f"Remove {artifact.path} and make it anew with: kedro run --pipeline=encode"
    )
