"""The finished world: nothing in it may be missing or changed, and whoever finds that is told what to do."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from rglcd_pipelines.artifacts import Artifact, digest_file, draft, publish
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import folder
from rglcd_pipelines.world.figures import FiguresConfig
from rglcd_pipelines.world.folder import COMMITTED, finished, open_world, part

SETTINGS: dict[str, Any] = {"resolution": 32}
FORMATS = {"clip": 1}
MADE_FROM = folder._made_from(SETTINGS, FORMATS)
WEIGHTS = "teacher/vae/diffusion_pytorch_model.safetensors"


def make(place: Path) -> Artifact:
    """A world of two files."""
    with draft(place, MADE_FROM) as work:
        for name in (WEIGHTS, "clip/model.safetensors"):
            (work.path / name).parent.mkdir(parents=True)
            (work.path / name).write_bytes(name.encode())
        files = {name: digest_file(work.path / name) for name in (WEIGHTS, "clip/model.safetensors")}
        parts = {"autoencoder": {"manifest": {"kind": "autoencoder"}, "metrics": {}}}
        body = {"files": files, "parts": parts, "figures": {}}
        return publish(work, place, "world", MADE_FROM, body, {})


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A world where git has it, seen from the project's folder."""
    monkeypatch.chdir(tmp_path)
    make(COMMITTED)
    return COMMITTED


def test_a_whole_world_is_opened(committed: Path) -> None:
    assert open_world(committed).manifest["kind"] == "world"
    assert open_world(committed.resolve()).path == committed.resolve()


def change(file: Path) -> None:
    """The same size, a moment later."""
    file.write_bytes(bytes(len(file.read_bytes())))
    os.utime(file, ns=(1, 1))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (Path.unlink, f"{WEIGHTS}: is missing"),
        (change, f"{WEIGHTS}: is not what was written: its digest differs"),
    ],
)
def test_a_damaged_file_is_named_with_the_command_that_restores_it(
    committed: Path, damage: Callable[[Path], None], told: str
) -> None:
    open_world(committed)
    damage(committed / WEIGHTS)
    with pytest.raises(DataError) as error:
        open_world(committed)
    assert f"{committed.as_posix()}/{told}" in str(error.value)
    assert str(error.value).endswith("git checkout -- data/06_models/base/world")


def test_a_missing_world_is_told(committed: Path) -> None:
    (committed / "manifest.json").unlink()
    for look in (open_world, lambda place: finished(place, SETTINGS, FORMATS)):
        with pytest.raises(DataError, match=r"manifest\.json: .* git checkout -- data/06_models/base/world$"):
            look(committed)


@pytest.mark.parametrize("text", ["", "<<<<<<< ours", "[]", '{"kind": "world"}'])
def test_a_manifest_that_cannot_be_read_is_restored_too(committed: Path, text: str) -> None:
    (committed / "manifest.json").write_text(text)
    for look in (open_world, lambda place: finished(place, SETTINGS, FORMATS)):
        with pytest.raises(DataError, match=r"manifest\.json: .* git checkout -- data/06_models/base/world$"):
            look(committed)


def test_another_environments_world_is_put_together_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path("data/06_models/tiny/world")
    make(place)
    change(place / WEIGHTS)
    with pytest.raises(DataError, match=r"kedro run --pipeline=world --env=tiny$"):
        open_world(place)
    assert finished(place, SETTINGS, FORMATS) is None


def test_what_is_not_in_the_manifest_does_not_matter(committed: Path) -> None:
    before = open_world(committed)
    (committed / "README.md").write_text("a better word here and there")
    assert open_world(committed).digest == before.digest


def test_replacing_gits_world_says_how_to_bring_it_back(
    committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"another")
    parts = {name: Artifact(made, {"kind": name}) for name in (*folder.KEPT, "preferences")}
    monkeypatch.setattr("rglcd_pipelines.world.figures.measure", Mock(return_value={"psnr": 30.0}))
    monkeypatch.setattr("rglcd_pipelines.world.kept_pairs.keep_pairs", Mock())
    monkeypatch.setattr("rglcd_pipelines.world.card.write_card", Mock(return_value="a card"))
    told = {"resolution": 64}
    figures = FiguresConfig()
    with caplog.at_level("WARNING"):
        folder.make_world(parts, told, FORMATS, figures, tmp_path / "elsewhere")
        assert caplog.text == ""
        folder.make_world(parts, told, FORMATS, figures, committed)
    assert "takes the place of the world that git keeps" in caplog.text
    assert "git checkout -- data/06_models/base/world" in caplog.text
    assert open_world(committed).metrics["psnr"] == 30.0


def test_a_finished_world_is_known_by_its_settings_and_its_code(committed: Path) -> None:
    found = finished(committed, SETTINGS, FORMATS)
    assert found is not None
    assert found.reused
    assert finished(committed, {"resolution": 64}, FORMATS) is None
    assert finished(committed, SETTINGS, {"clip": 2}) is None
    assert finished(Path("nowhere"), SETTINGS, FORMATS) is None
    # Measuring it otherwise trains nothing.
    assert finished(committed, SETTINGS | {"figures": {"prompts": 3}}, FORMATS) is not None


def test_a_damaged_world_of_git_is_not_trained_anew(committed: Path) -> None:
    change(committed / WEIGHTS)
    with pytest.raises(DataError, match="git checkout"):
        finished(committed, SETTINGS, FORMATS)


def test_a_part_of_it_has_its_own_manifest(committed: Path) -> None:
    vae = part(open_world(committed), "autoencoder")
    assert vae.path == committed / "teacher" / "vae"
    assert vae.manifest == {"kind": "autoencoder"}
    assert json.loads((committed / "manifest.json").read_text())["parts"]["autoencoder"]


def test_more_than_git_may_keep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_BYTES", 2_000_000)
    for name, size in (("clip/model.safetensors", 500_000), ("hps/model.safetensors", 1_900_000)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(bytes(size))
    with pytest.raises(DataError, match=r"2\.4 MB, more than the 2 MB.*hps/model\.safetensors with 1\.9 MB"):
        folder._check_size(tmp_path)
