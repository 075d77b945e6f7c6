"""The class of a latent is found from names alone; the figures are right, and the floor holds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.data.labelled.make import make_labelled
from rglcd_pipelines.data.labelled.settings import LabelledConfig
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.errors import DataError, RglcdError
from rglcd_pipelines.latent_reward import zero_shot
from rglcd_pipelines.latent_reward.zero_shot import (
    classifier,
    interval,
    make_zero_shot,
    measure,
    read_confusion,
)
from rglcd_pipelines.latent_reward.zero_shot_settings import ZeroShotConfig
from tests.data.encode_pairs import config as encode_config
from tests.data.labelled.labelled_sets import folder_of, write_folder
from tests.data.make_latents import columns, make_latents
from tests.latent_reward.towers_by_hand import TEMPLATES, Towers, latents_of, model_at, names

LABELS = [0, 0, 1, 1, 2, 2, 2, 3, 4, 5]
RANKINGS = [
    [0, 1, 2, 3, 4, 5],
    [1, 0, 2, 3, 4, 5],
    [1, 0, 2, 3, 4, 5],
    [0, 2, 3, 4, 5, 1],  # beyond the fifth
    [2, 0, 1, 3, 4, 5],
    [5, 4, 3, 1, 2, 0],
    [5, 4, 3, 1, 0, 2],  # beyond the fifth
    [3, 0, 1, 2, 4, 5],
    [4, 0, 1, 2, 3, 5],
    [4, 5, 1, 2, 3, 0],
]
CONFUSION = [
    [1, 1, 0, 0, 0, 0],
    [1, 1, 0, 0, 0, 0],
    [0, 0, 1, 0, 0, 2],
    [0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 1, 0],
]


@pytest.fixture
def reader(tmp_path: Path) -> LatentReader:
    return latents_of(tmp_path / "latents", LABELS, RANKINGS, 6)


@pytest.mark.parametrize("batch", [1, 3, 10, 99])
def test_the_figures_are_those_that_one_counts(reader: LatentReader, batch: int) -> None:
    towers = Towers(6)
    found = measure(towers, reader, names(6), TEMPLATES, batch)
    assert (found.top1, found.top5, found.samples) == (0.5, 0.8, 10)
    assert found.confusion.tolist() == CONFUSION
    assert (max(towers.batches), sum(towers.batches)) == (min(batch, 10), 10)


def test_with_fewer_than_five_classes_the_top_five_are_all_of_them(tmp_path: Path) -> None:
    reader = latents_of(tmp_path / "latents", [0, 1, 2], [[2, 1, 0], [1, 2, 0], [0, 1, 2]], 3)
    found = measure(Towers(3), reader, names(3), TEMPLATES, 2)
    assert (found.top1, found.top5) == (1 / 3, 1.0)
    only = latents_of(tmp_path / "one", [0, 0], [[0], [0]], 1)
    assert measure(Towers(1), only, names(1), TEMPLATES, 2).top1 == 1.0


def test_every_name_is_put_into_every_template() -> None:
    towers = Towers(3)
    weights = classifier(towers, names(3), TEMPLATES)
    assert torch.equal(weights, torch.eye(3))
    assert towers.asked[:4] == ["a photo of thing0.", "thing0, drawn", "the thing0", "a photo of thing1."]
    assert len(towers.asked) == 9


def test_braces_of_a_name_or_a_template_are_left_alone() -> None:
    towers = Towers(1)
    classifier(towers, ["thing0 {x}"], ["a {} of {colour}"])
    assert towers.asked == ["a thing0 {x} of {colour}"]


@pytest.fixture(scope="module")
def clip() -> CLIP:
    torch.manual_seed(0)
    tower = {"width": 32, "layers": 2, "heads": 2}
    model = CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},  # pyright: ignore[reportArgumentType]
        text_cfg={"context_length": 77, "vocab_size": 49408, **tower},  # pyright: ignore[reportArgumentType]
    )
    with torch.no_grad():
        for weight in model.parameters():  # at its first weights, all texts look alike to it
            weight.mul_(5 if weight.ndim > 1 else 1)
    return model.eval()


class OpenClipTowers:
    """The text tower of an open_clip model."""

    def __init__(self, model: CLIP) -> None:
        self.model = model
        self.tokenizer = open_clip.get_tokenizer("ViT-B-32")

    def embed_captions(self, captions: Sequence[str]) -> Tensor:
        found = self.model.encode_text(self.tokenizer(list(captions)), normalize=True)
        assert isinstance(found, Tensor)
        return found

    def embed_latents(self, z: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("templates", "theirs"),
    [("openai", open_clip.OPENAI_IMAGENET_TEMPLATES), ("simple", open_clip.SIMPLE_IMAGENET_TEMPLATES)],
)
def test_open_clip_builds_the_same_classifier(
    clip: CLIP, templates: str, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rglcd_pipelines.latent_reward.zero_shot_texts import caption_templates, class_names

    classes = class_names("imagenet")[20:31]
    towers = OpenClipTowers(clip)
    expected = open_clip.build_zero_shot_classifier(clip, towers.tokenizer, classes, theirs)
    for at_once in (1, 512):
        monkeypatch.setattr(zero_shot, "CAPTIONS_AT_ONCE", at_once)
        found = classifier(towers, classes, caption_templates(templates))
        torch.testing.assert_close(found, expected.T, rtol=1e-4, atol=1e-5)
    assert (found @ found.T).fill_diagonal_(0).max() < 0.9999  # they are not all the same


def test_from_images_to_figures(tmp_path: Path) -> None:
    """Labelled images, encoded by an untrained autoencoder; whoever knows its latents finds their classes."""
    folder = write_folder(tmp_path / "val", per_class=4)
    labelled = make_labelled(folder_of(folder), 3, tmp_path / "labelled", progress=False)
    reader = LatentReader(encode(labelled, encode_config(), tmp_path / "latents"))
    known = torch.from_numpy(reader.batch(range(12)).latents).float().flatten(1)

    class Knowing(Towers):
        def embed_latents(self, z: Tensor) -> Tensor:
            rows = torch.cdist(z.flatten(1), known).argmin(1)
            told = rows // 4
            told[rows == 5] = 2  # one of class 1, which it takes for class 2
            return torch.nn.functional.one_hot(told, 3).float()

    found = measure(Knowing(3), reader, names(3), TEMPLATES, 5)
    assert found.confusion.tolist() == [[4, 0, 0], [0, 3, 1], [0, 0, 4]]
    assert found.top1 == 11 / 12


def settings(tmp_path: Path, classes: int = 6, **changes: Any) -> ZeroShotConfig:
    for name, content in (("classes", names(classes)), ("templates", TEMPLATES)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    values = {
        "set": LabelledConfig(source="world", path="sets"),
        "classes": str(tmp_path / "classes.json"),
        "templates": str(tmp_path / "templates.json"),
        "floor": 0.5,
        "batch_size": 4,
        "progress": False,
    }
    return ZeroShotConfig(**(values | changes))


def run(reader: LatentReader, tmp_path: Path, lrm: Artifact | None = None, **changes: Any) -> Artifact:
    return make_zero_shot(
        lrm or model_at(tmp_path / "lrm"),
        lambda: Towers(6),
        reader.artifact,
        settings(tmp_path, **changes),
        tmp_path / "zero_shot",
    )


def test_what_stands_afterwards(reader: LatentReader, tmp_path: Path) -> None:
    made = run(reader, tmp_path)
    figures = made.manifest["figures"]
    assert (figures["samples"], figures["top1"], figures["top5"]) == (10, 0.5, 0.8)
    assert figures["top1_low"] < 0.5 < figures["top1_high"]
    assert made.metrics["top1"] == 0.5
    confusion, classes = read_confusion(open_artifact(made.path, "zero_shot"))
    assert (confusion.tolist(), classes) == (CONFUSION, names(6))
    pairs = json.loads((made.path / "most_confused.json").read_text())
    assert pairs[0] == {"true": "thing2", "guessed": "thing5", "count": 2, "share": 0.6667}
    assert [(pair["true"], pair["guessed"]) for pair in pairs[1:]] == [
        ("thing5", "thing4"),
        ("thing0", "thing1"),
        ("thing1", "thing0"),
    ]


def test_equal_runs_leave_equal_bytes(reader: LatentReader, tmp_path: Path) -> None:
    first = {file.name: file.read_bytes() for file in run(reader, tmp_path).path.iterdir()}
    (tmp_path / "zero_shot").rename(tmp_path / "elsewhere")
    assert {file.name: file.read_bytes() for file in run(reader, tmp_path).path.iterdir()} == first


def test_nothing_is_measured_twice(reader: LatentReader, tmp_path: Path) -> None:
    lrm = model_at(tmp_path / "lrm")
    run(reader, tmp_path, lrm)

    def opened() -> Towers:
        raise AssertionError("the model was opened")

    again = make_zero_shot(
        lrm, opened, reader.artifact, settings(tmp_path, floor=0.1), tmp_path / "zero_shot"
    )
    assert again.reused  # another floor changes no figure
    assert not run(reader, tmp_path, model_at(tmp_path / "other", 2)).reused
    assert not run(reader, tmp_path, model_at(tmp_path / "other", 2), batch_size=5).reused
    others = latents_of(tmp_path / "others", LABELS, RANKINGS[::-1], 6)
    assert not run(others, tmp_path, model_at(tmp_path / "other", 2), floor=0.0).reused


def test_below_the_floor_it_is_told_and_the_figures_stand(reader: LatentReader, tmp_path: Path) -> None:
    for _ in range(2):  # measured now, or standing there
        with pytest.raises(RglcdError) as caught:
            run(reader, tmp_path, floor=0.51)
        told = str(caught.value)
        assert told.startswith(f"{tmp_path / 'lrm'}: ")
        assert "50.0% of 10 latents" in told
        assert "lrm.zero_shot.floor = 51.0%" in told
        assert str(tmp_path / "zero_shot") in told
        assert open_artifact(tmp_path / "zero_shot", "zero_shot").metrics["top1"] == 0.5
    assert run(reader, tmp_path, floor=0.5).reused


@pytest.mark.parametrize("caption", ["a red cat", "6", "-1", "", "1.0", "²", "9" * 30])
def test_latents_that_have_no_labels(tmp_path: Path, caption: str) -> None:
    reader = latents_of(tmp_path / "latents", [0, caption], RANKINGS[:2], 6)
    with pytest.raises(DataError) as caught:
        measure(Towers(6), reader, names(6), TEMPLATES, 4)
    assert str(caught.value).startswith(f"{tmp_path / 'latents'}: the caption of 000000001 is")
    assert "which is no class from 0 to 5" in str(caught.value)


def test_latents_with_variances_are_refused(tmp_path: Path) -> None:
    made = make_latents(tmp_path / "latents", made=columns(3))
    moments = {**made.manifest, "latent": {**made.manifest["latent"], "kind": "moments"}}
    with pytest.raises(DataError, match="kind 'moments', but 'mean' is asked for"):
        run(LatentReader(Artifact(made.path, moments)), tmp_path)
    assert not (tmp_path / "zero_shot").exists()


@pytest.mark.parametrize("what", ["latents", "captions"])
def test_a_model_that_broke_down_is_told(reader: LatentReader, what: str) -> None:
    class Broken(Towers):
        def embed_captions(self, captions: Sequence[str]) -> Tensor:
            return super().embed_captions(captions) / (0 if what == "captions" else 1)

        def embed_latents(self, z: Tensor) -> Tensor:
            return super().embed_latents(z) / (0 if what == "latents" else 1)

    with pytest.raises(DataError, match=f"the model's vectors of {what} are not finite"):
        measure(Broken(6), reader, names(6), TEMPLATES, 4)


def test_the_interval_covers_what_it_should() -> None:
    low, high = interval(0.6, 960)
    error = 1.96 * np.sqrt(0.6 * 0.4 / 960)
    assert (low, high) == pytest.approx((0.6 - error, 0.6 + error), abs=0.003)
    assert (low, high) == interval(0.6, 960)
    assert interval(1.0, 10) == (1.0, 1.0)
