"""The rewards that a student follows: their sum, and what they say with other eyes."""

import pytest
import torch

from rglcd_pipelines.rewards.catalog import load_mix
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.followed import AT_ONCE, Followed, parts_of, score, seeing
from tests.rewards.own_reward import Brightness
from tests.rewards.tiny_models import pictures, save_clip, save_image_reward

CPU = torch.device("cpu")
IMAGES = pictures(3, 48)
CAPTIONS = ["a cat", "a red hat", "two dogs"]
BRIGHT = RewardConfig(kind="tests.rewards.own_reward:Brightness")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RewardConfig]:
    folder = tmp_path_factory.mktemp("rewards")
    return {
        "clip": RewardConfig(kind="clip", id=str(save_clip(folder / "clip"))),
        "imgrwd": RewardConfig(kind="imgrwd", id=str(save_image_reward(folder / "imgrwd")), cap=100.0),
        "bright": BRIGHT,
    }


def test_parts_add_up_to_the_mix(catalog: dict[str, RewardConfig]) -> None:
    weights = {"imgrwd": 0.5, "bright": 2.0, "clip": 1.0}
    mix = load_mix(weights, catalog, CPU)
    followed = Followed(parts_of(weights, mix), mix)
    assert [(part.name, part.weight) for part in followed.parts] == list(weights.items())
    assert followed.sees
    expected = mix.score(IMAGES, CAPTIONS)
    torch.testing.assert_close(followed.of_pictures(IMAGES, CAPTIONS), expected)


@pytest.mark.parametrize("name", ["clip", "imgrwd"])
def test_other_eyes_are_those_of_the_setting(catalog: dict[str, RewardConfig], name: str) -> None:
    """Seeing with antialiasing or without it is what a reward loaded so sees; and it stays as it was."""
    reward = load_mix({name: 1.0}, catalog, CPU)
    followed = Followed(parts_of({name: 1.0}, reward), reward)
    before = followed.of_pictures(IMAGES, CAPTIONS)
    said = {}
    for antialias in (True, False):
        other = followed.seeing(antialias)
        assert other is not None
        config = catalog[name].model_copy(update={"antialias": antialias})
        said[antialias] = load_mix({name: 1.0}, {name: config}, CPU).score(IMAGES, CAPTIONS)
        assert torch.equal(other.of_pictures(IMAGES, CAPTIONS), said[antialias])
    assert not torch.equal(said[True], said[False])
    assert torch.equal(before, said[True])
    assert torch.equal(followed.of_pictures(IMAGES, CAPTIONS), before)


def test_who_shrinks_nothing_has_no_other_eyes(catalog: dict[str, RewardConfig]) -> None:
    bright = load_mix({"bright": 1.0}, catalog, CPU)
    assert seeing(bright, True) is None
    assert Followed(parts_of({"bright": 1.0}, bright), bright).seeing(False) is None
    weights = {"bright": 1.0, "clip": 1.0}
    mixed = Followed(parts_of(weights, load_mix(weights, catalog, CPU))).seeing(False)
    assert mixed is not None
    assert isinstance(mixed.parts[0].reward, Brightness)


def test_models_look_at_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    bright = Brightness(CPU)
    plain = Brightness.score

    def noted(self: Brightness, images: torch.Tensor, captions: list[str]) -> torch.Tensor:
        asked.append(len(images))
        return plain(self, images, captions)

    monkeypatch.setattr(Brightness, "score", noted)
    images = pictures(AT_ONCE + 3, 4)
    found = score(bright, images, ["x"] * len(images))
    torch.testing.assert_close(found, images.mean((1, 2, 3)))
    monkeypatch.setattr(Brightness, "differentiable", False)
    assert torch.equal(score(bright, images, ["x"] * len(images)), found)
    assert asked == [AT_ONCE, 3, AT_ONCE + 3]
