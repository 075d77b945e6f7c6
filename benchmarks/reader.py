"""Random access to latents: `LatentStream` against webdataset with a shuffle buffer, on the same samples.

    python -m benchmarks.reader

Samples a second of CPU time of one process, the page cache warm; latents and captions of shuffled batches of
32. The two take turns, an epoch each, and medians are compared. Checking the files' digests is done before
and told as its own figure.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks._report import report
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.data.latents.stream import LatentStream
from tests.data.make_latents import columns, make_latents

BATCH = 32
BUFFER = 1000
ROUNDS = 5
PER_FILE = 1000
CASES = {"sd": ((4, 64, 64), 8000), "miniature": ((4, 8, 8), 16000)}
"""Shape and number of samples; the first is what Stable Diffusion has at 512 px."""


def main() -> int:
    figures: dict[str, float] = {}
    for case, (shape, samples) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            figures |= {
                f"{case}_{name}": value for name, value in measure(Path(folder), shape, samples).items()
            }
    bars = {f"{case}_speedup": (figures.pop(f"{case}_speedup"), ">= 20") for case in CASES}
    return 0 if report("reader", figures, bars) else 1


def measure(folder: Path, shape: tuple[int, ...], samples: int) -> dict[str, float]:
    made = columns(samples, shape)
    reader = LatentReader(make_latents(folder / "latents", PER_FILE, made))
    shards = write_tars(folder, made)
    verified = cpu_seconds(lambda: reader.verify_all(threads=1))
    for read in (epoch_of_ours, epoch_of_webdataset):  # also warms the page cache
        check(read(reader, shards), made)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(samples / cpu_seconds(lambda: drain(epoch_of_ours(reader, shards))))
        theirs.append(samples / cpu_seconds(lambda: drain(epoch_of_webdataset(reader, shards))))
    megabytes = sum(file["bytes"] for file in reader.artifact.manifest["files"]) / 1e6
    return {
        "ours_samples_per_second": median(ours),
        "webdataset_samples_per_second": median(theirs),
        "speedup": median(ours) / median(theirs),
        "verify_samples_per_second": samples / verified,
        "verify_megabytes_per_second": megabytes / verified,
    }


Batches = Iterable[tuple[np.ndarray, list[str]]]


def epoch_of_ours(reader: LatentReader, shards: list[str]) -> Batches:  # noqa: ARG001  (the other's)
    stream = LatentStream(reader, BATCH, seed=0)
    for _ in range(len(reader) // BATCH):
        batch = next(stream)
        yield batch.latents, batch.captions


def epoch_of_webdataset(reader: LatentReader, shards: list[str]) -> Batches:
    """As its users write it: shards shuffled, a buffer of samples shuffled, an explicit decoder, batches."""
    from webdataset.compat import WebDataset

    def decode(sample: dict[str, Any]) -> tuple[np.ndarray, str]:
        latent = np.frombuffer(sample["bin"], reader.dtype).reshape(reader.shape)
        return latent, sample["txt"].decode("utf-8")

    def collate(samples: list[tuple[np.ndarray, str]]) -> tuple[np.ndarray, list[str]]:
        return np.stack([latent for latent, _ in samples]), [caption for _, caption in samples]

    dataset: Any = WebDataset(shards, shardshuffle=len(shards), seed=0).shuffle(BUFFER).map(decode)
    yield from dataset.batched(BATCH, collation_fn=collate)


def write_tars(folder: Path, made: dict[str, Any]) -> list[str]:
    from webdataset.writer import TarWriter

    shards = []
    for start in range(0, len(made["keys"]), PER_FILE):
        shards.append(str(folder / f"latents-{start:08d}.tar"))
        with TarWriter(shards[-1]) as writer:
            for row in range(start, start + PER_FILE):
                writer.write(
                    {
                        "__key__": made["keys"][row],
                        "bin": made["latents"][row].tobytes(),
                        "txt": made["captions"][row],
                    }
                )
    return shards


def check(batches: Batches, made: dict[str, Any]) -> None:
    """What is measured must be the work that is claimed: an epoch holds every sample once."""
    found = {
        caption: latent.tobytes()
        for latents, captions in batches
        for caption, latent in zip(captions, latents, strict=True)
    }
    wanted = zip(made["captions"], made["latents"], strict=True)
    assert found == {caption: latent.tobytes() for caption, latent in wanted}, "an epoch that is not the data"


def drain(batches: Batches) -> None:
    for _ in batches:
        pass


def cpu_seconds(do: Callable[[], None]) -> float:
    start = time.process_time()
    do()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
