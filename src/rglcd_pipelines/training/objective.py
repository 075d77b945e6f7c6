"""The loss of RG-LCD: equations 8, 10 and 11."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.conditions import Conditions
from rglcd_pipelines.diffusion.consistency import consistency
from rglcd_pipelines.diffusion.guidance import omega_embedding
from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher
from rglcd_pipelines.training.batches import StepBatch

Distance = Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Sequence[str]], Tensor]
"""R(D(z), c): rewards [B] of scaled latents, differentiable in them."""


@dataclass(frozen=True)
class Pair:
    """Two neighbours on one trajectory of the augmented PF-ODE, where the student must say the same."""

    late: Tensor
    """z_{t_{n+k}}: a latent with noise."""
    late_t: Tensor
    """t_{n+k}."""
    early: Tensor
    """z_hat_{t_n}: where the teacher's solver arrives from there."""
    early_t: Tensor
    """t_n."""
    omega: Tensor
    """[B]: the scale of guidance that the solver used."""


def arrive(solver: DdimSolver, teacher: Teacher, batch: StepBatch, said: Conditions) -> Tensor:
    """z_hat_{t_n}: a step of the teacher's from latents with the drawn noise (eq. 9)."""
    draws = batch.draws
    late_t = solver.times[draws.index]
    late = solver.schedule.noisy(batch.z0, draws.noise, late_t)
    unsaid = teacher.conditioner.leave_out(len(late))
    with_caption, without = teacher.answer(late, late_t, said, unsaid)
    return solver.augmented(late, draws.index, with_caption, without, draws.omega)


def pair_of(solver: DdimSolver, batch: StepBatch, early: Tensor) -> Pair:
    """The two neighbours of eq. 8, where the second is known."""
    draws = batch.draws
    late_t = solver.times[draws.index]
    late = solver.schedule.noisy(batch.z0, draws.noise, late_t)
    return Pair(late, late_t, early, solver.earlier[draws.index], draws.omega)


def say(
    unet: torch.nn.Module, schedule: Schedule, z: Tensor, t: Tensor, omega: Tensor, said: Conditions
) -> Tensor:
    """f(z, omega, c, t): the image at the end of the trajectory through z (eq. 5)."""
    output = said.call(unet, z, t, omega_embedding(omega))
    return consistency(schedule, output.to(z.dtype), z, t)


@dataclass(frozen=True)
class Said:
    """What student and target said of a pair."""

    online: Tensor
    """f_theta(z_{t_{n+k}}, omega, c, t_{n+k}): z0_hat, with its history."""
    target: Tensor
    """f_{theta^-}(z_hat_{t_n}, omega, c, t_n)."""


def ask(
    online: torch.nn.Module, target: torch.nn.Module, schedule: Schedule, pair: Pair, said: Conditions
) -> Said:
    """Both sides of eq. 8; no gradient passes the target network.

    The target first: both may be one UNet with other adapters, and the backward pass wants the online ones.
    """
    with torch.no_grad():
        goal = say(target, schedule, pair.early, pair.early_t, pair.omega, said)
    return Said(say(online, schedule, pair.late, pair.late_t, pair.omega, said), goal)


def lcd_loss(answers: Said, distance: Distance) -> Tensor:
    """L_LCD, the mean distance of what both say (eq. 8)."""
    return distance(answers.online, answers.target).mean()


def reward_gradient(
    z0_hat: Tensor, captions: Sequence[str], score: Score, part: int
) -> tuple[Tensor, Tensor]:
    """The rewards [B] of R(D(z0_hat), c), and the gradient of their mean J (eq. 10) in z0_hat.

    A few images at a time: decoder and reward model hold the history of `part` images and no more, whatever
    the batch is. No image's reward depends on another image, so that this is exact.
    """
    rewards, gradients = [], []
    for start in range(0, len(z0_hat), part):
        piece = z0_hat[start : start + part].detach().requires_grad_()
        found = score(piece, captions[start : start + part])
        (gradient,) = torch.autograd.grad(found.sum(), piece)
        rewards.append(found.detach())
        gradients.append(gradient)
    return torch.cat(rewards), torch.cat(gradients) / len(z0_hat)


def guided_loss(lcd: Tensor, z0_hat: Tensor, gradient: Tensor, beta: float) -> Tensor:
    """What has the gradient of L_RG-LCD = L_LCD - beta J (eq. 11), of J's gradient in z0_hat.

    Its value means nothing: beta J enters as <z0_hat, dJ/dz0_hat>, and backpropagation goes on from the
    detached latents into the student.
    """
    return lcd - beta * (z0_hat * gradient).sum()
