"""The schedule and the solver, against diffusers' own and against the paper's equations."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.solver import DdimSolver, guided
from rglcd_pipelines.errors import DataError

STABLE_DIFFUSION: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
KINDS = ["epsilon", "sample", "v_prediction"]


def scheduler(kind: str, **other: Any) -> DDIMScheduler:
    return DDIMScheduler(**{"prediction_type": kind, **STABLE_DIFFUSION, **other})


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_diffusers_at_every_index(kind: str) -> None:
    theirs = scheduler(kind)
    theirs.set_timesteps(50)
    solver = DdimSolver(Schedule.of(theirs))
    z, output = normal(0, 1, 4, 8, 8), normal(1, 1, 4, 8, 8)
    for index in range(50):
        t = torch.tensor([index * 20 + 19])
        assert solver.times[index] == t
        expected = theirs.step(output, int(t), z).prev_sample  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
        schedule = solver.schedule
        image, noise = schedule.image(output, z, t), schedule.noise(output, z, t)
        found = solver.step(image, noise, torch.tensor([index]))
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_the_grid() -> None:
    solver = DdimSolver(Schedule.of(scheduler("epsilon")))
    assert solver.k == 20
    assert solver.times.tolist() == list(range(19, 1000, 20))
    assert solver.earlier.tolist() == [0, *range(19, 980, 20)]


@pytest.mark.parametrize("steps", [0, 3, 1001])
def test_a_grid_that_does_not_fit_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps is {steps}, which does not divide the 1000 times"):
        DdimSolver(Schedule.of(scheduler("epsilon")), steps)


@pytest.mark.parametrize("kind", KINDS)
def test_guidance_is_equation_9(kind: str) -> None:
    """z + (1 + omega) Psi(c) - omega Psi(nothing), where Psi is what one step changes."""
    theirs = scheduler(kind)
    theirs.set_timesteps(50)
    solver = DdimSolver(Schedule.of(theirs))
    index, omega = torch.tensor([3, 17, 49]), torch.tensor([5.0, 8.5, 15.0])
    z, said, unsaid = (normal(seed, 3, 4, 8, 8) for seed in range(3))
    found = solver.augmented(z, index, said, unsaid, omega)
    for row in range(3):
        one = slice(row, row + 1)
        step_with, step_without = (
            theirs.step(output[one], int(solver.times[index[row]]), z[one]).prev_sample - z[one]  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
            for output in (said, unsaid)
        )
        expected = z[one] + (1 + omega[row]) * step_with - omega[row] * step_without
        torch.testing.assert_close(found[one], expected, atol=5e-4, rtol=1e-4)


def test_guidance_at_zero_is_none() -> None:
    said, unsaid = normal(0, 2, 4, 8, 8), normal(1, 2, 4, 8, 8)
    assert torch.equal(guided(said, unsaid, torch.zeros(2)), said)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_network_says_is_read_back(kind: str) -> None:
    """Whichever of the three it predicts, the image and the noise that made z come out."""
    schedule = Schedule.of(scheduler(kind))
    t = torch.tensor([0, 19, 500, 999])
    z0, eps = normal(0, 4, 4, 8, 8), normal(1, 4, 4, 8, 8)
    alpha, sigma = schedule.at(t)
    output = {"epsilon": eps, "sample": z0, "v_prediction": alpha * eps - sigma * z0}[kind]
    z = schedule.noisy(z0, eps, t)
    torch.testing.assert_close(schedule.image(output, z, t), z0, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(schedule.noise(output, z, t), eps, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_noise_is_added_as_diffusers_adds_it(betas: str) -> None:
    settings: dict[str, Any] = {"beta_schedule": betas}
    theirs = DDPMScheduler(**settings)
    t = torch.tensor([0, 250, 999])
    z0, eps = normal(0, 3, 4, 8, 8), normal(1, 3, 4, 8, 8)
    expected = theirs.add_noise(z0, eps, t)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(Schedule.of(theirs).noisy(z0, eps, t), expected, atol=1e-6, rtol=1e-5)


def test_a_prediction_that_cannot_be_distilled_is_named() -> None:
    theirs = scheduler("epsilon")
    theirs.register_to_config(prediction_type="flow_prediction")
    with pytest.raises(DataError, match="prediction_type is 'flow_prediction'; only epsilon, sample, v_pred"):
        Schedule.of(theirs)


def test_noise_alone_tells_no_image() -> None:
    with pytest.raises(DataError, match="the last time is pure noise"):
        Schedule.of(scheduler("epsilon", rescale_betas_zero_snr=True))
    assert Schedule.of(scheduler("v_prediction", rescale_betas_zero_snr=True)).alphas[-1] == 0
