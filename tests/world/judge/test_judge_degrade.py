import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.judge.degrade import FAULTS, degrade, turn_hue

CLEAN = unit(draw_batch("figures", 9, 256, 32).images)


def degraded(share: float, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return degrade(CLEAN, share)


def test_a_share_is_degraded_and_the_rest_untouched() -> None:
    kept = CLEAN.clone()
    changed = (degraded(0.6) != CLEAN).flatten(1).any(1).float().mean()
    # Some of the chosen have no fault at all.
    assert 0.4 < changed < 0.65
    assert torch.equal(CLEAN, kept)
    assert torch.equal(degraded(0.0), CLEAN)


def test_results_are_images_and_come_from_the_seed() -> None:
    worse = degraded(1.0)
    assert worse.shape == CLEAN.shape
    assert worse.isfinite().all()
    assert worse.min() >= 0
    assert worse.max() <= 1
    assert torch.equal(worse, degraded(1.0))
    assert not torch.equal(worse, degraded(1.0, seed=1))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_changes_some_and_spares_others(fault: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    change = (fault(CLEAN) - CLEAN).abs().mean((1, 2, 3))
    assert (change > 0.01).float().mean() > 0.1
    assert (change < 2e-3).float().mean() > 0.05
    assert change.max() < 0.3


def test_hue_turns_about_grey() -> None:
    third = torch.tensor(2 * math.pi / 3)
    assert torch.allclose(turn_hue(CLEAN, third), CLEAN.roll(1, dims=1), atol=1e-5)
    assert torch.allclose(turn_hue(CLEAN, torch.tensor(0.0)), CLEAN, atol=1e-6)
