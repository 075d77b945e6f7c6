"""Samples of the miniature world's teacher, through diffusers' own pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.world.teacher import suit

BATCH = 64


@dataclass(frozen=True)
class Teacher:
    """A StableDiffusionPipeline that is ready to use."""

    pipeline: Any
    device: torch.device


def load_teacher(folder: Path, device: torch.device, early: str | None = None) -> Teacher:
    """The pipeline at `folder`; `early` names one of its UNet's earlier weights, such as step-001000."""
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import load_file

    hide_library_bars()
    try:
        pipeline: Any = StableDiffusionPipeline.from_pretrained(
            str(folder), dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: holds no teacher ({first_line(error)}).") from None
    if early is not None:
        weights = folder / "early" / f"{early}.safetensors"
        if not weights.is_file():
            raise DataError(f"{weights}: there is no such file. Add the step to world.teacher.early.")
        pipeline.unet.load_state_dict(load_file(weights))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    suit(pipeline.unet, device)
    return Teacher(pipeline, device)


@torch.no_grad()
def sample(
    teacher: Teacher, captions: Sequence[str], seeds: Sequence[int], steps: int = 50, omega: float = 7.5
) -> Tensor:
    """Images [B, 3, H, W] in [0, 1] by DDIM, with classifier-free guidance `omega` (1: without)."""
    images = []
    for start in range(0, len(captions), BATCH):
        chosen = slice(start, start + BATCH)
        with torch.autocast(teacher.device.type, torch.bfloat16):
            images.append(
                teacher.pipeline(
                    prompt=list(captions[chosen]),
                    # On the CPU, so that a seed means the same noise everywhere.
                    generator=[torch.Generator().manual_seed(seed) for seed in seeds[chosen]],
                    num_inference_steps=steps,
                    guidance_scale=omega,
                    output_type="pt",
                ).images.float()
            )
    return torch.cat(images)
