"""Students by LoRA: what learns, what checkpoint and finished folder hold, and that diffusers draws it."""

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.guidance import omega_embedding
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.export import BASE, LORA, OMEGA
from rglcd_pipelines.training.finished import draw, load, sheet_of
from rglcd_pipelines.training.lora import PROJECTION, LoraStudent
from rglcd_pipelines.training.samples import Sampler
from rglcd_pipelines.training.settings import DistillConfig, SamplesConfig
from rglcd_pipelines.training.step import StepSupply
from tests.diffusion.tiny_teachers import SIDE, save_sd, save_sdxl
from tests.training.make_job import PROMPTS, STEPS, Bench
from tests.training.test_distill import Killed, dies_at, losses

SMALL: dict[str, Any] = {"lora": {"rank": 4, "alpha": 8.0}}
QUICK: dict[str, Any] = {"optimizer": {"lr": 1e-2}} | SMALL
"""So fast that a few steps are seen in pictures."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """No lanes run beside each other on one module, and a layer's threads only wait for each other."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("sdxl"), save=save_sdxl)


@pytest.fixture(scope="module")
def quick(bench: Bench) -> tuple[Artifact, Image.Image]:
    """A student, and the last sheet that was drawn while it learnt."""
    seen: list[Image.Image] = []
    with curves.listening(lambda *_: None, lambda _, __, picture: seen.append(picture)):
        made = distill(bench.job(bench.folder / "quick", **QUICK))
    return made, seen[-1]


@pytest.fixture(scope="module")
def guided(bench: Bench) -> Artifact:
    """A student that a reward guided, trained at one go."""
    return distill(bench.job(bench.folder / "guided", "bright", **SMALL))


def teacher_of(bench: Bench) -> Teacher:
    return load_teacher(check(TeacherConfig, bench.teacher)).to(torch.device("cpu"))


def student_of(teacher: Teacher, **settings: Any) -> LoraStudent:
    known = {"steps": 1, "optimizer": {"lr": 1e-3}, "samples": {"prompts": PROMPTS}}
    config = check(DistillConfig, known | SMALL | settings)
    return LoraStudent(teacher.unet, config, 5, torch.device("cpu"))


def answer(network: torch.nn.Module, teacher: Teacher, omega: float | None = None) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    z = torch.randn(2, 4, SIDE, SIDE, generator=drawn)
    told = None if omega is None else omega_embedding(torch.full((2,), omega))
    said = teacher.conditioner.say(PROMPTS)
    with torch.no_grad():
        return said.call(network, z, torch.tensor([20, 700]), told)


def shaken(student: LoraStudent) -> None:
    """Give both networks weights of their own."""
    drawn = torch.Generator().manual_seed(2)
    for weights in student.tensors().values():
        for weight in weights.values():
            weight += 0.3 * torch.randn(weight.shape, generator=drawn)


def test_it_begins_as_its_teacher(bench: Bench) -> None:
    teacher = teacher_of(bench)
    student, expected = student_of(teacher), answer(teacher.unet, teacher)
    for network in (student.online, student.target):
        for omega in (2.0, 9.0):
            torch.testing.assert_close(answer(network, teacher, omega), expected, atol=0, rtol=0)
    again = student_of(teacher)  # whatever else was drawn: all processes must begin with the same
    for name, weight in student.tensors()["online"].items():
        assert weight.equal(again.tensors()["online"][name])
        assert weight.equal(student.tensors()["target"][name])


def test_adapters_do_not_mix(bench: Bench) -> None:
    """In any order, each network answers with its own weights, and the teacher with none."""
    teacher = teacher_of(bench)
    student, expected = student_of(teacher), answer(teacher.unet, teacher)
    shaken(student)
    assert student.teacher is not None
    online, target = answer(student.online, teacher, 5.0), answer(student.target, teacher, 5.0)
    assert not online.allclose(target, atol=1e-2)
    for _ in range(2):
        assert answer(student.teacher, teacher).equal(expected)
        assert answer(student.target, teacher, 5.0).equal(target)
        assert answer(student.teacher, teacher).equal(expected)
        assert answer(student.online, teacher, 5.0).equal(online)
    assert not answer(student.online, teacher, 2.0).equal(online)


def test_what_learns_and_what_follows(bench: Bench) -> None:
    teacher = teacher_of(bench)
    student = student_of(teacher)
    answers = student.online(
        torch.randn(2, 4, SIDE, SIDE),
        torch.tensor([20, 700]),
        encoder_hidden_states=(said := teacher.conditioner.say(PROMPTS)).states,
        added_cond_kwargs={"text_embeds": said.pooled, "time_ids": said.sizes},
        timestep_cond=omega_embedding(torch.tensor([3.0, 4.0])),
    ).sample
    answers.square().mean().backward()
    learning = {id(weight) for weight in student.trained}
    for name, weight in student.online.named_parameters():
        assert (weight.grad is not None) == (id(weight) in learning), name
    shaken(student)
    before = {name: weight.clone() for name, weight in student.tensors()["target"].items()}
    student.follow(0.75)
    for name, weight in student.tensors()["target"].items():
        expected = 0.75 * before[name] + 0.25 * student.tensors()["online"][name]
        torch.testing.assert_close(weight, expected)


def test_a_checkpoint_holds_what_learns_and_no_more(bench: Bench) -> None:
    teacher = teacher_of(bench)
    student, other = student_of(teacher), student_of(teacher)
    shaken(student)
    tensors = student.tensors()
    assert set(tensors) == {"online", "target"}
    assert all(".lora_" in name or name == PROJECTION for name in tensors["online"])
    other.load(tensors)
    for network in ("online", "target"):
        expected = answer(getattr(student, network), teacher, 4.0)
        assert answer(getattr(other, network), teacher, 4.0).equal(expected)
    with pytest.raises(DataError, match=r"of another student \(its online weights\)"):
        student_of(teacher, lora={"rank": 3}).load(tensors)
    with pytest.raises(DataError, match="its target weights"):
        other.load({"online": tensors["online"]})


def test_a_folder_that_load_lora_weights_takes(quick: tuple[Artifact, Image.Image]) -> None:
    made, _ = quick
    names = {file.relative_to(made.path).as_posix() for file in made.path.rglob("*") if file.is_file()}
    beside = {"README.md", "losses.csv", "manifest.json", f"progress/{STEPS:07d}.png"}
    assert names == {LORA, OMEGA, BASE, "scheduler/scheduler_config.json"} | beside
    projection = load_file(made.path / OMEGA)
    assert list(projection) == ["weight"]
    assert projection["weight"].abs().max() > 0
    card = " ".join((made.path / "README.md").read_text(encoding="utf-8").split())
    assert "| learns | LoRA of rank 4 and alpha 8, and the projection of omega |" in card
    assert "- lora ---" in card


def test_the_lines_of_the_card_draw_what_was_drawn_while_it_learnt(
    bench: Bench, quick: tuple[Artifact, Image.Image]
) -> None:
    made, sheet = quick
    pipeline = as_the_card_says(made.path)
    layer = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    assert list(layer.scaling.values()) == [2.0]  # alpha / rank
    ours = sampler(bench, SamplesConfig(prompts=PROMPTS, steps=[1, 2]))
    drawn = ours.sheet(ours.columns(pipeline.unet))
    assert np.abs(np.asarray(drawn, int) - np.asarray(sheet, int)).max() <= 1
    same_pictures(bench, pipeline)


def as_the_card_says(folder: Path) -> Any:
    """The pipeline, once its card's lines have run."""
    (code,) = re.findall(
        r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(code.replace("PATH_OF_THIS_FOLDER", str(folder)), names)
    assert names["image"].size == (2 * SIDE, 2 * SIDE)
    names["pipe"].set_progress_bar_config(disable=True)
    return names["pipe"]


def sampler(bench: Bench, config: SamplesConfig) -> Sampler:
    teacher = teacher_of(bench)
    vae = load_vae(check(VaeConfig, bench.vae), "cpu", torch.float32)
    return Sampler(config, teacher.conditioner, DdimSolver(teacher.schedule), vae, (4, SIDE, SIDE))


def same_pictures(bench: Bench, pipeline: Any) -> None:
    """Our sampler and diffusers' pipeline, image for image."""
    ours = sampler(bench, SamplesConfig(prompts=PROMPTS, omega=4.5, seed=7))
    for steps in (1, 2, 4, 8):
        theirs = pipeline(
            PROMPTS,
            num_inference_steps=steps,
            guidance_scale=5.5,
            generator=torch.Generator().manual_seed(7),
            output_type="pt",
        ).images
        torch.testing.assert_close(ours.draw(pipeline.unet, steps), theirs, atol=2e-5, rtol=0)


def test_the_finished_folder_is_loaded_by_us_too(bench: Bench, quick: tuple[Artifact, Image.Image]) -> None:
    made, sheet = quick
    pipeline = load(made.path, torch.device("cpu"))
    expected = as_the_card_says(made.path)
    same = [draw(one, PROMPTS, 2, 3.0, 0) for one in (pipeline, expected)]
    torch.testing.assert_close(*same, atol=1e-5, rtol=0)
    assert sheet_of(made.path, bench.job(bench.folder / "quick", **QUICK)).size == sheet.size


@pytest.mark.parametrize("settings", [{}, SMALL], ids=["whole", "lora"])
@pytest.mark.parametrize("save", [save_sd, save_sdxl])
def test_every_kind_of_student_is_loaded_as_its_card_says(
    tmp_path: Path, save: Any, settings: dict[str, Any]
) -> None:
    bench = Bench(tmp_path, save=save)
    job = bench.job(tmp_path / "student", steps=2, optimizer={"lr": 1e-2}, **settings)
    same_pictures(bench, as_the_card_says(distill(job).path))


def test_half_of_the_bytes(bench: Bench, tmp_path: Path) -> None:
    made = distill(bench.job(tmp_path / "half", saved_as="float16", weights="online", **QUICK))
    tensors = load_file(made.path / LORA) | load_file(made.path / OMEGA)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    same_pictures(bench, load(made.path, torch.device("cpu")))


def test_the_live_teacher_is_the_student_itself(bench: Bench, tmp_path: Path) -> None:
    kept, live = (distill(bench.job(tmp_path / str(live), live=live, **SMALL)) for live in (False, True))
    assert losses(kept.path) == losses(live.path)
    assert kept.manifest["files"][LORA] == live.manifest["files"][LORA]


def test_one_unet_is_in_memory(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Student, target network and live teacher are one; what the teacher was loaded as holds nothing."""
    take, before = StepSupply.take, unets_in_memory()
    found: list[int] = []

    def looks(self: StepSupply, read: Any) -> Any:
        found.append(unets_in_memory() - before)
        return take(self, read)

    monkeypatch.setattr(StepSupply, "take", looks)
    distill(bench.job(tmp_path / "student", live=True, steps=2, precision="bf16", **SMALL))
    assert found == [1, 1]


def unets_in_memory() -> int:
    gc.collect()
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), UNet2DConditionModel)]
    return sum(unet.device.type != "meta" for unet in found)


@pytest.mark.parametrize("change", [{"accumulate": 2}, {"gradient_checkpointing": True}])
def test_what_costs_less_memory_gives_the_same_losses(
    bench: Bench, guided: Artifact, tmp_path: Path, change: dict[str, Any]
) -> None:
    plain = losses(guided.path)
    other = losses(distill(bench.job(tmp_path / "other", "bright", **SMALL, **change)).path)
    assert other[0] == pytest.approx(plain[0], rel=1e-5)
    for one, two in zip(plain, other, strict=True):  # AdamW makes much of little in its first steps
        assert two["lcd"] == pytest.approx(one["lcd"], rel=2e-3)


@pytest.mark.parametrize("at", [1, 5])
def test_killed_and_started_again_to_the_bit(
    bench: Bench, guided: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    job = bench.job(tmp_path / "killed", "bright", **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(StepSupply, "take", dies_at(at))
        with pytest.raises(Killed):
            distill(job)
    saved = sorted(tmp_path.glob(".partial/scratch-*/checkpoints/step-*/online.safetensors"))
    assert len(saved) == at // 2
    again = distill(job)
    assert [row["step"] for row in losses(again.path)] == list(range(1, STEPS + 1))
    card = "README.md"
    assert again.manifest["files"] | {card: ""} == guided.manifest["files"] | {card: ""}
