"""The stand-ins: what their losses are, that they learn, and that their folders are rewards."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from rglcd_pipelines.artifacts import Artifact, digest_file
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.clip import ClipReward, load_clip
from rglcd_pipelines.rewards.image_reward import ImageReward
from rglcd_pipelines.rewards.preprocess import PreprocessConfig
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.training import fit as fitting
from rglcd_pipelines.training.fit import FitConfig, Task, fit
from rglcd_pipelines.world import stand_ins
from rglcd_pipelines.world.batches import draw_batch
from rglcd_pipelines.world.figures import load_reward
from rglcd_pipelines.world.preferences import Preferences, load_preferences, measure
from rglcd_pipelines.world.preferences.batches import PairBatches, moved
from rglcd_pipelines.world.preferences.learning import calibrate, clip_loss, image_reward_loss
from rglcd_pipelines.world.preferences.matching import Matching, draw_captioned
from rglcd_pipelines.world.stand_ins import (
    ClipRewardConfig,
    ImageRewardConfig,
    SmallModel,
    build_image_reward,
    make_clip_reward,
    make_image_reward,
)
from rglcd_pipelines.world.tokenizer import CONTEXT, build_tokenizer
from tests.world.make_parts import FEW, SIDE, tiny_clip, tiny_teacher
from tests.world.preferences.make_preferences import tiny_judge, tiny_preferences

SMALL = SmallModel(width=32, heads=2, vision_layers=1, text_layers=1, head=[16, 8])
IMAGE_REWARD = ImageRewardConfig(**SMALL.model_dump(), naming=FEW, matching=FEW, fit=FEW)
SEEN = PreprocessConfig(size=16)


def dark_and_bright(count: int = 64) -> Preferences:
    """Pairs of which everybody prefers the brighter picture."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 120, (count, 2, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    first = torch.arange(count) % 2 == 0
    images[torch.arange(count), (~first).long()] += 100
    return Preferences(
        images=images,
        captions=draw_batch("preferences", 0, count, SIDE).captions,
        differences=first.float() * 2 - 1,
        first=first,
        sources=torch.arange(count).remainder(5).to(torch.uint8),
    )


def texts(length: int = CONTEXT) -> Texts:
    return Texts("test", build_tokenizer(), length)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="module")
def clip(workshop: Path) -> Artifact:
    return tiny_clip(workshop)


@pytest.fixture(scope="module")
def preferences(workshop: Path) -> Artifact:
    return tiny_preferences(workshop, tiny_teacher(workshop), tiny_judge(workshop))


def test_a_batch_comes_from_its_step_alone():
    batches = PairBatches(dark_and_bright(), texts(), SEEN, 16, 3)
    one, same, other = batches.draw(5), batches.draw(5), batches.draw(6)
    assert one.pixels.shape == (16, 2, 3, 16, 16)
    for name in ("pixels", "ids", "mask", "first"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.pixels, other.pixels)
    brighter = one.pixels.mean((2, 3, 4))
    assert torch.equal(brighter[:, 0] > brighter[:, 1], one.first)


def test_pictures_are_moved_whole():
    images = torch.rand(40, 3, SIDE, SIDE)
    shifted = moved(images, torch.Generator().manual_seed(0))
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    places = [
        [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(padded[i, :, y:, x:][:, :SIDE, :SIDE], picture)
        ]
        for i, picture in enumerate(shifted)
    ]
    assert all(len(found) == 1 for found in places)
    assert len({found[0] for found in places}) > 10


def test_hps_s_loss_by_hand(clip: Artifact):
    model, _ = load_clip(clip.path)
    batch = PairBatches(dark_and_bright(), texts(), SEEN, 8, 0).draw(0)
    with torch.no_grad():
        expected = []
        for i in range(8):
            told = model(input_ids=batch.ids[i : i + 1], pixel_values=batch.pixels[i])
            probabilities = told.logits_per_text[0].softmax(0)
            expected.append(-torch.log(probabilities[0 if batch.first[i] else 1]))
        terms = clip_loss(model, batch)
    torch.testing.assert_close(terms["loss"], torch.stack(expected).mean(), atol=1e-5, rtol=1e-5)


def test_a_clip_that_is_too_sure_is_made_less_so(clip: Artifact):
    model, _ = load_clip(clip.path)
    pairs = dark_and_bright(256)
    batches = PairBatches(pairs, texts(), SEEN, 64, 0)

    def loss() -> float:
        return sum(float(clip_loss(model, batches.draw(step))["loss"]) for step in range(16))

    model.logit_scale.data.fill_(4.6)
    sure = loss()
    calibrate(model, batches)
    best, scale = loss(), float(model.logit_scale)
    assert best < sure
    for other in (scale - 0.2, scale + 0.2):
        model.logit_scale.data.fill_(min(max(other, 0.0), 4.6))
        assert best <= loss() + 1e-3


def test_image_reward_s_loss_by_hand():
    torch.manual_seed(0)
    model = build_image_reward(SMALL, len(build_tokenizer())).eval()
    batch = PairBatches(dark_and_bright(), texts(), SEEN, 8, 0).draw(0)
    with torch.no_grad():
        expected = []
        for i in range(8):
            ids, mask = batch.ids[i : i + 1], batch.mask[i : i + 1]
            first, second = (model(batch.pixels[i, j : j + 1], ids, mask) for j in (0, 1))
            won, lost = (first, second) if batch.first[i] else (second, first)
            expected.append(-torch.log(torch.sigmoid(won - lost)))
        terms = image_reward_loss(model, batch)
    torch.testing.assert_close(terms["loss"], torch.cat(expected).mean(), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_both_recipes_learn_what_is_preferred(clip: Artifact, tmp_path: Path):
    config = FitConfig(steps=60, batch_size=32, lr=3e-3, warmup_steps=5, ema=0.8, precision="fp32")
    pairs = dark_and_bright()
    batches = PairBatches(pairs, texts(), SEEN, 32, 0)
    model, tokenizer = load_clip(clip.path)
    model.requires_grad_(True)
    (tmp_path / "clip").mkdir()
    fit(Task("clip", model, batches.draw, lambda batch: clip_loss(model, batch)), config, tmp_path / "clip")
    torch.manual_seed(0)
    small = build_image_reward(SMALL, len(tokenizer))
    (tmp_path / "small").mkdir()
    fit(
        Task("small", small, batches.draw, lambda batch: image_reward_loss(small, batch)),
        config,
        tmp_path / "small",
    )
    for reward in (ClipReward("clip", model, tokenizer), ImageReward("small", small, tokenizer)):
        figures = measure(reward, pairs)
        assert figures["accuracy"] > 0.9, reward.name
        assert figures["ceiling"] == 1
        assert figures["ratio"] == figures["accuracy"]


def test_matching_is_contrast_and_telling_from_wrong():
    torch.manual_seed(0)
    matching = Matching(build_image_reward(SMALL, len(build_tokenizer()))).eval()
    batch = draw_captioned(0, 6, SIDE, texts(), SEEN)
    assert batch.pixels.shape == (6, 3, 16, 16)
    assert len(batch.ids) == 12
    assert all(not torch.equal(batch.ids[i], batch.ids[6 + i]) for i in range(6))
    with torch.no_grad():
        terms = matching.loss(batch)
        looked = matching.model.look(batch.pixels)
        right, wrong = (
            matching.model.read(looked, batch.ids[part], batch.mask[part])
            for part in (slice(6), slice(6, 12))
        )
        read = matching.model.text(input_ids=batch.ids[:6], attention_mask=batch.mask[:6])
        images = matching.image_projection(looked[:, 0])
        captions = matching.text_projection(read.last_hidden_state[:, 0])
        logits = matching.logit_scale.exp() * F.cosine_similarity(images[:, None], captions[None], dim=-1)
    match = F.binary_cross_entropy_with_logits(right - wrong, torch.ones(6))
    own = torch.arange(6)
    contrast = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    assert float(terms["loss"]) == pytest.approx(float(match + contrast), rel=1e-5)


@pytest.mark.slow
def test_hps_and_pick_stand_in_the_clip_s_layout(clip: Artifact, preferences: Artifact, tmp_path: Path):
    config = ClipRewardConfig(fit=FEW)
    made = {
        taste: make_clip_reward(config, taste, clip, preferences, tmp_path / taste)
        for taste in ("hps", "pick")
    }
    for taste, reward in made.items():
        assert reward.manifest["taste"] == taste
        assert reward.manifest["files"] == {
            file.name: digest_file(file)
            for file in sorted(reward.path.iterdir())
            if file.name != "manifest.json"
        }
        assert reward.manifest["files"].keys() == clip.manifest["files"].keys() | {"preprocess.json"}
        weights = load_file(reward.path / "model.safetensors")
        assert {weight.dtype for weight in weights.values()} == {torch.float16}
        loaded = ClipReward.load(reward.path, taste)
        figures = measure(loaded, load_preferences(preferences.path, "held_out", taste))
        assert {name: reward.metrics[name] for name in figures} == figures
    assert made["hps"].digest != made["pick"].digest
    assert make_clip_reward(config, "hps", clip, preferences, tmp_path / "hps").reused


@pytest.mark.slow
def test_frozen_blocks_stay_as_they_were(clip: Artifact, preferences: Artifact, tmp_path: Path):
    config = ClipRewardConfig(frozen_blocks=1, fit=FEW)
    made = make_clip_reward(config, "hps", clip, preferences, tmp_path / "hps")
    before, after = (load_clip(folder)[0].state_dict() for folder in (clip.path, made.path))
    kept = {name for name, weight in before.items() if torch.equal(weight, after[name])}
    frozen = {name for name in before if "embeddings." in name or "encoder.layers.0." in name}
    assert len(frozen) > 30
    assert frozen <= kept
    assert not kept & {"visual_projection.weight", "text_projection.weight", "logit_scale"}


@pytest.mark.slow
@pytest.mark.parametrize("antialias", [True, False])
def test_a_reward_sees_what_it_was_made_to_see(
    clip: Artifact, preferences: Artifact, tmp_path: Path, antialias: bool
):
    hps = ClipRewardConfig(fit=FEW, antialias=antialias)
    imgrwd = IMAGE_REWARD.model_copy(update={"antialias": antialias})
    made = {
        "hps": make_clip_reward(hps, "hps", clip, preferences, tmp_path / "hps"),
        "imgrwd": make_image_reward(imgrwd, preferences, tmp_path / "imgrwd"),
    }
    for name, reward in made.items():
        loaded = load_reward(tmp_path, name, torch.device("cpu"))
        figures = measure(loaded, load_preferences(preferences.path, "held_out", name))
        assert {name: reward.metrics[name] for name in figures} == figures
        assert isinstance(loaded, ClipReward | ImageReward)
        assert loaded.seen.antialias is antialias


@pytest.mark.slow
def test_image_reward_goes_on_where_it_was_killed(
    preferences: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = make_image_reward(IMAGE_REWARD, preferences, tmp_path / "whole")
    monkeypatch.setattr(fitting, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    loss, calls = stand_ins.image_reward_loss, []

    def loss_and_die(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return loss(*args)

    monkeypatch.setattr(stand_ins, "image_reward_loss", loss_and_die)
    with pytest.raises(KeyboardInterrupt):
        make_image_reward(IMAGE_REWARD, preferences, tmp_path / "killed")
    again = make_image_reward(IMAGE_REWARD, preferences, tmp_path / "killed")
    assert len(calls) == 4  # the first phase was not begun again, nor the second one's two steps
    assert again.manifest == whole.manifest
    assert sorted(file.name for file in again.path.iterdir()) == sorted(
        [*whole.manifest["files"], "manifest.json"]
    )


@pytest.mark.slow
def test_the_small_image_reward_is_a_reward_of_about_mean_zero(preferences: Artifact, tmp_path: Path):
    made = make_image_reward(IMAGE_REWARD, preferences, tmp_path / "imgrwd")
    reward = ImageReward.load(made.path, "imgrwd")
    assert reward.model.config.std > 0
    pairs = load_preferences(preferences.path, "train", "imgrwd")
    with torch.no_grad():
        scores = torch.cat([reward.score(pairs.images[:, i] / 255, pairs.captions) for i in (0, 1)])
    assert abs(float(scores.mean())) < 0.7
    assert 0.4 < float(scores.std()) < 2.5
    figures = measure(reward, load_preferences(preferences.path, "held_out", "imgrwd"))
    assert {name: made.metrics[name] for name in figures} == figures


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"width": 30, "heads": 4}, "does not divide width = 30"),
        ({"patch_size": 5}, "does not divide image_size = 16"),
    ],
)
def test_sizes_that_cannot_be(values: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        check(SmallModel, SMALL.model_dump() | values)
