"""What an image tower learns first."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess
from rglcd_pipelines.training.fit import FitConfig
from rglcd_pipelines.world.batches import draw_batch, labels, unit
from rglcd_pipelines.world.naming import Namer, learn_names
from rglcd_pipelines.world.vocabulary import ATTRIBUTES

WIDTH = 16
TRUTH = {name: torch.arange(6) % len(values) for name, values in ATTRIBUTES.items()}
SEEN = PreprocessConfig(size=8)


def tower() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, WIDTH), nn.GELU())


def learn(learner: nn.Module, steps: int, folder: Path) -> None:
    fit = FitConfig(steps=steps, batch_size=64, lr=1e-2, warmup_steps=2)
    learn_names("names", learner, learner, WIDTH, fit, ("clip", 0), 32, SEEN, folder)


def test_the_loss_is_every_attributes_cross_entropy() -> None:
    pixels, learner = torch.rand(6, 3, 8, 8), tower()
    namer = Namer(learner, learner, WIDTH)
    expected = sum(F.cross_entropy(head(learner(pixels)), TRUTH[name]) for name, head in namer.heads.items())
    assert isinstance(expected, Tensor)
    assert namer.loss(pixels, TRUTH)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert list(namer.heads) == list(ATTRIBUTES)


def test_the_tower_learns_and_keeps_no_heads(tmp_path: Path) -> None:
    learner = tower()
    names, before = list(learner.state_dict()), probe(learner)
    learn(learner, 150, tmp_path)
    assert list(learner.state_dict()) == names
    assert 1 - probe(learner) < (1 - before) / 2


@torch.no_grad()
def probe(learner: nn.Module) -> float:
    """How often the colour behind an object follows linearly from what the tower makes of a picture."""
    batch = draw_batch("figures", 0, 400, 32)
    truth = labels(batch.scenes)["background_colour"]
    looked = torch.cat([learner(preprocess(unit(batch.images), SEEN)), torch.ones(400, 1)], 1)
    weights = torch.linalg.lstsq(looked[:200], F.one_hot(truth).float()[:200]).solution
    return float(((looked[200:] @ weights).argmax(1) == truth[200:]).float().mean())


def test_a_phase_that_is_over_is_not_learnt_again(tmp_path: Path) -> None:
    first, second = tower(), tower()
    learn(first, 3, tmp_path)
    nn.init.zeros_(second[1].weight)  # pyright: ignore[reportIndexIssue, reportArgumentType]
    learn(second, 3, tmp_path)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
