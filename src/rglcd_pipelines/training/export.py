"""A student as a folder that diffusers loads."""

from pathlib import Path
from typing import Any

import torch

from rglcd_pipelines.diffusion.conditions import XlConditioner
from rglcd_pipelines.diffusion.saving import save
from rglcd_pipelines.diffusion.teacher import SCHEDULER, Teacher
from rglcd_pipelines.diffusion.vae import Vae


def export(unet: Any, teacher: Teacher, vae: Vae, grid: int, saved_as: str, folder: Path) -> None:
    """The student's UNet between its teacher's encoders and the autoencoder, with LCM's scheduler."""
    from diffusers import DDIMScheduler, LCMScheduler

    known: Any = DDIMScheduler.load_config(teacher.folder / SCHEDULER)
    # What clips or rescales would not be what the student was trained for.
    scheduler = LCMScheduler.from_config(
        known, original_inference_steps=grid, clip_sample=False, thresholding=False
    )
    parts = {"vae": vae.model, "unet": unet, "scheduler": scheduler, **_encoders(teacher)}
    save(_pipeline(teacher.kind, parts), folder, getattr(torch, saved_as))


def _pipeline(kind: str, parts: dict[str, Any]) -> Any:
    from diffusers import LatentConsistencyModelPipeline, StableDiffusionXLPipeline

    if kind == "sdxl":
        return StableDiffusionXLPipeline(**parts, add_watermarker=False)
    return LatentConsistencyModelPipeline(
        **parts,
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )


def _encoders(teacher: Teacher) -> dict[str, Any]:
    said = teacher.conditioner
    if isinstance(said, XlConditioner):
        first, second = said.encoders
        one, two = said.tokenizers
        return {"text_encoder": first, "text_encoder_2": second, "tokenizer": one, "tokenizer_2": two}
    return {"text_encoder": said.encoder, "tokenizer": said.tokenizer}
