"""ImageReward's architecture at a small size, and what its folder must hold."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.image_reward import ImageReward, ImageRewardModel, ImageRewardModelConfig
from rglcd_pipelines.rewards.preprocess import preprocess
from rglcd_pipelines.rewards.protocol import Reward
from tests.rewards.tiny_models import CAPTIONS, TINY, pictures, save_image_reward


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_image_reward(tmp_path_factory.mktemp("imgrwd"))


def test_by_default_it_is_the_original_s_size():
    with torch.device("meta"):
        model = ImageRewardModel(ImageRewardModelConfig())

    def count(part: torch.nn.Module) -> int:
        return sum(weight.numel() for weight in part.parameters())

    assert count(model.vision) == 303_301_632  # ViT-L/16 at 224 pixels
    # BERT base, and in each of its 12 layers queries and outputs of 768, keys and values of 1024 channels
    assert count(model.text) == 23_837_184 + 12 * (
        7_087_872 + 2 * (768 + 1) * 768 + 2 * (1024 + 1) * 768 + 2 * 768
    )
    assert [tuple(layer.weight.shape) for layer in model.head if isinstance(layer, torch.nn.Linear)] == [
        (1024, 768),
        (128, 1024),
        (64, 128),
        (16, 64),
        (1, 16),
    ]
    assert model.vision.config.layer_norm_eps == 1e-6
    assert model.text.config.layer_norm_eps == 1e-12


def test_saved_and_loaded_it_scores_the_same(folder: Path, tmp_path: Path):
    reward = ImageReward.load(folder, "imgrwd")
    scores = reward.score(pictures(), CAPTIONS)
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    reward.model.save(tmp_path)
    reward.texts.tokenizer.save_pretrained(tmp_path)
    again = ImageReward.load(tmp_path, "imgrwd")
    assert torch.equal(again.score(pictures(), CAPTIONS), scores)
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    ids, mask = reward.texts.ids(CAPTIONS)
    raw = reward.model(preprocess(pictures(), reward.seen), ids, mask)
    torch.testing.assert_close(scores, (raw - TINY.mean) / TINY.std)


def test_half_precision_in_the_file_is_float32_in_memory(tmp_path: Path):
    reward = ImageReward.load(save_image_reward(tmp_path, torch.float16), "imgrwd")
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    assert {weight.dtype for weight in reward.model.parameters()} == {torch.float32}
    expected = reward.score(pictures(), CAPTIONS)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reward.score(pictures(), CAPTIONS), expected)


def test_picture_and_caption_both_matter_and_padding_does_not(folder: Path):
    reward: Reward = ImageReward.load(folder, "imgrwd")
    together = reward.score(pictures(), CAPTIONS)  # captions of three lengths
    alone = torch.cat([reward.score(pictures()[i : i + 1], CAPTIONS[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    same_caption = reward.score(pictures(), CAPTIONS[:1] * 3)
    same_picture = reward.score(pictures()[:1].expand(3, -1, -1, -1), CAPTIONS)
    assert float(same_caption.std()) > 1e-4
    assert float(same_picture.std()) > 1e-4


def test_every_token_sees_the_whole_caption(folder: Path):
    # As a decoder, which transformers builds it as, its first token would see nothing but itself.
    reward = ImageReward.load(folder, "imgrwd")
    red, blue = (reward.score(pictures(1), [f"a cat in {colour}"]) for colour in ("red", "blue"))
    assert abs(float(red - blue)) > 1e-5


def test_gradients_reach_the_images(folder: Path):
    reward = ImageReward.load(folder, "imgrwd")
    images = pictures().requires_grad_()
    reward.score(images, CAPTIONS).sum().backward()
    assert images.grad is not None
    assert bool((images.grad.flatten(1).abs().sum(1) > 0).all())
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ahead, behind = (reward.score(images + step * direction, CAPTIONS).sum() for step in (1e-2, -1e-2))
    assert float((images.grad * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-2, rel=0.05)
    assert not any(weight.requires_grad for weight in reward.model.parameters())


def test_a_caption_that_is_too_long_is_cut_at_its_own_length(folder: Path):
    reward = ImageReward.load(folder, "imgrwd")
    ids, mask = reward.texts.ids(["a red cat " * 30, "cat"])
    assert ids.shape == (2, 20)
    assert mask.sum(1).tolist() == [20, 3]
    assert ids[0, -1] == ids[1, 2]  # both end with the mark of the end


def copy_of(folder: Path, tmp_path: Path) -> Path:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change_config(folder: Path, **values) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def drop_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("head.0.weight")
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: change_config(folder, _class_name="CLIPModel"), "describes no ImageRewardModel"),
        (lambda folder: change_config(folder, hidden=3), "hidden: there is no such parameter"),
        (lambda folder: change_config(folder, std=0.0), "std"),
        (lambda folder: change_config(folder, head=[32, 8]), "cannot be loaded"),
        (drop_weight, "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda folder: (folder / "config.json").write_text("[]"), "cannot be loaded"),
    ],
)
def test_a_folder_that_is_no_image_reward_is_refused(folder: Path, tmp_path: Path, change, told: str):
    copy = copy_of(folder, tmp_path)
    change(copy)
    with pytest.raises(DataError, match=told) as caught:
        ImageReward.load(copy, "imgrwd")
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"head": [16], "dropout": [0.1, 0.2]}, "dropout has 2 entries and head 1"),
        ({"text": {"positions": 8}}, "more than positions = 8"),
    ],
)
def test_settings_that_cannot_be_for_a_model(values: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        check(ImageRewardModelConfig, values)
