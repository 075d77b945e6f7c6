"""SD 1.5, SD 2.1-base, SD 2.1 and SDXL: full-size on the meta device, and narrow from teacher to pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig

from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.conditions import Conditions
from rglcd_pipelines.diffusion.guidance import omega_embedding, with_omega
from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import load_teacher
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.finished import load
from rglcd_pipelines.training.lora import LoraStudent
from rglcd_pipelines.training.samples import Sampler
from rglcd_pipelines.training.settings import DistillConfig, SamplesConfig
from tests.diffusion.tiny_teachers import SIDE
from tests.training.make_job import PROMPTS, Bench
from tests.training.published import PUBLISHED, Published
from tests.training.test_distill import losses

PROJECTION = 256 * 320
"""Parameters of what tells a UNet omega."""
META = torch.device("meta")
SIDES = {"sd15": 64, "sd21_base": 64, "sd21": 96, "sdxl": 128}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Adapters are switched on one module, so no lanes run beside each other; threads of layers only wait."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def full_size(published: Published) -> UNet2DConditionModel:
    with META:
        return UNet2DConditionModel(**published.unet)


def output_shape(network: nn.Module, published: Published) -> tuple[int, ...]:
    """Of its answer to two latents as large as the teacher's."""
    unet, side = published.unet, published.unet["sample_size"]
    with META:
        pooled, sizes = (
            (torch.zeros(2, 1280), torch.zeros(2, 6)) if "addition_embed_type" in unet else (None,) * 2
        )
        said = Conditions(torch.zeros(2, 77, unet["cross_attention_dim"]), pooled, sizes)
        z, t = torch.zeros(2, 4, side, side), torch.full((2,), 999)
        return tuple(said.call(network, z, t, omega_embedding(torch.full((2,), 7.5))).shape)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_student_of_full_size(kind: str) -> None:
    published = PUBLISHED[kind]
    teacher = full_size(published)
    assert size(teacher) == published.parameters
    with META:
        told = with_omega(teacher)
    assert size(told) == published.parameters + PROJECTION
    assert output_shape(told, published) == (2, 4, SIDES[kind], SIDES[kind])


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_student_of_full_size_by_lora(kind: str) -> None:
    """Of rank 64; LCM-LoRA's authors count 67.5 million for SD 1.5, and 197 for SDXL."""
    published = PUBLISHED[kind]
    known = {"steps": 1, "optimizer": {"lr": 1e-4}, "samples": {"prompts": PROMPTS}}
    settings = check(DistillConfig, known | {"lora": {"rank": 64, "alpha": 64}})
    with META:
        student = LoraStudent(full_size(published), settings, 0, META)
    assert sum(weight.numel() for weight in student.trained) == published.lora + PROJECTION
    assert size(student.online) == published.parameters + 2 * published.lora + PROJECTION
    assert output_shape(student.online, published) == (2, 4, SIDES[kind], SIDES[kind])
    assert output_shape(student.target, published) == (2, 4, SIDES[kind], SIDES[kind])


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_text_encoders_of_full_size(kind: str) -> None:
    states: list[int] = []
    for encoder, (config, parameters) in PUBLISHED[kind].encoders.items():
        with META:
            model = encoder(CLIPTextConfig(**config))
            said = model(input_ids=torch.zeros(2, 77, dtype=torch.long), output_hidden_states=True)
        assert size(model) == parameters
        states.append(said.hidden_states[-2].shape[-1])
    assert sum(states) == PUBLISHED[kind].unet["cross_attention_dim"]


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_schedule_of_any_scheduler(kind: str, tmp_path: Path) -> None:
    """PNDM, DDIM and Euler stand on the hub; their betas are what counts."""
    PUBLISHED[kind].scheduler().save_pretrained(tmp_path)
    ours = Schedule.of(DDIMScheduler.from_pretrained(tmp_path))
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = torch.cumprod(1 - betas, 0)
    t = torch.tensor([0, 19, 500, 999])
    ones, zeros = torch.ones(4, 1, 1, 1), torch.zeros(4, 1, 1, 1)
    signal = ours.noisy(ones, zeros, t).flatten().double()
    torch.testing.assert_close(signal, expected[t].sqrt(), atol=1e-6, rtol=0)
    assert ours.prediction == ("v_prediction" if kind == "sd21" else "epsilon")


@pytest.fixture(scope="module", params=PUBLISHED)
def narrow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Bench]:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, Bench(folder, save=PUBLISHED[request.param].save_narrow)


@pytest.mark.parametrize("variant", ["lcm", "bright"])
def test_a_few_steps_of_a_narrow_one(narrow: tuple[str, Bench], tmp_path: Path, variant: str) -> None:
    """From the teacher's answers to pictures that diffusers draws as we do; SDXL by LoRA, as in the paper."""
    kind, bench = narrow
    by_lora: dict[str, Any] = {"lora": {"rank": 4, "alpha": 4.0}} if kind == "sdxl" else {}
    made = distill(bench.job(tmp_path / variant, variant, steps=2, optimizer={"lr": 1e-3}, **by_lora))
    first, second = losses(made.path)
    assert 0 < first["lcd"] < 10
    assert first["gradient"] > 0
    assert second["lcd"] != first["lcd"]
    assert ("reward" in first) == (variant == "bright")
    pipeline = load(made.path, torch.device("cpu"))
    teacher = load_teacher(check(TeacherConfig, bench.teacher))
    vae = load_vae(check(VaeConfig, bench.vae), "cpu", torch.float32)
    config = SamplesConfig(prompts=PROMPTS, omega=4.5, seed=7)
    ours = Sampler(config, teacher.conditioner, DdimSolver(teacher.schedule), vae, (4, SIDE, SIDE))
    noise = torch.Generator().manual_seed(7)
    theirs = pipeline(PROMPTS, num_inference_steps=4, guidance_scale=5.5, generator=noise, output_type="pt")
    torch.testing.assert_close(ours.draw(pipeline.unet, 4), theirs.images, atol=2e-5, rtol=0)
