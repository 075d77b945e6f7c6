"""A labelled set becomes shards that `encode` takes as it takes pairs; the caption is the class's number."""

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import Artifact, canonical_json, digest_file, draft, publish, standing
from rglcd_pipelines.data.images import BadImage
from rglcd_pipelines.data.labelled.plain import plain
from rglcd_pipelines.data.labelled.source import Labelled, LabelledSource
from rglcd_pipelines.data.shards import Sample, read_shard, write_shard
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.progress import progress_bar

FORMAT = 1
"""Raised whenever the same source would give other shards than before."""
PER_SHARD = 1_000
"""Images of a shard; `encode` gives each worker whole ones, and loses at most one when it is killed."""
AHEAD = 64
"""Images that wait to be written; more would only take memory."""

logger = logging.getLogger(__name__)


def make_labelled(source: LabelledSource, classes: int, place: Path, progress: bool = True) -> Artifact:
    """The images of `source` at `place`; nothing is done twice, nor lost when a run is killed."""
    _check_count(source.classes(), classes)
    made_from = {
        "format": FORMAT,
        "per_shard": PER_SHARD,
        "classes": classes,
        "inputs": source.identity(),
    }
    if ready := standing(place, "labelled", made_from):
        count = ready.manifest["samples"]
        logger.info("%s: %d labelled images are there already; nothing to do", place, count)
        return ready
    began = time.perf_counter()
    with draft(place, made_from) as work:
        done = _finished(work.path)
        before = done.samples
        if before:
            logger.info("%s: going on after %d images", place, before)
        _write(source, classes, work.path, done, progress)
        _check_all_shown(done.labels, classes)
        seconds = time.perf_counter() - began
        speed = (done.samples - before) / seconds
        metrics = {"samples": done.samples, "seconds": seconds, "images_per_second": speed}
        body = {"shards": done.shards, "samples": done.samples, "classes": classes}
        return publish(work, place, "labelled", made_from, body, metrics)


@dataclass
class _Done:
    """What is written so far."""

    shards: list[dict[str, Any]] = field(default_factory=list)
    """As the manifest lists them."""
    labels: Counter[int] = field(default_factory=Counter)
    """How many images each class has."""

    @property
    def samples(self) -> int:
        return self.labels.total()

    def add(self, path: Path, labels: list[int]) -> None:
        size, digest = path.stat().st_size, digest_file(path)
        self.shards.append({"name": path.name, "samples": len(labels), "bytes": size, "sha256": digest})
        self.labels.update(labels)


def _finished(folder: Path) -> _Done:
    """The shards that a killed run wrote. Each appeared under its name when it was whole, in their order."""
    done = _Done()
    while (path := _shard(folder, len(done.shards))).is_file():
        items = [item.caption if isinstance(item, Sample) else None for item in read_shard(path)]
        if None in items:
            logger.warning("%s: is not what a run that was stopped had left; it is made again", path)
            break
        done.add(path, [int(caption) for caption in items if caption is not None])
    return done


def _write(source: LabelledSource, classes: int, folder: Path, done: _Done, progress: bool) -> None:
    """What is not written yet, shard by shard."""
    with (
        progress_bar("labelled images", source.expected(), done.samples, progress) as bar,
        closing(_plain_ones(source, classes, done.samples)) as samples,
    ):
        for first in samples:  # so that no shard is begun without an image for it
            path, labels = _shard(folder, len(done.shards)), list[int]()
            batch = chain([first], islice(samples, PER_SHARD - 1))
            write_shard(path, _counted(batch, labels, bar.update))
            done.add(path, labels)


def _counted(
    batch: Iterable[tuple[int, Sample]], labels: list[int], report: Callable[[], Any]
) -> Iterator[Sample]:
    """The samples alone, while their labels are kept in mind."""
    for label, sample in batch:
        labels.append(label)
        report()
        yield sample


def _shard(folder: Path, number: int) -> Path:
    return folder / f"labelled-{number:05d}.tar"


def _plain_ones(
    source: LabelledSource, classes: int, first: int
) -> Generator[tuple[int, Sample], None, None]:
    """The images from number `first` on and their labels, in their order; a pool looks at them ahead."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="labelled") as pool:
        waiting: deque[tuple[int, Future[Sample]]] = deque()
        try:
            for number, one in enumerate(source.samples(first), first):
                _check_label(one, classes)
                waiting.append((one.label, pool.submit(_sample, one, number)))
                if len(waiting) >= AHEAD:
                    yield _oldest(waiting)
            while waiting:
                yield _oldest(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _oldest(waiting: deque[tuple[int, Future[Sample]]]) -> tuple[int, Sample]:
    label, found = waiting.popleft()
    return label, found.result()


def _sample(one: Labelled, number: int) -> Sample:
    try:
        image, extension = plain(one.image)
    except BadImage as error:
        raise DataError(
            f"{one.place}: cannot be used as an image ({error}). Put a good one in its place or remove it; "
            "lrm.zero_shot.set names the images."
        ) from None
    meta = canonical_json({"name": one.name}).encode()
    return Sample(f"{number:09d}", image, extension, str(one.label).encode(), meta)


def _check_label(one: Labelled, classes: int) -> None:
    if not 0 <= one.label < classes:
        raise DataError(
            f"{one.place}: is of class {one.label}, but lrm.zero_shot.classes has {classes} names, of classes"
            f" 0 to {classes - 1}. Give the names of this set's classes, or check lrm.zero_shot.set."
        )


def _check_count(found: int | None, classes: int) -> None:
    if found is not None and found != classes:
        raise DataError(
            f"lrm.zero_shot.set has {found} classes, but lrm.zero_shot.classes has {classes} names. Give the "
            "names of this set's classes, in their order, or check lrm.zero_shot.set."
        )


def _check_all_shown(labels: Counter[int], classes: int) -> None:
    """Names of another set would otherwise go unnoticed where that has more of them."""
    absent = [label for label in range(classes) if not labels[label]]
    if absent:
        some = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
        raise DataError(
            f"lrm.zero_shot.set: {len(absent)} of the {classes} classes that lrm.zero_shot.classes names have"
            f" no image ({some}). Give all shards of the set, and the names of just its classes; "
            "lrm.zero_shot.set.per_class takes fewer images of each class."
        )
