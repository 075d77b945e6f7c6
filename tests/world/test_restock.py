"""A changed setting does not make again what it does not touch: a part comes back from the finished world."""

import json
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.artifacts import (
    MANIFEST,
    Artifact,
    digest_files,
    draft,
    open_artifact,
    publish,
    standing,
)
from rglcd_pipelines.world import folder
from rglcd_pipelines.world.folder import finished
from rglcd_pipelines.world.restock import restock

SETTINGS: dict[str, Any] = {"resolution": 32}
FORMATS = {"clip": 1}
FILES = {
    # part: its files in the workshop
    "autoencoder": ("config.json", "model.safetensors"),
    "clip": ("model.safetensors",),
    "teacher": ("unet/model.safetensors", "early/model.safetensors"),
}
LEFT_OUT = "early/model.safetensors"


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Artifact]:
    """Three parts as they were made."""
    made: dict[str, Artifact] = {}
    for name, files in FILES.items():
        place, made_from = tmp_path / "workshop" / name, {"format": 1, "part": name}
        with draft(place, made_from) as work:
            for file in files:
                (work.path / file).parent.mkdir(exist_ok=True)
                (work.path / file).write_text(f"{name} {file}")
            body = {"files": digest_files(work.path), "size": 3}
            made[name] = publish(work, place, name, made_from, body, {"seconds": 60.0})
    return made


@pytest.fixture
def world(tmp_path: Path, parts: dict[str, Artifact]) -> Path:
    """The world of these parts, without what no later stage needs."""
    place, made_from = tmp_path / "world", folder._made_from(SETTINGS, FORMATS)
    with draft(place, made_from) as work:
        for name, made in parts.items():
            home = work.path / ("teacher/vae" if name == "autoencoder" else name)
            for file in set(FILES[name]) - {LEFT_OUT}:
                (home / file).parent.mkdir(parents=True, exist_ok=True)
                (home / file).write_bytes((made.path / file).read_bytes())
        told = {name: {"manifest": made.manifest, "metrics": made.metrics} for name, made in parts.items()}
        body = {"files": digest_files(work.path), "parts": told, "figures": {}}
        publish(work, place, "world", made_from, body, {})
    assert finished(place, SETTINGS, FORMATS)
    return place


@pytest.mark.parametrize("name", ["autoencoder", "clip"])
def test_a_part_is_as_it_was_made(name: str, parts: dict[str, Artifact], world: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / name
    restock(name, world, place)
    again = standing(place, name, {"format": 1, "part": name})
    assert again is not None
    assert again.digest == parts[name].digest
    assert again.metrics == {"seconds": 60.0}
    assert digest_files(place) == digest_files(parts[name].path)


def test_what_the_world_keeps_only_in_part_is_left_to_be_made(world: Path, tmp_path: Path) -> None:
    restock("teacher", world, tmp_path / "elsewhere" / "teacher")
    assert not (tmp_path / "elsewhere").exists()


def test_what_stands_there_stays(parts: dict[str, Artifact], world: Path) -> None:
    with draft(parts["clip"].path, {"format": 2}) as work:
        publish(work, parts["clip"].path, "clip", {"format": 2}, {"files": {}}, {})
    restock("clip", world, parts["clip"].path)
    assert open_artifact(parts["clip"].path, "clip").manifest["made_from"] == {"format": 2}


def test_nothing_comes_from_a_world_of_other_pictures(world: Path, tmp_path: Path) -> None:
    manifest = json.loads((world / MANIFEST).read_text(encoding="utf-8"))
    manifest["made_from"]["vocabulary"] = "another"
    (world / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    restock("clip", world, tmp_path / "elsewhere" / "clip")
    assert not (tmp_path / "elsewhere").exists()


def test_nothing_comes_from_where_no_world_is(tmp_path: Path) -> None:
    restock("clip", tmp_path / "nowhere", tmp_path / "elsewhere" / "clip")
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_part_is_left_to_be_made(world: Path, tmp_path: Path) -> None:
    (world / "clip" / "model.safetensors").write_bytes(b"damaged")
    restock("clip", world, tmp_path / "elsewhere" / "clip")
    assert not (tmp_path / "elsewhere").exists()
