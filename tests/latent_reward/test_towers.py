"""The tower of latents: open_clip's own but for its first layer, of any size, and which of it may learn."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.latent_reward.folder import CONFIG, WEIGHTS, load, save
from rglcd_pipelines.latent_reward.settings import TowerConfig
from rglcd_pipelines.latent_reward.text import TextTower
from rglcd_pipelines.latent_reward.towers import PlainAttention, build_tower, plain_attention, resampled
from rglcd_pipelines.training.lrm_settings import LrmConfig
from tests.latent_reward.tiny_latent_clips import TOWERS, latent_clip, latents, text_tower
from tests.rewards.tiny_models import CAPTIONS, save_clip


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextTower:
    return text_tower(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.mark.parametrize("side", [8, 16, 64, 96])
@pytest.mark.parametrize("channels", [4, 16])
@pytest.mark.parametrize("kind", TOWERS)
def test_latents_of_any_size_and_number_of_channels(kind: str, channels: int, side: int) -> None:
    torch.manual_seed(0)
    tower = build_tower(TOWERS[kind], channels, side, 24).eval()
    z = latents(2, (channels, side, side)).requires_grad_()
    seen = tower(z)
    assert seen.shape == (2, 24)
    assert not torch.allclose(seen[0], seen[1])
    seen.sum().backward()
    assert z.grad is not None
    assert (z.grad.abs().sum((2, 3)) > 0).all()  # every channel counts
    assert (z.grad.abs().sum(1)[:, ::4, ::4] > 0).all()  # and every place


@pytest.mark.parametrize("kind", TOWERS)
def test_open_clip_s_own_class_says_the_same(text: TextTower, tmp_path: Path, kind: str) -> None:
    """Built from what was saved, with a first layer for latents."""
    from open_clip.model import CLIP
    from safetensors.torch import load_file

    model = latent_clip(text, kind)
    save(model, "d1", {}, tmp_path)
    theirs = CLIP(**json.loads((tmp_path / CONFIG).read_text())["model_cfg"])
    visual: Any = theirs.visual
    if kind == "vit":
        visual.conv1 = nn.Conv2d(4, 16, kernel_size=4, stride=4, bias=False)
    else:  # neither of the first layers makes it smaller
        visual.conv1 = nn.Conv2d(4, 4, kernel_size=3, padding=1, bias=False)
        visual.avgpool = nn.Identity()
    theirs.load_state_dict(load_file(tmp_path / WEIGHTS), strict=True)
    theirs.eval()
    z = latents()
    with torch.no_grad():
        seen, read = theirs.encode_image(z, normalize=True), theirs.encode_text(padded(text), normalize=True)
    torch.testing.assert_close(model.embed_latents(z), seen, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.embed_captions(CAPTIONS), read, atol=1e-5, rtol=0)
    assert theirs.logit_scale.item() == 3.0
    assert torch.pdist(seen).min() > 0.01  # what it says of one is far from what it says of another


def padded(text: TextTower) -> Tensor:
    """Token ids as open_clip's tokenizers leave them: all of one length, with zeros behind."""
    ids, mask = text.texts.ids(CAPTIONS)
    return F.pad(ids * mask, (0, text.texts.length - ids.shape[1]))


@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_is_torch_s(masked: bool) -> None:
    torch.manual_seed(0)
    torchs, plain = (
        nn.MultiheadAttention(16, 2, batch_first=True),
        nn.MultiheadAttention(16, 2, batch_first=True),
    )
    plain.load_state_dict(torchs.state_dict())
    plain_attention(plain)
    assert type(plain) is PlainAttention
    mask = torch.full((5, 5), -torch.inf).triu(1) if masked else None
    seen: list[Tensor] = []
    for attention in (torchs, plain):
        x = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        found = attention(x, x, x, need_weights=False, attn_mask=mask)[0]
        (found**2).sum().backward()
        assert x.grad is not None
        gradients = [weight.grad for weight in attention.parameters() if weight.grad is not None]
        assert len(gradients) == 4
        seen.append(torch.cat([each.flatten() for each in (found, x.grad, *gradients)]))
    torch.testing.assert_close(seen[1], seen[0], atol=2e-6, rtol=2e-6)


def test_all_attention_of_a_tower_becomes_plain() -> None:
    torch.manual_seed(0)
    tower, z = build_tower(TOWERS["vit"], 4, 16, 24), latents()
    before = tower(z)
    plain_attention(tower)
    assert sum(isinstance(module, PlainAttention) for module in tower.modules()) == 3
    torch.testing.assert_close(tower(z), before, atol=2e-6, rtol=2e-6)
    assert set(tower.state_dict()) == set(build_tower(TOWERS["vit"], 4, 16, 24).state_dict())


@pytest.mark.parametrize(("old", "side"), [(4, 6), (6, 4), (4, 24), (1, 3)])
def test_positions_are_resampled_as_open_clip_does(old: int, side: int) -> None:
    from open_clip.model import resize_pos_embed

    positions = torch.randn(1 + old * old, 16, generator=torch.Generator().manual_seed(0))
    state = {"visual.positional_embedding": positions}
    asking: Any = SimpleNamespace(visual=SimpleNamespace(grid_size=(side, side)))
    resize_pos_embed(state, asking)
    found = resampled(positions, side)
    torch.testing.assert_close(found, state["visual.positional_embedding"], atol=1e-6, rtol=0)
    assert torch.equal(found[0], positions[0])
    assert resampled(positions, old) is positions
    assert resampled(positions.half(), side).dtype == torch.float16


@pytest.mark.parametrize("kind", TOWERS)
def test_a_model_of_another_size_is_made_to_fit(text: TextTower, tmp_path: Path, kind: str) -> None:
    save(latent_clip(text, kind), "d1", {}, tmp_path)
    as_saved, same = load(tmp_path)[0], load(tmp_path, 16)[0]
    assert all(
        torch.equal(one, other)
        for one, other in zip(*(m.parameters() for m in (as_saved, same)), strict=True)
    )
    larger, about = load(tmp_path, 24)
    assert (larger.shape, about.shape) == ((4, 24, 24), [4, 16, 16])
    smooth = F.interpolate(latents(shape=(4, 2, 2)), size=16, mode="bicubic")
    enlarged = F.interpolate(smooth, size=24, mode="bicubic")
    small, large = as_saved.embed_latents(smooth), larger.embed_latents(enlarged)
    # What it sees in the same latents on a finer grid is much the same, and not what it sees in others.
    assert (small @ large.T).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "count", "blocks"),
    [
        ("vit", 0, []),
        ("vit", 2, ["transformer.resblocks.1.", "transformer.resblocks.2."]),
        ("vit", 3, ["transformer.resblocks."]),
        ("resnet", 1, ["layer4.0."]),
        ("resnet", 3, ["layer2.1.", "layer3.0.", "layer4.0."]),  # one of two, in the second stage
    ],
)
def test_the_last_blocks_learn_and_nothing_else(
    text: TextTower, kind: str, count: int, blocks: list[str]
) -> None:
    model = latent_clip(text, kind)
    weights = model.train_last(count, 1)
    learn = tuple([f"visual.{block}" for block in blocks] + ["text.text_model.encoder.layers.1."])
    named = dict(model.named_parameters())
    expected = {name for name in named if name.startswith(learn)}
    assert {name for name, weight in named.items() if weight.requires_grad} == expected
    assert {id(weight) for weight in weights} == {id(named[name]) for name in expected}
    assert len(weights) == len(expected)
    model.train_last(0, 2)  # and asking again leaves nothing of it
    assert {name.split(".")[0] for name, weight in named.items() if weight.requires_grad} == {"text"}


def test_more_blocks_than_there_are(text: TextTower) -> None:
    with pytest.raises(ConfigError, match=r"matching\.latent_blocks: is 4, but there are 3 blocks; lower it"):
        latent_clip(text).train_last(4, 0)
    with pytest.raises(ConfigError, match=r"matching\.text_blocks: is 5, but there are 2 blocks; lower it"):
        latent_clip(text).train_last(0, 5)


NARROW: dict[str, Any] = {"width": 16, "layers": 2, "patch_size": 2, "head_width": 8}
STAGES: dict[str, Any] = {"kind": "resnet", "width": 8, "layers": [1, 1, 1, 1], "head_width": 8}


@pytest.mark.parametrize(
    ("tower", "told"),
    [
        (NARROW | {"layers": [1, 1]}, "layers is [1, 1]; give a vit one number"),
        (NARROW | {"layers": 0}, "layers is 0; give a vit one number"),
        (NARROW | {"patch_size": None}, "patch_size is missing"),
        (NARROW | {"head_width": 6}, "head_width is 6, which does not divide width = 16"),
        (STAGES | {"layers": 4}, "layers is 4; give a resnet four numbers, such as [2, 2, 2, 2]"),
        (STAGES | {"layers": [1, 1, 1]}, "layers is [1, 1, 1]; give a resnet four numbers"),
        (STAGES | {"layers": [1, 0, 1, 1]}, "layers is [1, 0, 1, 1]; give a resnet four numbers"),
        (STAGES | {"patch_size": 2}, "patch_size means nothing for a resnet"),
        (STAGES | {"head_width": 7}, "head_width is 7, which does not divide 256, the channels of the last"),
    ],
)
def test_settings_that_make_no_tower(tower: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(LrmConfig, {"text": {"id": "clip"}, "tower": tower}, "lrm")
    assert f"lrm.tower: {told}" in str(caught.value)


@pytest.mark.parametrize(("kind", "side", "divisor"), [("vit", 10, 4), ("vit", 2, 4), ("resnet", 12, 8)])
def test_a_side_that_the_tower_cannot_read(kind: str, side: int, divisor: int) -> None:
    with pytest.raises(ConfigError, match=rf"lrm\.tower: a side of {side} cannot be divided by {divisor}; "):
        build_tower(TOWERS[kind], 4, side, 24)


def test_what_a_tower_s_settings_say_of_it() -> None:
    assert [check(TowerConfig, tower).shrinks for tower in (NARROW, STAGES)] == [2, 8]
