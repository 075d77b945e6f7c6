"""`preferences` whole: from a real teacher and a real judge to labelled pairs that can be read again."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rglcd_pipelines.artifacts import Artifact, digest_file
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.world.judge import TASTES, Judge
from rglcd_pipelines.world.preferences import (
    PreferencesConfig,
    load_preferences,
    make_preferences,
    pairs,
    sources,
)
from rglcd_pipelines.world.preferences.labels import accuracy
from tests.world.make_parts import SIDE, tiny_teacher
from tests.world.preferences.make_preferences import CONFIG, tiny_judge, tiny_preferences

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="module")
def teacher(workshop: Path) -> Artifact:
    return tiny_teacher(workshop)


@pytest.fixture(scope="module")
def judge(workshop: Path) -> Artifact:
    return tiny_judge(workshop)


@pytest.fixture(scope="module")
def made(workshop: Path, teacher: Artifact, judge: Artifact) -> Artifact:
    return tiny_preferences(workshop, teacher, judge)


def test_what_stands_there(made: Artifact, teacher: Artifact, judge: Artifact):
    names = ["held_out-0000.safetensors", "labels.safetensors", "train-0000.safetensors"]
    assert made.manifest["files"] == {name: digest_file(made.path / name) for name in names}
    assert sorted(file.name for file in made.path.iterdir()) == sorted([*names, "manifest.json"])
    assert made.manifest["pairs"] == {"train": 50, "held_out": 40}
    shares = [made.metrics[f"share_{name}"] for name in sources.SOURCES]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    again = make_preferences(CONFIG, teacher, judge, SIDE, made.path)
    assert again.reused
    assert again.digest == made.digest


@pytest.mark.parametrize("taste", pairs.PEOPLE)
def test_the_judge_s_taste_decides_through_noise(made: Artifact, judge: Artifact, taste: str):
    read = Judge.load(judge.path)
    for split, count in (("train", 50), ("held_out", 40)):
        got = load_preferences(made.path, split, taste)
        assert got.images.shape == (count, 2, 3, SIDE, SIDE)
        assert got.images.dtype == torch.uint8
        assert len(got.captions) == len(got.first) == len(got.sources) == count
        scores = [read.score(got.images[:, i] / 255, got.captions, TASTES[taste]) for i in (0, 1)]
        torch.testing.assert_close(got.differences, scores[0] - scores[1], atol=1e-5, rtol=0)
    agreed = accuracy(got.differences, got.first)
    assert made.manifest["ceilings"][taste] == pytest.approx(agreed, abs=1e-4)
    assert 0.7 < agreed < 1
    assert made.manifest["temperatures"][taste] > 0


def test_a_killed_run_is_gone_on_with(
    made: Artifact, teacher: Artifact, judge: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pairs, "CHUNK", 20)
    whole = make_preferences(CONFIG, teacher, judge, SIDE, tmp_path / "whole")
    finished: list[int] = []
    draw = pairs.draw_pairs

    def draw_and_die(*args):
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(args[3])
        return draw(*args)

    monkeypatch.setattr(pairs, "draw_pairs", draw_and_die)
    place = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        make_preferences(CONFIG, teacher, judge, SIDE, place)
    assert not place.exists()

    drawn: list[tuple[str, int]] = []
    monkeypatch.setattr(
        pairs, "draw_pairs", lambda *args: (drawn.append((args[1].name, args[3])), draw(*args))[1]
    )
    made_again = make_preferences(CONFIG, teacher, judge, SIDE, place)
    assert drawn == [("train", 2), ("held_out", 0), ("held_out", 1)]
    assert made_again.manifest == whole.manifest
    assert made_again.manifest["files"].keys() > made.manifest["files"].keys()


def test_other_settings_make_others(made: Artifact, teacher: Artifact, judge: Artifact, tmp_path: Path):
    other = CONFIG.model_copy(update={"seed": 1})
    got = make_preferences(other, teacher, judge, SIDE, tmp_path / "other")
    assert got.digest != made.digest
    first, second = (load_preferences(a.path, "train", "hps") for a in (made, got))
    assert not torch.equal(first.images, second.images)


def test_a_teacher_without_its_past_is_refused(teacher: Artifact, judge: Artifact, tmp_path: Path):
    shutil.copytree(teacher.path, tmp_path / "teacher", ignore=shutil.ignore_patterns("early"))
    forgetful = Artifact(tmp_path / "teacher", teacher.manifest)
    with pytest.raises(DataError, match=r"early/step-\*\.safetensors"):
        make_preferences(CONFIG, forgetful, judge, SIDE, tmp_path / "preferences")


def test_damaged_pairs_are_told(made: Artifact, tmp_path: Path):
    shutil.copytree(made.path, tmp_path / "pairs")
    (tmp_path / "pairs" / "train-0000.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        load_preferences(tmp_path / "pairs", "train", "hps")
    with pytest.raises(DataError, match="cannot be read"):
        load_preferences(tmp_path / "pairs", "held_out", "mine")
    with pytest.raises(DataError, match="cannot be read"):
        load_preferences(tmp_path / "nowhere", "train", "hps")


def test_chunks_are_kept_as_they_were_written(made: Artifact):
    chunk = load_file(made.path / "train-0000.safetensors")
    assert {name: tuple(value.shape) for name, value in chunk.items()} == {
        "images": (50, 2, 3, SIDE, SIDE),
        "scores": (50, 2, 3),
        "sources": (50,),
    }
    assert float(chunk["scores"].std()) > 0


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"agreement": 0.5}, "agreement"),
        ({"agreement": 1.0}, "agreement"),
        ({"pairs": 0}, "pairs"),
        ({"mix": {"early": 1.0}}, "did you mean mix.early_early"),
    ],
)
def test_settings_that_cannot_be_for_pairs(values: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        check(PreferencesConfig, {"pairs": 10, "held_out_pairs": 10} | values)
