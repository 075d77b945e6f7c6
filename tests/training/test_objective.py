"""The loss of RG-LCD against a straight reading of the paper, and its gradient in micro-batches."""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from rglcd_pipelines.diffusion.consistency import pseudo_huber
from rglcd_pipelines.diffusion.guidance import omega_embedding, with_omega
from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.training.batches import StepBatch
from rglcd_pipelines.training.draws import draw
from rglcd_pipelines.training.objective import arrive, ask, guided_loss, lcd_loss, pair_of, reward_gradient
from tests.diffusion.test_solver import normal
from tests.diffusion.tiny_teachers import SIDE, save_sd

CAPTIONS = ["a red cat", "a dog", "a small blue bell, thin style", "a cake", "a fish on a plain background"]
COUNT = len(CAPTIONS)


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def teacher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    """In doubles: the loss is steep where both sides agree, so floats tell its gradient to 1e-4 only."""
    folder: Path = save_sd(tmp_path_factory.mktemp("teacher"), request.param)
    loaded = load_teacher(TeacherConfig(source="folder", id=str(folder), latent_factor=2), torch.float64)
    schedule = loaded.schedule
    exact = Schedule(schedule.alphas.double(), schedule.sigmas.double(), schedule.prediction)
    return dataclasses.replace(loaded, schedule=exact)


def student_of(teacher: Teacher) -> nn.Module:
    """One that has moved away from its teacher a little."""
    torch.manual_seed(1)
    student = with_omega(teacher.unet).requires_grad_(True)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return student


def straight(teacher: Teacher, online: Any, target: Any, z0: Tensor, seed: int) -> Tensor:
    """Algorithm 3's loss once more, a sample at a time and without any of our code but the draws."""
    scheduler: Any = DDIMScheduler.from_pretrained(teacher.folder, subfolder="scheduler")
    kept, kind = scheduler.alphas_cumprod, scheduler.config.prediction_type
    tokenizer, encoder = teacher.conditioner.tokenizer, teacher.conditioner.encoder  # pyright: ignore[reportAttributeAccessIssue]
    draws = draw(seed, 3, COUNT, tuple(z0.shape[1:]), 50, (5.0, 15.0))

    def states(caption: str) -> Tensor:
        ids = tokenizer(caption, padding="max_length", max_length=32, return_tensors="pt").input_ids
        return encoder(ids)[0]

    def both(output: Tensor, z: Tensor, time: int) -> tuple[Tensor, Tensor]:
        a, s = kept[time].sqrt(), (1 - kept[time]).sqrt()
        if kind == "epsilon":
            return (z - s * output) / a, output
        return a * z - s * output, a * output + s * z

    def f(network: Any, z: Tensor, time: int, omega: float, caption: str) -> Tensor:
        told = omega_embedding(torch.tensor([omega])).double()
        output = network(z, time, encoder_hidden_states=states(caption), timestep_cond=told).sample
        scaled = 10.0 * time
        skip, out = 0.25 / (scaled**2 + 0.25), scaled / (scaled**2 + 0.25) ** 0.5
        return skip * z + out * both(output, z, time)[0]

    losses = []
    for row, caption in enumerate(CAPTIONS):
        late_t = 20 * int(draws.index[row]) + 19
        early_t, omega = max(late_t - 20, 0), float(draws.omega[row])
        z = kept[late_t].sqrt() * z0[row : row + 1] + (1 - kept[late_t]).sqrt() * draws.noise[row : row + 1]
        with torch.no_grad():
            steps = []
            for words in (caption, ""):
                output = teacher.unet(z, late_t, encoder_hidden_states=states(words)).sample
                image, noise = both(output, z, late_t)
                steps.append(kept[early_t].sqrt() * image + (1 - kept[early_t]).sqrt() * noise - z)
            early = z + (1 + omega) * steps[0] - omega * steps[1]
            goal = f(target, early, early_t, omega, caption)
        difference = f(online, z, late_t, omega, caption) - goal
        losses.append(((difference**2 + 0.001**2).sqrt() - 0.001).mean())
    return torch.stack(losses).mean()


def test_a_steps_loss_is_algorithm_3s(teacher: Teacher) -> None:
    online, z0 = student_of(teacher), normal(7, COUNT, 4, SIDE, SIDE).double()
    target = copy.deepcopy(online).requires_grad_(False)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.mul_(0.99)
    solver, said = DdimSolver(teacher.schedule), teacher.conditioner.say(CAPTIONS)
    draws = draw(11, 3, COUNT, tuple(z0.shape[1:]), solver.steps, (5.0, 15.0))
    batch = StepBatch(z0, CAPTIONS, draws, np.arange(COUNT))
    pair = pair_of(solver, batch, arrive(solver, teacher, batch, said))
    found = lcd_loss(ask(online, target, teacher.schedule, pair, said), pseudo_huber)
    expected = straight(teacher, online, target, z0, seed=11)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert all(parameter.grad is None for parameter in target.parameters())
    ours = [parameter.grad.clone() for parameter in online.parameters() if parameter.grad is not None]
    online.zero_grad()
    expected.backward()
    theirs = [parameter.grad for parameter in online.parameters() if parameter.grad is not None]
    assert len(ours) == len(theirs) > 50
    both = [torch.cat([gradient.flatten() for gradient in gradients]) for gradients in (ours, theirs)]
    assert float((both[0] - both[1]).norm() / both[1].norm()) < 1e-4  # schedules in floats


class Judge(nn.Module):
    """A decoder and a reward that are not linear in anything."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.decode, self.read = nn.Conv2d(4, 3, 3, padding=1), nn.Linear(3 * SIDE * SIDE, 1)
        self.requires_grad_(False)
        self.most = 0

    def score(self, z: Tensor, captions: Sequence[str]) -> Tensor:
        self.most = max(self.most, len(z))
        images = torch.tanh(self.decode(z))
        told = torch.tensor([len(caption) / 10 for caption in captions])
        return torch.sin(self.read(images.flatten(1)).squeeze(1) + told)


@pytest.mark.parametrize("part", [1, 2, 5, 8])
def test_the_gradient_in_parts_is_the_straight_one(part: int) -> None:
    """L_LCD - beta J of equation 11, differentiated at once, and through detached latents a few at a time."""
    torch.manual_seed(3)
    judge, student = Judge(), nn.Conv2d(4, 4, 3, padding=1)
    z, goal, beta = normal(0, COUNT, 4, SIDE, SIDE), normal(1, COUNT, 4, SIDE, SIDE), 0.7
    z0_hat = student(z)
    rewards = judge.score(z0_hat, CAPTIONS)
    (pseudo_huber(z0_hat, goal).mean() - beta * rewards.mean()).backward()
    expected = [parameter.grad.clone() for parameter in student.parameters() if parameter.grad is not None]
    student.zero_grad()
    judge.most = 0

    z0_hat = student(z)
    found, gradient = reward_gradient(z0_hat, CAPTIONS, judge.score, part)
    guided_loss(pseudo_huber(z0_hat, goal).mean(), z0_hat, gradient, beta).backward()
    torch.testing.assert_close(found, rewards.detach(), atol=1e-6, rtol=1e-6)
    for parameter, wanted in zip(student.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, wanted, atol=1e-6, rtol=1e-6)
    assert judge.most == min(part, COUNT)


def test_draws_come_from_seed_and_step_and_are_shared_by_ranks() -> None:
    one, again = (draw(1, 5, 12, (4, 8, 8), 50, (5.0, 15.0)) for _ in range(2))
    assert torch.equal(one.noise, again.noise)
    assert torch.equal(one.omega, again.omega)
    for other in (draw(2, 5, 12, (4, 8, 8), 50, (5.0, 15.0)), draw(1, 6, 12, (4, 8, 8), 50, (5.0, 15.0))):
        assert not torch.equal(one.noise, other.noise)
        assert not torch.equal(one.omega, other.omega)
    halves = [one.rows(slice(0, 6)), one.rows(slice(6, 12))]
    assert torch.equal(torch.cat([half.noise for half in halves]), one.noise)


def test_draws_are_spread_over_the_grid_and_the_scales() -> None:
    many = draw(0, 0, 50_000, (1, 1, 1), 50, (5.0, 15.0))
    counts = torch.bincount(many.index, minlength=50)
    assert counts.shape == (50,)
    assert (counts.float() / 1_000 - 1).abs().max() < 0.15
    assert 5.0 <= many.omega.min() < 5.01
    assert 14.99 < many.omega.max() <= 15.0
    assert float(many.omega.mean()) == pytest.approx(10, abs=0.05)
