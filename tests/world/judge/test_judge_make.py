"""The judge's mechanics, on an ensemble that has learnt for a moment."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.training.fit import FitConfig
from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.judge import TASTES, Judge, JudgeConfig, accuracy, make_judge
from rglcd_pipelines.world.judge import train as training
from rglcd_pipelines.world.judge.train import draw_mixed
from rglcd_pipelines.world.scenes import is_held_out
from rglcd_pipelines.world.vocabulary import ATTRIBUTES

STEPS = 30
TINY = JudgeConfig(
    members=2,
    width=8,
    measured=64,
    fit=FitConfig(steps=STEPS, batch_size=32, lr=1e-2, warmup_steps=5, ema=0.9),
)
BATCH = draw_batch("figures", 5, 40, 32, held_out=True)
IMAGES = unit(BATCH.images)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_judge(TINY, 32, tmp_path_factory.mktemp("world") / "judge")


@pytest.fixture(scope="module")
def judge(made: Artifact) -> Judge:
    return Judge.load(made.path)


def test_what_is_made(made: Artifact) -> None:
    names = {"judge.json", "member-1.safetensors", "member-2.safetensors"}
    assert set(made.manifest["files"]) == names
    assert {file.name for file in made.path.iterdir()} == names | {"manifest.json"}
    weights = [load_file(made.path / f"member-{i}.safetensors") for i in (1, 2)]
    assert {value.dtype for value in weights[0].values()} == {torch.float16}
    assert not torch.equal(weights[0]["stem.weight"], weights[1]["stem.weight"])
    for prefix in ("", "degraded_"):
        assert all(0 <= made.metrics[f"{prefix}{name}_accuracy"] <= 1 for name in ATTRIBUTES)
        assert 0 < made.metrics[f"{prefix}gold"] < 1
    assert make_judge(TINY, 32, made.path).reused


def test_something_is_learnt_in_a_moment(made: Artifact) -> None:
    assert made.metrics["background_colour_accuracy"] > 0.3


def test_a_stopped_run_goes_on_to_the_same_judge(
    made: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(block: int, count: int, resolution: int) -> training.Drawn:
        if block == STEPS + 10:  # the second member's eleventh batch
            raise KeyboardInterrupt
        return draw_mixed(block, count, resolution)

    with monkeypatch.context() as patch:
        patch.setattr(training, "draw_mixed", stopping)
        with pytest.raises(KeyboardInterrupt):
            make_judge(TINY, 32, tmp_path / "judge")
    assert not (tmp_path / "judge").exists()

    drawn: list[int] = []

    def counting(block: int, count: int, resolution: int) -> training.Drawn:
        drawn.append(block)
        return draw_mixed(block, count, resolution)

    monkeypatch.setattr(training, "draw_mixed", counting)
    again = make_judge(TINY, 32, tmp_path / "judge")
    assert again.manifest["files"] == made.manifest["files"]
    assert [block for block in drawn if block < STEPS] == []  # the first member was finished


def test_members_learn_from_other_renders_of_every_pair() -> None:
    images, truth = draw_mixed(3, 90, 32)
    assert images.shape == (90, 3, 32, 32)
    pairs = [
        (ATTRIBUTES["noun"][noun], ATTRIBUTES["colour"][colour])
        for noun, colour in zip(truth["noun"].tolist(), truth["colour"].tolist(), strict=True)
    ]
    assert sum(is_held_out(*pair) for pair in pairs) == 10
    assert not torch.equal(images, draw_mixed(3 + STEPS, 90, 32)[0])


def test_reading_gives_probabilities_whatever_the_company(judge: Judge) -> None:
    read = judge.read(IMAGES)
    assert list(read) == list(ATTRIBUTES)
    for name, values in ATTRIBUTES.items():
        assert read[name].shape == (40, len(values))
        assert torch.allclose(read[name].sum(1), torch.ones(40), atol=1e-5)
    many = judge.read(IMAGES.repeat(7, 1, 1, 1))
    assert torch.allclose(many["noun"][-40:], read["noun"], atol=1e-5)


def test_terms_and_scores(judge: Judge) -> None:
    terms = judge.terms(IMAGES, BATCH.captions)
    assert set(terms) == set(vars(TASTES["gold"]))
    assert all(((v >= 0) & (v <= 1)).all() and v.shape == (40,) for v in terms.values())
    assert torch.allclose(judge.score(IMAGES, BATCH.captions), TASTES["gold"].score(terms))
    pick = judge.score(IMAGES, BATCH.captions, TASTES["pick"])
    assert torch.allclose(pick, TASTES["pick"].score(terms))
    # Even an ensemble that knows nothing yet sees wrong colours: they are measured.
    wrong = BATCH.captions[1:] + BATCH.captions[:1]
    assert judge.terms(IMAGES, wrong)["background_colour"].mean() < terms["background_colour"].mean() / 2


def test_accuracy_is_the_share_of_right_answers(judge: Judge) -> None:
    right = judge.read(IMAGES)["style"].argmax(1)
    styles = [ATTRIBUTES["style"].index(scene.style) for scene in BATCH.scenes]
    expected = float((right == torch.tensor(styles)).float().mean())
    assert accuracy(judge, IMAGES, BATCH.scenes)["style"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"\[B, 3, 32, 32\], not \[3, 32, 32\]"),
        (torch.rand(2, 3, 64, 64), r"not \[2, 3, 64, 64\]"),
        (torch.rand(0, 3, 32, 32), r"not \[0, 3, 32, 32\]"),
        (BATCH.images, "Divide by 255"),
        (IMAGES * 2 - 1, "Rescale and clamp"),
        (IMAGES * float("nan"), "Rescale and clamp"),
    ],
)
def test_other_images_are_refused(judge: Judge, images: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        judge.read(images)


def test_captions_must_belong_to_the_images(judge: Judge) -> None:
    with pytest.raises(DataError, match="40 images for 39 captions"):
        judge.score(IMAGES, BATCH.captions[1:])
    with pytest.raises(DataError, match="'a cat'"):
        judge.score(IMAGES[:1], ["a cat"])


@pytest.mark.parametrize(
    "damage", ["no settings", "bad settings", "no member", "cut", "other width", "lacking"]
)
def test_a_judge_that_is_not_whole_is_refused(made: Artifact, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(made.path, tmp_path / "judge")
    settings, member = folder / "judge.json", folder / "member-2.safetensors"
    if damage == "no settings":
        settings.unlink()
    elif damage == "bad settings":
        settings.write_text("{")
    elif damage == "no member":
        member.unlink()
    elif damage == "cut":
        member.write_bytes(member.read_bytes()[:-100])
    elif damage == "other width":
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"width": 16}))
    else:
        weights = load_file(member)
        del weights["head.bias"]
        save_file(weights, member)
    with pytest.raises(DataError, match=r"holds no whole judge .*kedro run --pipeline=world"):
        Judge.load(folder)
