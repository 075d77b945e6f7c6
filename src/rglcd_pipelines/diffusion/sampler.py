"""Sampling from a consistency function in a few steps (Algorithm 2)."""

from collections.abc import Callable

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.solver import DdimSolver


def sampling_times(solver: DdimSolver, steps: int) -> list[int]:
    """tau_1 > tau_2 > …: evenly spaced times of the solver's grid, as LCMScheduler has them."""
    if not 1 <= steps <= solver.steps:
        raise ValueError(f"steps is {steps}, not between 1 and the solver's {solver.steps}; change it")
    backwards = solver.times.flip(0).tolist()
    return [backwards[index * solver.steps // steps] for index in range(steps)]


@torch.no_grad()
def multistep(
    f: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
    times: list[int],
    noise: Tensor,
    again: Callable[[], Tensor],
) -> Tensor:
    """z_0 by f(z, t) at each of `times`, with fresh noise from `again` in between (Algorithm 2).

    The paper's listing calls f with T in its loop; it must be tau_n, the time of the z that it is given.
    """
    image = noise
    for index, time in enumerate(times):
        t = torch.full((len(noise),), time, device=noise.device)
        z = noise if index == 0 else schedule.noisy(image, again(), t)
        image = f(z, t)
    return image
