"""What a step draws at random, from nothing but the seed and the step's number.

So the teacher's answers can be computed once for every variant, a killed run draws the same again, and the
whole batch is the same however many ranks share it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rglcd_pipelines.training.fit import step_seed


@dataclass(frozen=True)
class Draws:
    """For each sample of a step (Algorithm 3): n + k as an index of the solver's grid, omega, and noise."""

    index: Tensor
    """[B]."""
    omega: Tensor
    """[B]."""
    noise: Tensor
    """[B, C, H, W]."""

    def rows(self, chosen: slice) -> "Draws":
        """Those of one rank, or of one micro-batch."""
        return Draws(self.index[chosen], self.omega[chosen], self.noise[chosen])

    def map(self, change: Callable[[Tensor], Tensor]) -> "Draws":
        """With every tensor changed."""
        return Draws(change(self.index), change(self.omega), change(self.noise))


def draw(
    seed: int, step: int, count: int, shape: tuple[int, ...], grid: int, omegas: tuple[float, float]
) -> Draws:
    """For `count` latents of `shape`: an index below `grid`, and omega ~ U[omegas].

    On the CPU, so that they are the same wherever the student is.
    """
    drawn = torch.Generator().manual_seed(step_seed(seed, step))
    low, high = omegas
    return Draws(
        index=torch.randint(0, grid, (count,), generator=drawn),
        omega=low + (high - low) * torch.rand(count, generator=drawn),
        noise=torch.randn(count, *shape, generator=drawn),
    )
