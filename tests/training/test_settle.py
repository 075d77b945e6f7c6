"""When the latent reward model has learnt enough: two windows' mean rewards, near each other."""

import logging
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.training.lrm_settings import SettlesConfig
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.settle import Settle

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, CPU)
WINDOWS = SettlesConfig(window=3, tolerance=0.25)
REWARDS = [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 2.0, 2.5, 2.0, 9.0, 9.0, 9.0]
"""In windows of three their means are 0, 2, 2.17 and 9: the third is near the second."""
SETTLED = [0.0] * 8 + [1.0] * 4


def told(settle: Settle, rewards: Sequence[float], first: int = 0, ranks: Ranks = ALONE) -> list[float]:
    """What it says after each step, of which the first is step `first`."""
    return [settle.see(first + at, torch.tensor(reward), ranks).item() for at, reward in enumerate(rewards)]


def test_it_settles_when_two_windows_are_near_and_stays_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert told(Settle(WINDOWS, CPU), REWARDS) == SETTLED
    assert caplog.messages == [
        "the latent reward model stays as it is from step 9: its expert's rewards have settled at 2.167"
    ]


@pytest.mark.parametrize(
    ("rewards", "settles"),
    [
        ([0.0, 0.125], True),
        ([0.0, 0.25], False),  # nearer than the tolerance, and no less
        ([0.0, -0.125], True),
        ([0.0, -0.375], False),
        ([5.0], False),  # there is no window before
        ([0.0, 1.0, 0.0], False),  # not the one before the last
        ([0.0, 1.0, 2.0, 2.0], True),
        ([float("nan"), float("nan"), float("nan")], False),
    ],
)
def test_windows_of_one_step(rewards: list[float], settles: bool) -> None:
    settle = Settle(SettlesConfig(window=1, tolerance=0.25), CPU)
    assert told(settle, rewards) == [0.0] * (len(rewards) - 1) + [float(settles)]


def test_without_a_rule_it_never_does() -> None:
    assert told(Settle(None, CPU), [1.0] * 10) == [0.0] * 10


@pytest.mark.parametrize("at", range(len(REWARDS)))
def test_a_killed_run_settles_when_it_would_have(at: int) -> None:
    before, after = Settle(WINDOWS, CPU), Settle(WINDOWS, CPU)
    assert told(before, REWARDS[:at]) == SETTLED[:at]
    after.load({name: tensor.clone() for name, tensor in before.tensors().items()})
    assert told(after, REWARDS[at:], at) == SETTLED[at:]


def test_what_was_loaded_is_a_copy() -> None:
    one, other = Settle(WINDOWS, CPU), Settle(WINDOWS, CPU)
    other.load(one.tensors())
    told(one, REWARDS)
    assert told(other, REWARDS[:6]) == [0.0] * 6


def test_all_processes_see_the_mean_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_one_of_zero(_: Ranks, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            tensor /= 2

    monkeypatch.setattr(Ranks, "average", with_one_of_zero)
    # Of twice the rewards, half; and what is told of a step stays as it was.
    rewards = torch.tensor([2 * reward for reward in REWARDS])
    kept, settle = rewards.clone(), Settle(WINDOWS, CPU)
    assert [settle.see(step, rewards[step], ALONE).item() for step in range(len(rewards))] == SETTLED
    assert torch.equal(rewards, kept)
