"""Who draws: a finished student, or the teacher; and how each of them is asked for a batch."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rglcd_pipelines.artifacts import open_artifact
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import SCHEDULER, Teacher, load_teacher, plain_attention
from rglcd_pipelines.diffusion.vae import VaeConfig, identity, load_vae
from rglcd_pipelines.evaluation.generate.absolute import absolute
from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.generate.settings import DrawConfig, TeacherColumnConfig
from rglcd_pipelines.training.export import encoders
from rglcd_pipelines.training.finished import load
from rglcd_pipelines.training.identity import teacher_identity

Draw = Callable[[str, Sequence[str], Sequence[int]], Tensor]
"""The column, the captions and a seed for each of them to pictures [B, 3, H, W] in [0, 1], on the CPU."""


class Drawer(Protocol):
    """A model that can be sent to where it draws."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """The ways in which it draws, by name."""
        ...

    def identity(self) -> dict[str, Any]:
        """What its pictures depend on, so that its place does not matter."""
        ...

    def absolute(self) -> "Drawer":
        """The same, for a worker that was started in another folder."""
        ...

    def load(self, device: torch.device, bf16: bool) -> Callable[[], Draw]:
        """The model on `device`; each thread asks for a hand of its own, as samplers remember things."""
        ...


@dataclass(frozen=True)
class StudentDrawer:
    """A student's folder."""

    folder: Path
    steps: tuple[int, ...]
    omega: float

    @classmethod
    def of(cls, folder: Path, config: DrawConfig) -> "StudentDrawer":
        return cls(folder, tuple(config.steps), config.omega)

    @property
    def columns(self) -> dict[str, Column]:
        return {str(steps): Column(steps, steps, "lcm") for steps in self.steps}

    def identity(self) -> dict[str, Any]:
        student = open_artifact(self.folder, "student")
        return {"student": student.digest, "steps": list(self.steps), "omega": self.omega}

    def absolute(self) -> "StudentDrawer":
        return replace(self, folder=self.folder.absolute())

    def load(self, device: torch.device, bf16: bool) -> Callable[[], Draw]:
        pipeline = load(self.folder, device)
        _suit(pipeline.unet, device, bf16)

        def hand() -> Draw:
            own = _own_sampler(pipeline)

            def draw(column: str, captions: Sequence[str], seeds: Sequence[int]) -> Tensor:
                told = {"guidance_scale": self.omega + 1, "num_inference_steps": self.columns[column].steps}
                return _drawn(own, captions, seeds, told)

            return draw

        return hand


@dataclass(frozen=True)
class TeacherDrawer:
    """The teacher, by each of its samplers."""

    teacher: TeacherConfig
    vae: VaeConfig
    ways: Mapping[str, TeacherColumnConfig]

    @property
    def columns(self) -> dict[str, Column]:
        asked = {name: 2 if way.guidance_scale > 1 else 1 for name, way in self.ways.items()}
        return {
            name: Column(way.steps, asked[name] * way.steps, way.sampler) for name, way in self.ways.items()
        }

    def identity(self) -> dict[str, Any]:
        ways = {name: way.model_dump() for name, way in self.ways.items()}
        return {"teacher": teacher_identity(self.teacher), "vae": identity(self.vae), "ways": ways}

    def absolute(self) -> "TeacherDrawer":
        return replace(self, teacher=absolute(self.teacher), vae=absolute(self.vae))

    def load(self, device: torch.device, bf16: bool) -> Callable[[], Draw]:
        teacher = load_teacher(self.teacher)
        pipeline = _pipeline(teacher, load_vae(self.vae, "cpu", torch.float32).model).to(device)
        pipeline.set_progress_bar_config(disable=True)
        _suit(pipeline.unet, device, bf16)

        def hand() -> Draw:
            hands = {name: _own_sampler(pipeline, _sampler(teacher, way)) for name, way in self.ways.items()}

            def draw(column: str, captions: Sequence[str], seeds: Sequence[int]) -> Tensor:
                way = self.ways[column]
                told: dict[str, Any] = {
                    "guidance_scale": way.guidance_scale,
                    "num_inference_steps": way.steps,
                }
                if way.negative_prompt and way.guidance_scale > 1:
                    told["negative_prompt"] = [way.negative_prompt] * len(captions)
                return _drawn(hands[column], captions, seeds, told)

            return draw

        return hand


def _pipeline(teacher: Teacher, vae: nn.Module) -> Any:
    """All parts of the teacher together, as diffusers has them."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    scheduler = _sampler(teacher, TeacherColumnConfig(sampler="ddim", steps=1))
    parts = {"vae": vae, "unet": teacher.unet, "scheduler": scheduler, **encoders(teacher)}
    if teacher.kind == "sdxl":
        zeros = getattr(teacher.conditioner, "zeros_for_nothing", True)
        return StableDiffusionXLPipeline(**parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False)
    unchecked: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
    return StableDiffusionPipeline(**parts, **unchecked, requires_safety_checker=False)


def _sampler(teacher: Teacher, way: TeacherColumnConfig) -> Any:
    """Diffusers' scheduler, of the teacher's own noise schedule."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    known: Any = DDIMScheduler.load_config(teacher.folder / SCHEDULER)
    if way.sampler == "ddim":
        return DDIMScheduler.from_config(known)
    return DPMSolverMultistepScheduler.from_config(known, algorithm_type="dpmsolver++", solver_order=2)


def _own_sampler(pipeline: Any, scheduler: Any = None) -> Any:
    """The same networks, with a scheduler that nobody else turns and tokenizers that nobody else sets.

    Diffusers asks a tokenizer twice, with two kinds of padding, which the tokenizer remembers: of two threads
    one could get the other's.
    """
    own = copy.copy(pipeline)
    own.scheduler = copy.deepcopy(scheduler or pipeline.scheduler)
    for name in ("tokenizer", "tokenizer_2"):
        if getattr(pipeline, name, None) is not None:
            setattr(own, name, copy.deepcopy(getattr(pipeline, name)))
    return own


def _suit(unet: Any, device: torch.device, bf16: bool) -> None:
    """Have the UNet compute as is best where it is; what it says is float32 in any case.

    Only the UNet: in bf16, texts would begin from rounded noise, and a decoder adds noise of its own.
    """
    if device.type == "cpu":
        plain_attention(unet)
    if not bf16:
        return
    plain = unet.forward

    def forward(sample: Tensor, *given: Any, **named: Any) -> Any:
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            said = plain(sample, *given, **{**named, "return_dict": False})
        return (said[0].to(sample.dtype),)

    unet.forward = forward


@torch.no_grad()
def _drawn(pipeline: Any, captions: Sequence[str], seeds: Sequence[int], told: Mapping[str, Any]) -> Tensor:
    # On the CPU, so that a seed means the same noise everywhere.
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    made = pipeline(list(captions), generator=noise, output_type="pt", **told)
    return made.images.float().cpu()
