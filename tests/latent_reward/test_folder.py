"""A latent reward model on the disk: it comes back as it was, and what is none is refused by name."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.latent_reward.folder import CONFIG, WEIGHTS, load, read_about, save
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.latent_reward.text import TextTower
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.vocabularies import clean_caption
from tests.latent_reward.tiny_latent_clips import RESNET, TOWERS, latent_clip, latents, text_tower
from tests.rewards.tiny_models import CAPTIONS, save_clip

CPU = torch.device("cpu")
ODD = "Tom &amp; Jerry's â€œcat”"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextTower:
    return text_tower(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def folder(text: TextTower, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lrm")
    save(latent_clip(text), "d1", {"kind": "clip"}, place)
    return place


@pytest.mark.parametrize("kind", TOWERS)
def test_what_was_saved_scores_as_it_did(text: TextTower, tmp_path: Path, kind: str) -> None:
    model = latent_clip(text, kind)
    save(model, "d1", {"kind": "clip", "id": ""}, tmp_path)
    again, about = load(tmp_path)
    assert (model.spread, again.spread) == (2.5, 1.0)  # its first layer does it now
    torch.testing.assert_close(
        again.visual.state_dict()["conv1.weight"], model.visual.state_dict()["conv1.weight"] / 2.5
    )
    expected = model.score(latents(), CAPTIONS)
    assert expected.unique().numel() == 3
    torch.testing.assert_close(again.score(latents(), CAPTIONS), expected, atol=2e-6, rtol=0)
    assert again.temperature == pytest.approx(2.718281828**-3)
    assert (about.vae, about.text, about.shape) == ("d1", {"kind": "clip", "id": ""}, [4, 16, 16])
    assert about.tower == TOWERS[kind]
    assert read_about(tmp_path) == about
    assert not again.training
    assert not any(weight.requires_grad for weight in again.parameters())
    # Twice through the disk is no other than once.
    twice = tmp_path / "twice"
    twice.mkdir()
    save(again, "d1", {"kind": "clip", "id": ""}, twice)
    for name in (CONFIG, WEIGHTS):
        assert (twice / name).read_bytes() == (tmp_path / name).read_bytes()


def test_captions_are_mended_if_they_were(text: TextTower, tmp_path: Path) -> None:
    mending = copy.deepcopy(text)
    mending.clean = mending.texts.clean = clean_caption
    scores: list[list[float]] = []
    for tower in (text, mending):
        place = tmp_path / str(len(scores))
        place.mkdir()
        save(latent_clip(tower), "d1", {}, place)
        again, about = load(place)
        assert about.cleans == (tower is mending)
        scores.append(again.score(latents(2), [ODD, 'Tom & Jerry\'s "cat"']).tolist())
        assert again.text.texts.ids(CAPTIONS)[0].tolist() == text.texts.ids(CAPTIONS)[0].tolist()
    assert scores[0][0] != pytest.approx(scores[1][0], abs=1e-3)
    assert scores[0][1] == pytest.approx(scores[1][1], abs=1e-6)


@pytest.mark.parametrize(("inner", "width"), [(120, 88), (40, 24), (100, 96), (3072, 768), (6144, 1408)])
def test_any_width_inside_a_text_s_blocks(inner: int, width: int) -> None:
    """open_clip keeps it as a ratio, of which it cuts off what is behind the point."""
    from rglcd_pipelines.latent_reward.folder import _ratio

    assert int(width * _ratio(inner, width)) == inner
    assert _ratio(inner, width) == pytest.approx(inner / width)


def test_a_reward_of_latents(folder: Path) -> None:
    reward: Reward = LatentReward.load(folder, "latent", CPU)
    assert (reward.name, reward.differentiable) == ("latent", True)
    expected = reward.score(latents(), CAPTIONS)
    torch.testing.assert_close(expected, load(folder)[0].score(latents(), CAPTIONS), atol=1e-6, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reward.score(latents(), CAPTIONS), expected)
    assert expected.dtype == torch.float32
    alone = torch.cat([reward.score(latents()[row : row + 1], CAPTIONS[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(alone, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", TOWERS)
def test_gradients_reach_the_latents_and_no_weight(text: TextTower, tmp_path: Path, kind: str) -> None:
    save(latent_clip(text, kind), "d1", {}, tmp_path)
    reward = LatentReward.load(tmp_path, "latent", CPU)
    z = latents().requires_grad_()
    reward.score(z, CAPTIONS).sum().backward()
    assert z.grad is not None
    assert bool((z.grad.flatten(1).abs().sum(1) > 0).all())
    assert all(weight.grad is None and not weight.requires_grad for weight in reward.model.parameters())
    direction = latents(seed=9)
    with torch.no_grad():
        ahead, behind = (reward.score(z + step * direction, CAPTIONS).sum() for step in (1e-2, -1e-2))
    assert float((z.grad * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-2, rel=0.03)


def test_latents_of_another_size_are_refused(folder: Path) -> None:
    told = r"reads latents of \[4, 16, 16\], not of \[4, 8, 8\]"
    with pytest.raises(DataError, match=told):
        LatentReward.load(folder, "latent", CPU).score(latents(shape=(4, 8, 8)), CAPTIONS)
    with pytest.raises(
        ConfigError, match=r"lrm\.tower: a side of 18 cannot be divided by 4; change patch_size"
    ):
        LatentReward.load(folder, "latent", CPU, side=18)
    larger = LatentReward.load(folder, "latent", CPU, side=24)
    assert larger.score(latents(shape=(4, 24, 24)), CAPTIONS).unique().numel() == 3


def configure(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        told = json.loads((folder / CONFIG).read_text())
        change(told)
        (folder / CONFIG).write_text(json.dumps(told))

    return rewrite


def weigh(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        change(state)
        save_file(state, folder / WEIGHTS)

    return rewrite


def without_tokenizer(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name not in (CONFIG, WEIGHTS):
            file.unlink()


@pytest.mark.parametrize(
    ("damage", "file", "told"),
    [
        (lambda folder: (folder / CONFIG).unlink(), CONFIG, "No such file"),
        (lambda folder: (folder / CONFIG).write_text("{"), CONFIG, "describes no latent reward model"),
        (lambda folder: (folder / CONFIG).write_text("[1]"), CONFIG, "describes no latent reward model"),
        (lambda folder: (folder / CONFIG).write_bytes(b"\xff{"), CONFIG, "describes no latent reward model"),
        (configure(lambda told: told.pop("latent_cfg")), CONFIG, "latent_cfg"),
        (configure(lambda told: told.pop("model_cfg")), CONFIG, "model_cfg"),
        (configure(lambda told: told["latent_cfg"].pop("vae")), CONFIG, "latent_cfg.vae: is missing"),
        (
            configure(lambda told: told["latent_cfg"]["tower"].update(widht=3)),
            CONFIG,
            "latent_cfg.tower.widht: there is no such parameter; did you mean latent_cfg.tower.width?",
        ),
        (
            configure(lambda told: told["model_cfg"]["text_cfg"].pop("heads")),
            CONFIG,
            "model_cfg.text_cfg.heads: is missing",
        ),
        (
            configure(lambda told: told["latent_cfg"].update(tower=RESNET.model_dump())),
            "",
            "cannot be loaded",
        ),
        (configure(lambda told: told["model_cfg"].update(embed_dim=25)), "", "cannot be loaded"),
        (lambda folder: (folder / WEIGHTS).unlink(), "", f"holds no {WEIGHTS}"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"no"), WEIGHTS, "cannot be loaded"),
        (weigh(lambda state: state.pop("ln_final.bias")), WEIGHTS, "lacks the weight ln_final.bias"),
        (weigh(lambda state: state.update(more=torch.zeros(1))), WEIGHTS, "holds the weight more"),
        (weigh(lambda state: state.pop("visual.proj")), "", "visual.proj|cannot be loaded"),
        (weigh(lambda state: state.pop("visual.positional_embedding")), "", "positional_embedding"),
        (weigh(lambda state: state.pop("logit_scale")), "", "logit_scale"),
        (without_tokenizer, "", "tokenizer"),
    ],
)
def test_a_damaged_folder_is_told_by_its_name(
    folder: Path, tmp_path: Path, damage: Callable[[Path], object], file: str, told: str
) -> None:
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    damage(place)
    with pytest.raises(DataError) as caught:
        load(place)
    assert str(place / file) in str(caught.value)
    assert any(each in str(caught.value) for each in told.split("|")), caught.value


def test_other_kinds_of_folders(tmp_path: Path) -> None:
    clip = save_clip(tmp_path / "clip")
    with pytest.raises(DataError, match=rf"clip/{CONFIG}: describes no latent reward model"):
        load(clip)
    with pytest.raises(DataError, match="nowhere: there is no latent reward model here"):
        read_about(tmp_path / "nowhere")
    (clip / CONFIG).write_text(json.dumps({"model_cfg": {"embed_dim": 8}, "preprocess_cfg": {}}))
    with pytest.raises(DataError, match="latent_cfg"):  # open_clip's folders for pictures
        read_about(clip)
