"""The preferences of two reward models, and how far apart they are: P, Q and equation 12."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

PAIRS = ((0, 1), (0, 2), (1, 2))
"""Of z0 (a real image's latent), z1 (what the student says) and z2 (what its target says)."""
Direction = Literal["p_q", "q_p"]


def log_odds(rewards: Tensor, tau: float) -> Tensor:
    """[3, B]: log P_ij(i) / P_ij(j) for each pair, of rewards [3, B]; P_ij(m) ~ exp(R(z_m, c) / tau)."""
    return torch.stack([(rewards[i] - rewards[j]) / tau for i, j in PAIRS])


def favoured(rewards: Tensor, tau: float) -> Tensor:
    """As `log_odds`, of an expert that only prefers: one for the sample that it favours, else zero."""
    return torch.stack([(rewards[i] - rewards[j]).sign() / tau for i, j in PAIRS])


def towards_real(odds: Tensor, bonus: float) -> Tensor:
    """Log odds with `bonus` more for z0, the real image, in both of its pairs."""
    added = torch.tensor([bonus if i == 0 else 0.0 for i, _ in PAIRS], device=odds.device)
    return odds + added[:, None]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """D_KL(P || Q) of distributions over two samples, from their log odds."""
    first = torch.sigmoid(p) * (F.logsigmoid(p) - F.logsigmoid(q))
    second = torch.sigmoid(-p) * (F.logsigmoid(-p) - F.logsigmoid(-q))
    return first + second


def matching_loss(p: Tensor, q: Tensor, direction: Direction = "p_q") -> Tensor:
    """L_RM (eq. 12): the sum over the pairs of D_KL(P || stop_grad(Q)), averaged over the batch.

    `p` are the latent reward model's log odds [3, B] and `q` the expert's. The published code has q_p: the
    divergence of P from Q in place of that of Q from P.
    """
    q = q.detach()
    apart = divergence(p, q) if direction == "p_q" else divergence(q, p)
    return apart.sum(0).mean()


def agreement(p: Tensor, q: Tensor) -> Tensor:
    """How often the expert, choosing as sure as Q is, chooses what P favours: half where it cannot decide.

    A count of equal signs would be mostly of pairs that are all the same to the expert.
    """
    return torch.where(p == 0, 0.5, torch.sigmoid(q * p.sign())).mean()


def correlation(p: Tensor, q: Tensor) -> Tensor:
    """How far both rank samples alike, from -1 to 1: the correlation of their log odds over all pairs."""
    p, q = p.flatten() - p.mean(), q.flatten() - q.mean()
    return (p * q).sum() / (p.norm() * q.norm()).clamp_min(1e-12)


def gap(p: Tensor, q: Tensor) -> Tensor:
    """How far apart both probabilities are, on average."""
    return (torch.sigmoid(p) - torch.sigmoid(q)).abs().mean()
