"""Small labelled sets, in folders and in tars, and what became of them."""

import json
from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.labelled.folder import FolderSource
from rglcd_pipelines.data.labelled.tars import TarsSource
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.data.sources.shards import ShardsConfig
from tests.data.make_shards import Members, encoded, picture, write_tar

WNIDS = ("n01440764", "n01443537", "n01484850")


def write_folder(place: Path, per_class: int = 3, classes: tuple[str, ...] = WNIDS) -> Path:
    """JPEGs named as ImageNet names them."""
    for label, name in enumerate(classes):
        (place / name).mkdir(parents=True)
        for index in range(per_class):
            number = label * per_class + index
            content = encoded(picture(number), "JPEG")
            (place / name / f"ILSVRC2012_val_{number:08d}.JPEG").write_bytes(content)
    return place


def labelled(number: int, label: int | str) -> Members:
    return [
        (f"{number:05d}.cls", str(label).encode()),
        (f"{number:05d}.jpg", encoded(picture(number), "JPEG")),
        (f"{number:05d}.json", b'{"filename": "x.JPEG"}'),
    ]


def write_tars(place: Path, shards: int = 2, samples: int = 6, classes: int = 3) -> Path:
    """Images of class 0, 1, 2, 0, 1, …"""
    for shard in range(shards):
        numbers = range(shard * samples, (shard + 1) * samples)
        members = [member for n in numbers for member in labelled(n, n % classes)]
        write_tar(place / f"imagenet1k-validation-{shard:02d}.tar", members)
    return place


def folder_of(place: Path, per_class: int | None = None) -> FolderSource:
    return FolderSource(place, per_class)


def tars_of(place: Path, per_class: int | None = None) -> TarsSource:
    return TarsSource(ShardsConfig(path=str(place)), Path("unused"), per_class)


def samples_of(made: Artifact) -> list[Sample]:
    """Everything in the shards, in order, as the manifest lists them."""
    found: list[Sample] = []
    for shard in made.manifest["shards"]:
        items = list(read_shard(made.path / shard["name"]))
        assert len(items) == shard["samples"]
        found += [item for item in items if isinstance(item, Sample)]
    assert len(found) == made.manifest["samples"]
    return found


def labels_of(made: Artifact) -> list[int]:
    return [int(sample.caption or b"") for sample in samples_of(made)]


def names_of(made: Artifact) -> list[str]:
    return [json.loads(sample.meta or b"")["name"] for sample in samples_of(made)]


def files(made: Artifact) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in made.path.iterdir()}
