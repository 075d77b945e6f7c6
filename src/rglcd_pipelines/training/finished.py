"""What a finished student draws, through diffusers' own pipeline and nothing of ours."""

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.guidance import with_omega
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import load_teacher
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.training.export import BASE, LORA, OMEGA, assemble, encoders
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.samples import draw_sheet


def sheet_of(folder: Path, job: Job) -> Image.Image:
    """The prompts of `distill.samples`, each in 1, 2, 4 and 8 steps or as it says."""
    samples = job.settings.samples
    pipeline = load(folder, pick_device())
    columns = {
        steps: draw(pipeline, samples.prompts, steps, samples.omega, samples.seed) for steps in samples.steps
    }
    return draw_sheet(samples.prompts, columns)


def load(folder: Path, device: torch.device) -> Any:
    """The student's pipeline on `device`."""
    from diffusers import DiffusionPipeline

    hide_library_bars()
    if (folder / BASE).is_file():
        made: Any = _on_its_base(folder)
    else:
        made = DiffusionPipeline.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    made.set_progress_bar_config(disable=True)
    return made.to(device)


def _on_its_base(folder: Path) -> Any:
    """A student by LoRA, on the teacher that it was made from."""
    from diffusers import LCMScheduler
    from safetensors.torch import load_file

    told = json.loads((folder / BASE).read_text(encoding="utf-8"))
    teacher = load_teacher(check(TeacherConfig, told["teacher"]))
    unet: Any = with_omega(teacher.unet)
    unet.time_embedding.cond_proj.load_state_dict(load_file(folder / OMEGA))
    # As load_lora_weights does it, which warns that there is nothing for the text encoders.
    unet.load_lora_adapter(folder, prefix="unet", weight_name=LORA, local_files_only=True)
    parts = {
        "vae": load_vae(check(VaeConfig, told["vae"]), "cpu", torch.float32).model,
        "unet": unet,
        "scheduler": LCMScheduler.from_pretrained(folder, subfolder="scheduler"),
        **encoders(teacher),
    }
    return assemble(teacher.kind, parts)


def draw(pipeline: Any, prompts: list[str], steps: int, omega: float, seed: int, at_once: int = 16) -> Tensor:
    """Pictures [B, 3, H, W] in [0, 1]; the noise of each comes from `seed` and its place in the list."""
    parts = []
    for start in range(0, len(prompts), at_once):
        part = prompts[start : start + at_once]
        noise = [torch.Generator().manual_seed(seed + start + row) for row in range(len(part))]
        made = pipeline(
            part, num_inference_steps=steps, guidance_scale=omega + 1, generator=noise, output_type="pt"
        )
        parts.append(made.images.float().cpu())
    return torch.cat(parts)
