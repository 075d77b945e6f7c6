"""The consistency function and the distances between what it says (eq. 5 to 8)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rglcd_pipelines.diffusion.schedule import Schedule

SIGMA_DATA = 0.5
TIME_SCALE = 10.0
"""By how much times are stretched before they meet SIGMA_DATA: at t = 0 alone, f is the identity."""


def boundary(t: Tensor) -> tuple[Tensor, Tensor]:
    """c_skip and c_out of eq. 5 for times [B], as [B, 1, 1, 1]: 1 and 0 at t = 0."""
    scaled = TIME_SCALE * t.float()[:, None, None, None]
    total = scaled**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, scaled / total.sqrt()


def consistency(schedule: Schedule, output: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """f(z, t) = c_skip(t) z + c_out(t) F(z, t), where F is the image that the output tells (eq. 5)."""
    c_skip, c_out = boundary(t)
    return c_skip * z + c_out * schedule.image(output, z, t)


def pseudo_huber(a: Tensor, b: Tensor, c: float = 0.001) -> Tensor:
    """d(a, b) = sqrt((a - b)^2 + c^2) - c for each sample of the batch: the distance of eq. 8."""
    return (((a - b) ** 2 + c**2).sqrt() - c).flatten(1).mean(1)


def squared(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) = (a - b)^2 for each sample of the batch."""
    return ((a - b) ** 2).flatten(1).mean(1)


@torch.no_grad()
def follow(target: Sequence[Tensor], online: Sequence[Tensor], mu: float) -> None:
    """theta^- <- mu theta^- + (1 - mu) theta: the target network's weights after a step (Algorithm 3)."""
    torch._foreach_lerp_(list(target), list(online), 1 - mu)


def parameters_of(module: nn.Module) -> list[Tensor]:
    """The tensors that `follow` moves, without their history."""
    return [parameter.detach() for parameter in module.parameters()]
