"""The solver Psi of the augmented PF-ODE: DDIM, k times at once (eq. 9 and 13)."""

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.schedule import Schedule


class DdimSolver:
    """DDIM on a grid of `steps` of the schedule's T times, k = T / steps apart."""

    def __init__(self, schedule: Schedule, steps: int = 50) -> None:
        count = len(schedule)
        if not 1 <= steps <= count or count % steps:
            raise ValueError(f"steps is {steps}, which does not divide the {count} times; change it")
        self.schedule, self.steps, self.k = schedule, steps, count // steps
        device = schedule.alphas.device
        self.times = torch.arange(1, steps + 1, device=device) * self.k - 1
        """t_{n+k} of each index of the grid: 19, 39, … 999 for 50 of 1000."""
        self.earlier = (self.times - self.k).clamp(min=0)
        """t_n of each index; before the first time of the grid there is time 0."""

    def step(self, image: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """z_{t_n} = alpha_{t_n} z_0 + sigma_{t_n} eps, of what was told at t_{n+k} (eq. 13)."""
        return self.schedule.noisy(image, noise, self.earlier[index])

    def augmented(self, z: Tensor, index: Tensor, said: Tensor, unsaid: Tensor, omega: Tensor) -> Tensor:
        """z_hat_{t_n} from z_{t_{n+k}}, with and without the caption, guided by omega [B] (eq. 9).

        `said` and `unsaid` are the teacher's outputs at z. A step is linear in what they tell, so guiding the
        image and the noise is guiding the step: z + (1 + omega) Psi(c) - omega Psi(nothing).
        """
        t = self.times[index]
        told = [
            guided(tell(said, z, t), tell(unsaid, z, t), omega)
            for tell in (self.schedule.image, self.schedule.noise)
        ]
        return self.step(told[0], told[1], index)


def guided(said: Tensor, unsaid: Tensor, omega: Tensor) -> Tensor:
    """(1 + omega) times what is said with the caption, less omega times what is said without it."""
    return said + omega[:, None, None, None] * (said - unsaid)
