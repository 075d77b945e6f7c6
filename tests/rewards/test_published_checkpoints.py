"""Checkpoints in the formats of their authors, and files that are something else."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.aesthetic import AestheticReward, load_head, without_texts
from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.clip import load_model
from rglcd_pipelines.rewards.image_reward_published import load_published
from rglcd_pipelines.rewards.open_clip import Architecture, load_open_clip, read_architecture
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.settings import RewardConfig
from scripts.golden import recipe
from tests.rewards.tiny_models import CAPTIONS, pictures, save_clip

SMALL: dict[str, Any] = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1},
}
ARCHITECTURE = check(Architecture, SMALL)
READER = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 96, "vocab_size": 40}
BLIP = {
    "vision": {"width": 64, "layers": 1, "image_size": 16, "patch_size": 8},
    "text": {**recipe.IMAGE_REWARD["text"], **READER, "max_position_embeddings": 36},
}
State = dict[str, torch.Tensor]


def tensors(shapes: recipe.Shapes) -> State:
    return {name: torch.from_numpy(values) for name, values in recipe.state(shapes)}


def as_torch(state: Any, folder: Path, **how: Any) -> Path:
    torch.save(state, folder / "weights.pt", **how)
    return folder / "weights.pt"


def as_safetensors(state: State, folder: Path) -> Path:
    save_file(state, folder / "weights.safetensors")
    return folder / "weights.safetensors"


WAYS: list[Callable[[State, Path], Path]] = [
    as_safetensors,
    as_torch,
    lambda state, folder: as_torch({"state_dict": state, "epoch": 3}, folder),
    lambda state, folder: as_torch({f"module.{name}": each for name, each in state.items()}, folder),
    lambda state, folder: as_torch({name: each.half() for name, each in state.items()}, folder),
    lambda state, folder: as_torch(state, folder, _use_new_zipfile_serialization=False),
]


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_saving_weights_is_read(way: Callable[[State, Path], Path], tmp_path: Path) -> None:
    state = tensors(recipe.open_clip(SMALL))
    model = load_open_clip(way(state, tmp_path), ARCHITECTURE, "small")
    found = model.state_dict()
    assert {weight.dtype for weight in found.values()} == {torch.float32}
    assert not any(weight.requires_grad for weight in model.parameters())
    near: dict[str, Any] = {"atol": 2e-3, "rtol": 2e-3}  # for half precision
    torch.testing.assert_close(found["visual_projection.weight"], state["visual.proj"].T, **near)
    whole = [f"text_model.encoder.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
    expected = state["transformer.resblocks.0.attn.in_proj_weight"]
    torch.testing.assert_close(torch.cat([found[name] for name in whole]), expected, **near)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_code_in_a_checkpoint_is_refused_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for save in (lambda value: as_torch(value, tmp_path), lambda value: pickled(value, tmp_path)):
        for value in ({"state_dict": {"visual.proj": Bomb(mark)}}, Bomb(mark)):
            with pytest.raises(DataError, match=r"holds more than weights.*save its weights as safetensors"):
                load_open_clip(save(value), ARCHITECTURE, "small")
    assert not mark.exists()


def pickled(value: Any, folder: Path) -> Path:
    (folder / "weights.pt").write_bytes(pickle.dumps(value, protocol=2))
    return folder / "weights.pt"


def without(state: State, *names: str) -> State:
    return {name: each for name, each in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: without(state, "visual.proj"), r"lacks the weight visual\.proj of open_clip's small"),
        (
            lambda state: without(state, "visual.proj", "ln_final.bias"),
            "lacks 2 weights, such as ln_final.bias",
        ),
        (lambda state: {f"clip.{name}": each for name, each in state.items()}, "did you mean clip.ln_final"),
        (
            lambda state: state | {"visual.ln.gamma": torch.ones(2)},
            r"holds the weight visual\.ln\.gamma that",
        ),
        (
            lambda state: state | {"visual.proj": torch.ones(16, 9)},
            r"visual\.proj makes a weight of \(9, 16\)",
        ),
        (lambda _: tensors(recipe.head("mlp.", 8)), r"lacks .*it begins with mlp\.layers\.0\.weight"),
        (lambda _: {"model": {"deep": {}}}, "holds no weights by name"),
        (lambda _: [1, 2], "holds no weights by name"),
    ],
)
def test_another_checkpoint_is_told_by_its_weights(
    change: Callable[[State], Any], told: str, tmp_path: Path
) -> None:
    file = as_torch(change(tensors(recipe.open_clip(SMALL))), tmp_path)
    with pytest.raises(DataError, match=told) as caught:
        load_open_clip(file, ARCHITECTURE, "small")
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_damaged_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"half a file")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_open_clip(tmp_path / name, ARCHITECTURE, "small")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    config = RewardConfig(kind="open_clip", id=str(tmp_path), file="weight.pt")
    with pytest.raises(
        DataError, match=r"holds no weight\.pt; did you mean weights\.pt\? Check rewards\.x\.file"
    ):
        load_reward("x", {"x": config}, torch.device("cpu"))
    config = RewardConfig(kind="open_clip", id=str(tmp_path / "none"), file="weight.pt")
    with pytest.raises(DataError, match=r"there is no such folder\. Check rewards\.x\.id"):
        load_reward("x", {"x": config}, torch.device("cpu"))


def test_architectures_are_open_clip_s_or_a_file(tmp_path: Path) -> None:
    assert read_architecture("ViT-H-14", "x").model_dump(exclude_defaults=True) == recipe.HPS_FULL
    file = tmp_path / "open_clip_config.json"
    file.write_text(json.dumps({"model_cfg": SMALL, "preprocess_cfg": {}}))
    assert read_architecture(str(file), "x") == ARCHITECTURE
    with pytest.raises(ConfigError, match="no architecture ViT-H14; did you mean ViT-H-14"):
        read_architecture("ViT-H14", "rewards.hps.architecture")
    with pytest.raises(ConfigError, match="RN50 is no CLIP of two plain transformers"):
        read_architecture("RN50", "rewards.hps.architecture")


def published(folder: Path, state: State) -> Path:
    (folder / "med_config.json").write_text(json.dumps(BLIP["text"]))
    return as_torch(state, folder)


def test_image_reward_s_sizes_are_told_by_its_weights(tmp_path: Path) -> None:
    state = tensors(recipe.image_reward(BLIP))
    model = load_published(published(tmp_path, state | {"blip.itm_head.bias": torch.ones(2)}))
    config = model.config
    assert (config.vision.width, config.vision.layers, config.vision.heads) == (64, 1, 1)
    assert (config.vision.image_size, config.vision.patch_size) == (16, 8)
    assert (config.text.width, config.text.heads, config.text.length) == (24, 2, 35)
    assert config.head == [1024, 128, 64, 16]
    assert torch.equal(model.state_dict()["head.8.weight"], state["mlp.layers.7.weight"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: without(state, "blip.visual_encoder.pos_embed"), "lacks the weight blip.visual_enc"),
        (
            lambda state: without(state, "mlp.layers.7.bias"),
            r"lacks the weight mlp\.layers\.7\.bias of the publ",
        ),
        (lambda state: state | {"mlp.layers.8.bias": torch.ones(1)}, "has no place for"),
        (lambda state: state | {"mlp.layers.7.weight": torch.ones(1, 3)}, r"makes a weight of \(1, 3\)"),
        (lambda _: tensors(recipe.open_clip(SMALL)), "lacks 6 weights.*it begins with positional_embedding"),
    ],
)
def test_what_is_no_image_reward(change: Callable[[State], State], told: str, tmp_path: Path) -> None:
    file = published(tmp_path, change(tensors(recipe.image_reward(BLIP))))
    with pytest.raises(DataError, match=told):
        load_published(file)


def test_image_reward_without_its_sizes(tmp_path: Path) -> None:
    file = published(tmp_path, tensors(recipe.image_reward(BLIP)))
    (tmp_path / "med_config.json").write_text("{}")
    with pytest.raises(DataError, match=r"(?s)med_config\.json: .*hidden_size: is missing"):
        load_published(file)
    (tmp_path / "med_config.json").unlink()
    with pytest.raises(DataError, match=r"med_config\.json: is missing; it lies beside the checkpoint"):
        load_published(file)


def test_the_words_of_another_model(tmp_path: Path) -> None:
    file = published(tmp_path, tensors(recipe.image_reward(BLIP)))
    (tmp_path / "vocab.txt").write_text("\n".join(recipe.bert_tokens()[:200]) + "\n", encoding="utf-8")
    config = RewardConfig(kind="imgrwd", id=str(tmp_path), file=file.name)
    with pytest.raises(DataError, match=r"has 202 tokens and the model 40.*set rewards\.x\.tokenizer"):
        load_reward("x", {"x": config}, torch.device("cpu"))


def test_the_aesthetic_score_is_the_picture_s_alone(tmp_path: Path) -> None:
    head = load_head(as_torch(tensors(recipe.head("", 24)), tmp_path), 24)
    clip = without_texts(load_model(save_clip(tmp_path / "clip")))
    reward: Reward = AestheticReward("aesthetic", clip, head)
    images = pictures().requires_grad_()
    scores = reward.score(images, CAPTIONS)
    assert scores.shape == (3,)
    assert torch.equal(scores, reward.score(images, CAPTIONS[::-1]))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reward.score(images, CAPTIONS), scores)
    scores.sum().backward()
    assert images.grad is not None
    assert bool((images.grad.flatten(1).abs().sum(1) > 0).all())
    with pytest.raises(ValueError, match="3 images and 1 captions"):
        reward.score(images, CAPTIONS[:1])


def test_what_is_no_aesthetic_predictor(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"layers\.0\.weight makes a weight of \(1024, 24\), and .* \(1024, 8\)"
    ):
        load_head(as_torch(tensors(recipe.head("", 24)), tmp_path), 8)
    with pytest.raises(DataError, match=r"holds no layers\.0\.weight, so it is no aesthetic predictor"):
        load_head(as_torch(tensors(recipe.head("mlp.", 24)), tmp_path), 24)
