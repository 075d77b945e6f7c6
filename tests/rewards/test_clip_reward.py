"""A CLIP as a reward: cosines in float32, gradients for images, and folders that are not what they seem."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.clip import ClipReward, load_clip
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess
from rglcd_pipelines.rewards.protocol import Reward
from tests.rewards.tiny_models import CAPTIONS, pictures, save_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


def test_it_is_what_transformers_says(folder: Path):
    reward: Reward = ClipReward.load(folder, "clip", scaled=True)
    model, tokenizer = load_clip(folder)
    tokens = tokenizer(CAPTIONS, padding=True, return_tensors="pt")
    pixels = preprocess(pictures(), PreprocessConfig(size=16))
    with torch.no_grad():
        theirs = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, pixel_values=pixels)
    expected = theirs.logits_per_image.diagonal()
    torch.testing.assert_close(reward.score(pictures(), CAPTIONS), expected, atol=1e-5, rtol=1e-5)
    cosine = ClipReward.load(folder, "clip").score(pictures(), CAPTIONS)
    torch.testing.assert_close(cosine * model.logit_scale.exp(), expected, atol=1e-5, rtol=1e-5)
    assert cosine.abs().max() <= 1
    assert cosine.unique().numel() == 3


def test_a_score_depends_on_nothing_else_in_the_batch(folder: Path):
    reward = ClipReward.load(folder, "clip")
    together = reward.score(pictures(), CAPTIONS)
    alone = torch.cat([reward.score(pictures()[i : i + 1], CAPTIONS[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_gradients_reach_the_images_and_no_weight(folder: Path):
    reward = ClipReward.load(folder, "clip")
    images = pictures().requires_grad_()
    reward.score(images, CAPTIONS).sum().backward()
    assert images.grad is not None
    assert bool((images.grad.flatten(1).abs().sum(1) > 0).all())
    assert not any(weight.requires_grad for weight in reward.model.parameters())
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ahead, behind = (reward.score(images + step * direction, CAPTIONS).sum() for step in (1e-2, -1e-2))
    assert float((images.grad * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-2, rel=0.02)


def test_float32_under_autocast_and_from_half_precision(tmp_path: Path):
    reward = ClipReward.load(save_clip(tmp_path / "half", torch.float16), "clip")
    assert {weight.dtype for weight in reward.model.parameters()} == {torch.float32}
    expected = reward.score(pictures(), CAPTIONS)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reward.score(pictures(), CAPTIONS), expected)
    assert expected.dtype == torch.float32


def test_antialiasing_is_the_rewards_to_choose(folder: Path):
    plain = ClipReward.load(folder, "clip", seen=PreprocessConfig(size=16, antialias=False))
    assert not torch.allclose(
        plain.score(pictures(), CAPTIONS), ClipReward.load(folder, "clip").score(pictures(), CAPTIONS)
    )


def test_long_captions_are_cut_counted_and_told_once(folder: Path, caplog: pytest.LogCaptureFixture):
    reward = ClipReward.load(folder, "clip")
    long = "a red cat " * 30
    with caplog.at_level(logging.WARNING):
        ours = reward.score(pictures(2), [long, "cat"])
        reward.score(pictures(2), [long, long])
    assert [record.message for record in caplog.records if "are cut" in record.message] == [
        "clip reads 32 tokens of a caption; 1 of the first 2 captions are longer and are cut"
    ]
    assert (reward.texts.cut, reward.texts.seen) == (3, 4)
    _, tokenizer = load_clip(folder)
    cut = tokenizer([long], truncation=True, max_length=32, return_tensors="pt").input_ids
    assert torch.equal(reward.texts.ids([long])[0], cut)
    assert torch.isfinite(ours).all()
    assert cut[0, -1] == tokenizer.eos_token_id


def broken(folder: Path, tmp_path: Path, change) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    change(copy)
    return copy


def rewrite(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)


def other_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 64
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (as_pickle, "can run code when they are opened"),
        (lambda folder: rewrite(folder, lambda w: w.pop("visual_projection.weight")), "lacks 1 weights"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (other_model, "cannot be loaded"),
        (without_tokenizer, "tokenizer|cannot be loaded"),
    ],
)
def test_a_folder_that_is_no_clip_is_refused(folder: Path, tmp_path: Path, change, told: str):
    copy = broken(folder, tmp_path, change)
    with pytest.raises(DataError, match=told) as caught:
        ClipReward.load(copy, "clip")
    assert str(copy) in str(caught.value)


def test_no_folder_at_all(tmp_path: Path):
    with pytest.raises(DataError, match="there is no such folder"):
        ClipReward.load(tmp_path / "nowhere", "clip")
