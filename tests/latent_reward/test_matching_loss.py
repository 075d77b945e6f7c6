"""P, Q and equation 12: on numbers worked out by hand, against softmaxes, and where numbers are extreme."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from rglcd_pipelines.latent_reward.preferences import (
    PAIRS,
    Direction,
    agreement,
    correlation,
    divergence,
    favoured,
    gap,
    log_odds,
    matching_loss,
    towards_real,
)

DIRECTIONS: tuple[Direction, ...] = ("p_q", "q_p")
LRM, EXPERT = (0.30, 0.27, 0.25), (0.20, 0.23, 0.22)
"""Rewards of z0, z1 and z2: the one likes the real image best, and the other what the student says."""


def samples(*rewards: Sequence[float]) -> Tensor:
    """[3, B] in float64, from the three rewards of each sample."""
    return torch.tensor(rewards, dtype=torch.float64).T


def drawn(seed: int, scale: float = 3.0) -> Tensor:
    """Log odds [3, 16]."""
    return scale * torch.randn(3, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_p_and_q_by_hand() -> None:
    p, q = log_odds(samples(LRM), 0.01), log_odds(samples(EXPERT), 0.02)
    # (0.30 - 0.27) / 0.01, (0.30 - 0.25) / 0.01, (0.27 - 0.25) / 0.01
    torch.testing.assert_close(p, samples((3.0, 5.0, 2.0)))
    # (0.20 - 0.23) / 0.02, (0.20 - 0.22) / 0.02, (0.23 - 0.22) / 0.02
    torch.testing.assert_close(q, samples((-1.5, -1.0, 0.5)))
    # e^30 / (e^30 + e^27), e^30 / (e^30 + e^25), e^27 / (e^27 + e^25)
    expected = samples((0.952574, 0.993307, 0.880797))
    torch.testing.assert_close(p.sigmoid(), expected, atol=1e-6, rtol=0)


def test_equation_12_by_hand() -> None:
    p, q = log_odds(samples(LRM), 0.01), log_odds(samples(EXPERT), 0.02)
    # P is 0.952574, 0.993307, 0.880797 and Q is 0.182426, 0.268941, 0.622459
    paper = (
        (0.952574 * math.log(0.952574 / 0.182426) + 0.047426 * math.log(0.047426 / 0.817574))
        + (0.993307 * math.log(0.993307 / 0.268941) + 0.006693 * math.log(0.006693 / 0.731059))
        + (0.880797 * math.log(0.880797 / 0.622459) + 0.119203 * math.log(0.119203 / 0.377541))
    )
    published = (
        (0.182426 * math.log(0.182426 / 0.952574) + 0.817574 * math.log(0.817574 / 0.047426))
        + (0.268941 * math.log(0.268941 / 0.993307) + 0.731059 * math.log(0.731059 / 0.006693))
        + (0.622459 * math.log(0.622459 / 0.880797) + 0.377541 * math.log(0.377541 / 0.119203))
    )
    assert matching_loss(p, q).item() == pytest.approx(paper, abs=2e-5)
    assert matching_loss(p, q, "p_q").item() == pytest.approx(paper, abs=2e-5)
    assert matching_loss(p, q, "q_p").item() == pytest.approx(published, abs=2e-5)


def test_the_divergence_is_that_of_torch() -> None:
    p, q = drawn(1), drawn(2)
    torch.testing.assert_close(divergence(p, q), kl_divergence(Bernoulli(logits=p), Bernoulli(logits=q)))
    torch.testing.assert_close(divergence(q, p), kl_divergence(Bernoulli(logits=q), Bernoulli(logits=p)))
    assert torch.equal(divergence(p, p), torch.zeros_like(p))
    assert (divergence(p, q) > 0).all()


@given(
    st.lists(st.tuples(*[st.floats(-1, 1)] * 6), min_size=1, max_size=5),
    st.floats(0.01, 2),
    st.floats(0.01, 2),
    st.sampled_from(DIRECTIONS),
)
def test_the_loss_is_that_of_softmaxes_pair_by_pair(
    rewards: list[tuple[float, ...]], tau_lrm: float, tau_expert: float, direction: Direction
) -> None:
    lrm, expert = samples(*[row[:3] for row in rewards]), samples(*[row[3:] for row in rewards])
    expected = 0.0
    for sample in range(len(rewards)):
        for i in (0, 1):
            for j in range(i + 1, 3):
                chosen = torch.tensor([i, j])
                p = (lrm[chosen, sample] / tau_lrm).log_softmax(0)
                q = (expert[chosen, sample] / tau_expert).log_softmax(0)
                one, other = (p, q) if direction == "p_q" else (q, p)
                expected += float((one.exp() * (one - other)).sum()) / len(rewards)
    found = matching_loss(log_odds(lrm, tau_lrm), log_odds(expert, tau_expert), direction)
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_expert_has_no_gradient_and_the_other_has_the_right_one(direction: Direction) -> None:
    lrm, expert = (0.1 * drawn(seed) for seed in (3, 4))
    lrm.requires_grad_()
    expert.requires_grad_()

    def loss(rewards: Tensor) -> Tensor:
        return matching_loss(log_odds(rewards, 0.1), log_odds(expert, 0.1), direction)

    loss(lrm).backward()
    assert expert.grad is None
    assert lrm.grad is not None
    assert torch.autograd.gradcheck(loss, (lrm,))
    # A step along it brings both nearer.
    with torch.no_grad():
        assert loss(lrm - 0.01 * lrm.grad) < loss(lrm)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_certainty_is_no_trouble(direction: Direction, dtype: torch.dtype) -> None:
    extremes = torch.tensor([-1000.0, -100.0, -20.0, 0.0, 20.0, 100.0, 1000.0], dtype=dtype)
    p, q = (
        each.flatten().expand(3, -1).clone() for each in torch.meshgrid(extremes, extremes, indexing="ij")
    )
    p.requires_grad_()
    loss = matching_loss(p, q, direction)
    loss.backward()
    assert p.grad is not None
    assert loss.isfinite()
    assert p.grad.isfinite().all()
    apart = divergence(p, q) if direction == "p_q" else divergence(q, p)
    assert apart.isfinite().all()
    assert (apart > -1e-6).all()
    # Whoever is certain of the one, where the other is certain of the other one: log(1 / e^-1000).
    sure = torch.tensor(1000.0, dtype=dtype)
    assert divergence(sure, -sure).item() == pytest.approx(1000.0)


def test_an_expert_that_only_prefers() -> None:
    odds = favoured(samples((0.9, 0.1, 0.9), (-5.0, 3.0, 3.1)), 0.5)
    # One for the favoured sample and zero for the other one, so 1 / 0.5; where it favours none, nothing.
    assert odds.T.tolist() == [[2.0, 0.0, -2.0], [-2.0, -2.0, -2.0]]


def test_towards_real_images_in_exactly_their_two_pairs() -> None:
    odds = drawn(5)
    moved = towards_real(odds, 0.7)
    for pair, before, after in zip(PAIRS, odds, moved, strict=True):
        if 0 in pair:
            assert pair.index(0) == 0  # Q_0j is of z0
            assert (after.sigmoid() > before.sigmoid()).all()
            torch.testing.assert_close(after, before + 0.7)
        else:
            assert torch.equal(after, before)
    assert torch.equal(towards_real(odds, 0.0), odds)


def test_the_pairs_are_those_of_the_sum() -> None:
    assert tuple((i, j) for i in range(2) for j in range(i + 1, 3)) == PAIRS


def test_agreement_counts_each_pair_as_much_as_the_expert_is_sure() -> None:
    p = torch.tensor([[2.0, -1.0], [0.5, -0.5], [3.0, 1.0]])
    q = torch.tensor([[1.0, -9.0], [-2.0, 0.0], [0.0, 4.0]])
    # With the expert in the first pair and in the last one, against it in the third; the others are ties.
    sure = [1 / (1 + math.exp(-odds)) for odds in (1, 9, -2, 0, 0, 4)]
    assert agreement(p, q).item() == pytest.approx(sum(sure) / 6)
    # Who cannot decide agrees as often as not.
    assert agreement(torch.zeros(3, 2), torch.ones(3, 2)).item() == 0.5


def test_the_correlation_is_over_all_pairs() -> None:
    drawn = torch.Generator().manual_seed(2)
    p, q = torch.randn(2, 3, 40, generator=drawn)
    both = torch.stack([p.flatten(), q.flatten()])
    assert correlation(p, q).item() == pytest.approx(torch.corrcoef(both)[0, 1].item(), abs=1e-6)
    assert correlation(p, 3 * p + 1).item() == pytest.approx(1)
    assert correlation(p, -p).item() == pytest.approx(-1)
    assert correlation(torch.zeros(3, 4), q[:, :4]).item() == 0


def test_the_gap_is_between_probabilities() -> None:
    p, q = torch.tensor([[1000.0], [0.0], [0.0]]), torch.tensor([[-1000.0], [0.0], [math.log(3.0)]])
    # |1 - 0|, |1/2 - 1/2|, |1/2 - 3/4|
    assert gap(p, q).item() == pytest.approx((1 + 0 + 0.25) / 3)
