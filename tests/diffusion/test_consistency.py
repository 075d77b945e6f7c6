"""The consistency function, its distances, its guidance and its sampler, against the paper and diffusers."""

import math

import pytest
import torch
from diffusers import LCMScheduler, UNet2DConditionModel
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
    LatentConsistencyModelPipeline,
)
from torch import Tensor, nn

from rglcd_pipelines.diffusion.consistency import (
    boundary,
    consistency,
    follow,
    parameters_of,
    pseudo_huber,
    squared,
)
from rglcd_pipelines.diffusion.guidance import omega_embedding, with_omega
from rglcd_pipelines.diffusion.sampler import multistep, sampling_times
from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.errors import DataError
from tests.diffusion.test_solver import KINDS, STABLE_DIFFUSION, normal


def lcm(kind: str) -> LCMScheduler:
    told = {name: value for name, value in STABLE_DIFFUSION.items() if name != "set_alpha_to_one"}
    return LCMScheduler(prediction_type=kind, original_inference_steps=50, **told)


def test_the_boundary_is_the_schedulers_and_the_identity_at_zero() -> None:
    c_skip, c_out = boundary(torch.arange(1000))
    assert (c_skip[0].item(), c_out[0].item()) == (1.0, 0.0)
    theirs = lcm("epsilon")
    for t in (1, 19, 500, 999):
        expected = theirs.get_scalings_for_boundary_condition_discrete(t)
        assert (c_skip[t].item(), c_out[t].item()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_consistency_function_is_the_schedulers(kind: str) -> None:
    theirs = lcm(kind)
    theirs.set_timesteps(4)
    z, output = normal(0, 1, 4, 8, 8), normal(1, 1, 4, 8, 8)
    t = theirs.timesteps[0]
    expected = theirs.step(output, t, z, return_dict=False)[1]  # pyright: ignore[reportArgumentType]
    found = consistency(Schedule.of(theirs), output, z, t[None])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_distances_by_hand() -> None:
    a, b = torch.tensor([[0.0, 3.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert squared(a, b).tolist() == [4.5, 0.0]
    expected = (math.sqrt(9 + 0.001**2) - 0.001) / 2
    assert pseudo_huber(a, b).tolist() == pytest.approx([expected, 0.0], abs=1e-7)


def test_the_target_follows_as_algorithm_3_says() -> None:
    target, online = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = [
        0.95 * old + 0.05 * new for old, new in zip(parameters_of(target), parameters_of(online), strict=True)
    ]
    before = [new.clone() for new in parameters_of(online)]
    follow(parameters_of(target), parameters_of(online), mu=0.95)
    for found, wanted in zip(parameters_of(target), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters_of(online), strict=True))


@pytest.mark.parametrize("dimensions", [64, 256])
def test_omega_is_embedded_as_the_pipeline_does(dimensions: int) -> None:
    omega = torch.tensor([0.0, 5.0, 7.5, 15.0])
    embed = LatentConsistencyModelPipeline.get_guidance_scale_embedding
    expected = embed(None, omega, embedding_dim=dimensions)  # pyright: ignore[reportArgumentType]
    assert torch.equal(omega_embedding(omega, dimensions), expected)


@pytest.fixture(scope="module")
def teacher() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=(1, 2),  # pyright: ignore[reportArgumentType]
        norm_num_groups=16,
    ).eval()


@torch.no_grad()
def test_a_student_begins_as_its_teacher_whatever_omega(teacher: UNet2DConditionModel) -> None:
    student = with_omega(teacher).eval()
    z, t, states = normal(0, 2, 4, 8, 8), torch.tensor([19, 999]), normal(1, 2, 5, 32)
    expected = teacher(z, t, encoder_hidden_states=states).sample
    for omega in (5.0, 15.0):
        told = omega_embedding(torch.full((2,), omega))
        found = student(z, t, encoder_hidden_states=states, timestep_cond=told).sample
        assert torch.equal(found, expected)
    with torch.enable_grad():
        told = omega_embedding(torch.tensor([5.0, 9.0]))
        student(z, t, encoder_hidden_states=states, timestep_cond=told).sample.square().sum().backward()
    projection = student.time_embedding.cond_proj
    assert isinstance(projection, nn.Linear)
    assert projection.weight.grad is not None
    assert projection.weight.grad.abs().sum() > 0


def test_a_student_is_no_teacher(teacher: UNet2DConditionModel) -> None:
    with pytest.raises(DataError, match="it is a student, not a teacher"):
        with_omega(with_omega(teacher))


def test_sampling_times_are_the_schedulers() -> None:
    solver = DdimSolver(Schedule.of(lcm("epsilon")))
    for steps in range(1, 51):
        theirs = lcm("epsilon")
        theirs.set_timesteps(steps)
        assert sampling_times(solver, steps) == theirs.timesteps.tolist(), steps
    for steps in (0, 51):
        with pytest.raises(ValueError, match=f"steps is {steps}, not between 1 and the solver's 50"):
            sampling_times(solver, steps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_multistep_sampling_is_the_schedulers(kind: str, steps: int) -> None:
    theirs = lcm(kind)
    theirs.set_timesteps(steps)
    schedule = Schedule.of(theirs)

    def network(z: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(z) * (1 + t.float()[:, None, None, None] / 1000)

    first = normal(0, 2, 4, 8, 8)
    generator = torch.Generator().manual_seed(5)
    expected, denoised = first, first
    for t in theirs.timesteps:
        output = network(expected, t[None])
        expected, denoised = theirs.step(output, int(t), expected, generator=generator, return_dict=False)  # pyright: ignore[reportAssignmentType]
    generator = torch.Generator().manual_seed(5)
    found = multistep(
        lambda z, t: consistency(schedule, network(z, t), z, t),
        schedule,
        sampling_times(DdimSolver(schedule), steps),
        first,
        lambda: torch.randn(first.shape, generator=generator),
    )
    torch.testing.assert_close(found, denoised, atol=2e-4, rtol=1e-4)
