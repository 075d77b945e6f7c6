"""What the text tower says of captions: kept in chunks, found in any order, and never somebody else's."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.latent_reward import captions as module
from rglcd_pipelines.latent_reward.captions import Captions, chunk_name, make_captions
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.latent_reward.text import TextTower, load_text
from tests.data.make_latents import columns, make_latents
from tests.rewards.tiny_models import save_clip

SAMPLES = 23


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextConfig:
    return TextConfig(id=str(save_clip(tmp_path_factory.mktemp("clip"))))


@pytest.fixture
def latents(tmp_path: Path) -> Artifact:
    return make_latents(tmp_path / "latents")


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them, of two batches each."""
    monkeypatch.setattr(module, "CHUNK", 9)
    monkeypatch.setattr(module, "BATCH", 5)


def said(text: TextConfig) -> np.ndarray:
    tower, _ = load_text(text)
    return tower(columns(SAMPLES)["captions"]).numpy()


def test_it_is_what_the_tower_says(text: TextConfig, latents: Artifact, tmp_path: Path) -> None:
    made = make_captions(text, latents, tmp_path / "captions")
    found = Captions(made)
    assert len(found) == SAMPLES
    rows, expected = found.rows(range(SAMPLES)), said(text)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=3e-4)  # in half precision in between
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    distances = torch.pdist(torch.from_numpy(expected))
    assert distances.min() > 3e-3  # ten times that: whose they are is no matter of rounding
    assert (made.manifest["samples"], made.manifest["dimensions"]) == (SAMPLES, 24)
    assert list(made.manifest["files"]) == [chunk_name(0)]
    assert open_artifact(tmp_path / "captions", "captions") == made


@pytest.mark.usefixtures("_small_chunks")
def test_chunks_in_any_order(text: TextConfig, latents: Artifact, tmp_path: Path) -> None:
    made = make_captions(text, latents, tmp_path / "captions")
    assert list(made.manifest["files"]) == [chunk_name(start) for start in (0, 9, 18)]
    expected = said(text)
    order = np.random.default_rng(0).permutation(SAMPLES)
    for wanted in (order, order[:4], [8, 9], [22, 0, 22, 18, 17], order.astype(np.uint64), np.array([], int)):
        rows = Captions(made).rows(wanted)
        assert rows.shape == (len(wanted), 24)
        np.testing.assert_allclose(rows, expected[np.asarray(wanted, int)], atol=3e-4)


class Killed(BaseException):
    """As kill -9: nothing of ours runs after it."""


def counting(monkeypatch: pytest.MonkeyPatch, dies_at: int | None = None) -> list[list[str]]:
    """What a text tower is asked from now on, until it is asked `dies_at` times."""
    asked: list[list[str]] = []
    forward = TextTower.forward

    def counts(self: TextTower, captions: Sequence[str]) -> Tensor:
        if len(asked) == dies_at:
            raise Killed
        asked.append(list(captions))
        return forward(self, captions)

    monkeypatch.setattr(TextTower, "forward", counts)
    return asked


@pytest.mark.usefixtures("_small_chunks")
def test_a_killed_run_goes_on_at_its_chunk(
    text: TextConfig, latents: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_captions(text, latents, tmp_path / "whole")
    with monkeypatch.context() as patch:
        asked = counting(patch, dies_at=3)
        with pytest.raises(Killed):
            make_captions(text, latents, tmp_path / "captions")
    assert [len(captions) for captions in asked] == [5, 4, 5]
    assert not (tmp_path / "captions").exists()
    asked = counting(monkeypatch)
    again = make_captions(text, latents, tmp_path / "captions")
    assert [captions[0] for captions in asked] == [columns(SAMPLES)["captions"][row] for row in (9, 14, 18)]
    assert again.manifest["files"] == whole.manifest["files"]


def test_made_once(
    text: TextConfig, latents: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_captions(text, latents, tmp_path / "captions")
    asked = counting(monkeypatch)
    again = make_captions(text, latents, tmp_path / "captions")
    assert again.reused
    assert again == first
    assert asked == []


@pytest.mark.parametrize("change", ["latents", "text"])
def test_made_anew_for_others(text: TextConfig, latents: Artifact, tmp_path: Path, change: str) -> None:
    first = make_captions(text, latents, tmp_path / "captions")
    if change == "latents":
        latents = make_latents(tmp_path / "others", made=columns(SAMPLES, seed=1))
    else:
        text = TextConfig(id=str(save_clip(tmp_path / "half", torch.float16)))
    again = make_captions(text, latents, tmp_path / "captions")
    assert not again.reused
    assert again.digest != first.digest or change == "latents"
    assert again.manifest["made_from"] != first.manifest["made_from"]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def narrower(file: Path) -> None:
    np.save(file, np.load(file)[:, :20])


def shorter(file: Path) -> None:
    np.save(file, np.load(file)[:2])


def pickled(file: Path) -> None:
    np.save(file, np.array([{}], object), allow_pickle=True)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"no numbers"),
        cut,
        narrower,
        shorter,
        pickled,
    ],
)
def test_a_damaged_chunk_is_told_by_its_name(
    text: TextConfig, latents: Artifact, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    made = make_captions(text, latents, tmp_path / "captions")
    file = made.path / chunk_name(9)
    damage(file)
    assert Captions(made).rows([0, 22]).shape == (2, 24)
    with pytest.raises(
        DataError, match=r"captions-000000009\.npy: the captions' embeddings cannot be read.*lrm"
    ):
        Captions(made).rows([0, 9, 22])


@pytest.mark.usefixtures("_small_chunks")
def test_the_same_caption_is_the_same_to_the_last_bits(text: TextConfig, tmp_path: Path) -> None:
    """Wherever it was read and whatever rounding did: cosines tell equal texts (see contrastive.py)."""
    made = columns(SAMPLES)
    made["captions"] = [made["captions"][row % 4] for row in range(SAMPLES)]
    latents = make_latents(tmp_path / "latents", made=made)
    rows = Captions(make_captions(text, latents, tmp_path / "captions")).rows(range(SAMPLES))
    numbers = np.arange(SAMPLES) % 4
    same = numbers[:, None] == numbers
    assert (rows @ rows.T)[same].min() > 0.99999
