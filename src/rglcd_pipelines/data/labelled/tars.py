"""Webdataset shards whose `.cls` is the number of the image's class: tars here, or those of the hub."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rglcd_pipelines.data.labelled.source import Labelled
from rglcd_pipelines.data.shards import Damage, Sample, read_shard
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
from rglcd_pipelines.errors import DataError

PARAMETER = "lrm.zero_shot.set.shards"


class TarsSource:
    """The labelled images of shards, in order; those of the hub come into `raw`."""

    def __init__(self, config: ShardsConfig, raw: Path, per_class: int | None = None) -> None:
        self._shards = ShardsSource(config, raw)
        self._per_class = per_class

    def identity(self) -> dict[str, Any]:
        return {**self._shards.identity(), "per_class": self._per_class}

    def classes(self) -> None:
        return None

    def expected(self) -> None:
        return None

    def samples(self, first: int = 0) -> Iterator[Labelled]:
        # Shards do not say what is in them: those before the first are read, though not decoded.
        return islice(self._kept(), first, None)

    def _kept(self) -> Iterator[Labelled]:
        seen: Counter[int] = Counter()
        for sample in self._all():
            seen[sample.label] += 1
            if self._per_class is None or seen[sample.label] <= self._per_class:
                yield sample

    def _all(self) -> Iterator[Labelled]:
        for path in self._shards.shards():
            for item in read_shard(path):
                if isinstance(item, Damage):
                    raise DataError(
                        f"{path}: cannot be used ({item.reason} at {item.key}). Fetch or make it again; "
                        f"{PARAMETER} names it."
                    )
                yield _labelled(item, path)


def _labelled(sample: Sample, path: Path) -> Labelled:
    place = f"{path}, sample {sample.key}"
    if sample.image is None:
        raise DataError(f"{place}: has no image. Each sample needs one; {PARAMETER} names the shards.")
    if sample.label is None:
        raise DataError(
            f"{place}: has no .cls beside its image. Labelled shards hold the number of its class there; "
            f"{PARAMETER} names the shards."
        )
    text = sample.label.decode("ascii", "replace").strip()
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise DataError(
            f"{place}: its .cls is {text[:40]!r}, where the number of its class belongs, such as 7; "
            f"{PARAMETER} names the shards."
        )
    return Labelled(f"{path.name}/{sample.key}", place, sample.image, int(text))
