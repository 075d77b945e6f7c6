"""The text tower is that of the CLIP that it came from, whatever that one was saved as."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.latent_reward.captions import text_identity
from rglcd_pipelines.latent_reward.folder import load, save
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.latent_reward.text import TextTower, load_text
from rglcd_pipelines.rewards.clip import ClipReward, embed_texts, load_clip
from rglcd_pipelines.rewards.open_clip import Text, load_open_clip, read_architecture, text_weights
from rglcd_pipelines.rewards.vocabularies import clean_caption
from rglcd_pipelines.world.tokenizer import build_tokenizer
from scripts.golden import recipe
from tests.latent_reward.tiny_latent_clips import latent_clip
from tests.rewards.tiny_models import CAPTIONS, save_clip

SMALL: dict[str, Any] = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 32, "vocab_size": 758, "width": 32, "heads": 4, "layers": 2},
}
ODD = [*CAPTIONS, "A &lt;PERSON&gt;'s â€œcat” ", "a red cat " * 30]


def said_by(reward: ClipReward, captions: list[str]) -> Tensor:
    with torch.no_grad():
        return embed_texts(reward.model, reward.texts.ids(captions)[0])


def save_open_clip(folder: Path) -> dict[str, Any]:
    """Weights in open_clip's format, their architecture and a tokenizer; says how they are read."""
    folder.mkdir(exist_ok=True)
    state = {name: torch.from_numpy(values) for name, values in recipe.state(recipe.open_clip(SMALL))}
    save_file(state, folder / "weights.safetensors")
    (folder / "small.json").write_text(json.dumps(SMALL))
    build_tokenizer().save_pretrained(folder / "words")
    return {
        "kind": "open_clip",
        "id": str(folder),
        "file": "weights.safetensors",
        "architecture": str(folder / "small.json"),
        "tokenizer": {"id": str(folder / "words")},
    }


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    reward = ClipReward.load(save_clip(tmp_path, torch.float16), "clip")
    tower, scale = load_text(TextConfig(id=str(tmp_path)))
    expected = said_by(reward, ODD)
    assert torch.pdist(expected).min() > 0.01
    torch.testing.assert_close(tower(ODD), expected, atol=2e-6, rtol=0)
    assert torch.equal(scale, reward.model.logit_scale)
    assert (tower.dimensions, len(tower.blocks), tower.clean) == (24, 2, None)
    assert {weight.dtype for weight in tower.parameters()} == {torch.float32}
    assert not any(weight.requires_grad for weight in tower.parameters())


def test_weights_in_open_clip_s_format(tmp_path: Path) -> None:
    told = save_open_clip(tmp_path)
    architecture = read_architecture(told["architecture"], "here")
    model = load_open_clip(tmp_path / "weights.safetensors", architecture, "small")
    reward = ClipReward("clip", model, build_tokenizer(), clean=clean_caption)
    tower, _ = load_text(check(TextConfig, told))
    expected = said_by(reward, ODD)
    torch.testing.assert_close(tower(ODD), expected, atol=2e-6, rtol=0)
    (tmp_path / "lrm").mkdir()
    save(latent_clip(tower), "d1", {}, tmp_path / "lrm")
    torch.testing.assert_close(load(tmp_path / "lrm")[0].embed_captions(ODD), expected, atol=2e-6, rtol=0)
    assert tower.clean is clean_caption
    assert tower.config.hidden_act == "quick_gelu"
    assert not torch.allclose(tower([ODD[3]]), said_by(ClipReward("c", model, build_tokenizer()), [ODD[3]]))


def test_there_and_back_between_both_libraries_names(tmp_path: Path) -> None:
    told = save_open_clip(tmp_path)
    tower, _ = load_text(check(TextConfig, told))
    kept = text_weights(tower.state_dict(), check(Text, SMALL["text_cfg"]))
    expected = {
        name: torch.from_numpy(values)
        for name, values in recipe.state(recipe.open_clip(SMALL))
        if not name.startswith("visual.") and name != "logit_scale"
    }
    assert kept.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(kept[name], weight, atol=0, rtol=0)


def test_without_an_image_tower_there_is_less_of_it(tmp_path: Path) -> None:
    tower, _ = load_text(TextConfig(id=str(save_clip(tmp_path))))
    whole, _ = load_clip(tmp_path)
    named = {name: weight.shape for name, weight in whole.named_parameters() if name.startswith("text_")}
    assert {name: weight.shape for name, weight in tower.named_parameters()} == named


def test_what_tells_text_towers_apart(tmp_path: Path) -> None:
    one, copy = (text_identity(TextConfig(id=str(save_clip(tmp_path / name)))) for name in ("one", "copy"))
    assert one == copy  # its place does not matter
    half = text_identity(TextConfig(id=str(save_clip(tmp_path / "half", torch.float16))))
    assert half != one
    told = save_open_clip(tmp_path / "open")
    first = text_identity(check(TextConfig, told))
    assert first != text_identity(check(TextConfig, told | {"architecture": "ViT-B-32"}))
    (tmp_path / "open" / "words" / "tokenizer.json").write_text("{}")
    assert first != text_identity(check(TextConfig, told))


def changed(folder: Path, **text: Any) -> TextConfig:
    """The tiny CLIP, of which the text tower's configuration says something else."""
    file = save_clip(folder) / "config.json"
    told = json.loads(file.read_text())
    told["text_config"] |= text
    file.write_text(json.dumps(told))
    return TextConfig(id=str(folder))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ({"eos_token_id": 5}, "the end of a text is token 5, and not the last of its 758"),
        ({"hidden_act": "relu"}, "the activation is relu, and neither gelu nor quick_gelu"),
        ({"layer_norm_eps": 1e-6}, "layer_norm_eps is 1e-06, and not 1e-05"),
    ],
)
def test_towers_that_open_clip_s_format_cannot_hold(tmp_path: Path, text: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(changed(tmp_path, **text))
    assert str(caught.value).startswith(f"lrm.text.id: in {tmp_path}, {told}; open_clip's format cannot hold")


def test_old_clips_call_their_last_token_the_second(tmp_path: Path) -> None:
    """PickScore's folder among them; transformers looks for the largest token then."""
    old, _ = load_text(changed(tmp_path / "old", eos_token_id=2, bos_token_id=0, pad_token_id=1))
    new: TextTower = load_text(TextConfig(id=str(save_clip(tmp_path / "new"))))[0]
    assert torch.equal(old(CAPTIONS), new(CAPTIONS))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "open_clip", "id": "x"}, "file is missing; name the file in x that holds the weights"),
        ({"id": "x", "file": "y"}, "file means nothing for clip, as it is a whole folder that is read"),
        ({"id": "x", "source": "hub"}, "revision is missing; pin x to a commit"),
        ({"id": "x", "kind": "clop"}, "lrm.text.kind: should be 'clip' or 'open_clip', not 'clop'; did you"),
    ],
)
def test_settings_that_name_no_tower(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(TextConfig, settings, "lrm.text")
    assert told in str(caught.value)
    assert "lrm.text" in str(caught.value)


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        load_text(TextConfig(id=str(tmp_path / "nowhere")))
    told = save_open_clip(tmp_path / "open")
    with pytest.raises(
        DataError, match=r"no weight\.safetensors; did you mean weights\.safetensors\?.*lrm\.text"
    ):
        load_text(check(TextConfig, told | {"file": "weight.safetensors"}))
    with pytest.raises(
        ConfigError, match=r"lrm\.text\.architecture: there is no architecture ViT-B-33; did you"
    ):
        load_text(check(TextConfig, told | {"architecture": "ViT-B-33"}))
    with pytest.raises(DataError, match="the tokenizer has"):
        load_text(check(TextConfig, told | {"tokenizer": {"id": str(tmp_path)}}))
