"""A student as a folder that diffusers loads."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.diffusion.conditions import XlConditioner
from rglcd_pipelines.diffusion.saving import save
from rglcd_pipelines.diffusion.teacher import SCHEDULER, Teacher
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.lora import ADAPTED, PROJECTION, Adapted

LORA = "pytorch_lora_weights.safetensors"
OMEGA = "omega_projection.safetensors"
BASE = "base.json"
"""What a student by LoRA stands on; a folder without this file needs nothing else."""


def export(job: Job, network: nn.Module, teacher: Teacher, vae: Vae, folder: Path) -> None:
    """What the student's network has learnt, with LCM's scheduler, and around it what is needed."""
    scheduler = _scheduler(teacher, job.asked.draws.grid)
    dtype = getattr(torch, job.settings.saved_as)
    if isinstance(network, Adapted):
        _export_lora(job, network, dtype, folder)
        scheduler.save_pretrained(folder / "scheduler")
        return
    parts = {"vae": vae.model, "unet": network, "scheduler": scheduler, **encoders(teacher)}
    save(assemble(teacher.kind, parts), folder, dtype)


def _export_lora(job: Job, network: Adapted, dtype: torch.dtype, folder: Path) -> None:
    """The small matrices as `load_lora_weights` takes them, omega's projection, and what they belong to."""
    from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
    from safetensors.torch import save_file

    assert job.settings.lora is not None  # it is what made this network
    lora = job.settings.lora.model_dump()
    weights = {name: weight.detach().to("cpu", dtype) for name, weight in network.weights().items()}
    save_file({"weight": weights.pop(PROJECTION).contiguous()}, folder / OMEGA)
    # Not by save_lora_weights: of the names in the header, of which it writes two, safetensors changes the
    # order from run to run. Without what is told here, diffusers takes alpha for equal to the rank.
    told = {"unet.r": lora["rank"], "unet.lora_alpha": lora["alpha"], "unet.target_modules": sorted(ADAPTED)}
    save_file(
        {f"unet.{name}": weight.contiguous() for name, weight in weights.items()},
        folder / LORA,
        metadata={LORA_ADAPTER_METADATA_KEY: json.dumps(told)},
    )
    about = {"teacher": job.teacher.model_dump(), "vae": job.vae.model_dump(), "lora": lora}
    write_json(folder / BASE, about)


def _scheduler(teacher: Teacher, grid: int) -> Any:
    from diffusers import DDIMScheduler, LCMScheduler

    known: Any = DDIMScheduler.load_config(teacher.folder / SCHEDULER)
    # What clips or rescales would not be what the student was trained for.
    return LCMScheduler.from_config(
        known, original_inference_steps=grid, clip_sample=False, thresholding=False
    )


def pipeline_class(kind: str) -> Any:
    """Of diffusers, for students of a kind of teacher."""
    from diffusers import LatentConsistencyModelPipeline, StableDiffusionXLPipeline

    return StableDiffusionXLPipeline if kind == "sdxl" else LatentConsistencyModelPipeline


def assemble(kind: str, parts: dict[str, Any]) -> Any:
    """All parts of a student together."""
    if kind == "sdxl":
        return pipeline_class(kind)(**parts, add_watermarker=False)
    return pipeline_class(kind)(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def encoders(teacher: Teacher) -> dict[str, Any]:
    """The teacher's, by the names that they have in a pipeline."""
    said = teacher.conditioner
    if isinstance(said, XlConditioner):
        first, second = said.encoders
        one, two = said.tokenizers
        return {"text_encoder": first, "text_encoder_2": second, "tokenizer": one, "tokenizer_2": two}
    return {"text_encoder": said.encoder, "tokenizer": said.tokenizer}
