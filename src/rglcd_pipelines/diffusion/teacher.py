"""The slow model that is distilled: Stable Diffusion or SDXL, in a diffusers folder or on the hub."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rglcd_pipelines.diffusion.conditions import Conditioner, Conditions, XlConditioner
from rglcd_pipelines.diffusion.schedule import Schedule
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher_folder import INDEX, NEEDED, SCHEDULER, check_folder
from rglcd_pipelines.errors import DataError, first_line

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


@dataclass(frozen=True)
class Teacher:
    """A frozen model that is ready to answer."""

    kind: str
    """sd or sdxl."""
    folder: Path
    """Where it was loaded from."""
    unet: "UNet2DConditionModel"
    conditioner: Conditioner | XlConditioner
    schedule: Schedule

    def to(self, device: torch.device) -> "Teacher":
        nn.Module.to(self.unet, device=device)
        if device.type == "cpu":
            plain_attention(self.unet)
        conditioner = self.conditioner.to(device)
        return Teacher(self.kind, self.folder, self.unet, conditioner, self.schedule.to(device))

    @torch.no_grad()
    def answer(self, z: Tensor, t: Tensor, said: Conditions, unsaid: Conditions) -> tuple[Tensor, Tensor]:
        """Its outputs with and without the caption, from one call of twice the batch."""
        both = Conditions.both(said, unsaid).call(self.unet, torch.cat([z, z]), torch.cat([t, t]))
        with_caption, without = both.to(z.dtype).chunk(2)
        return with_caption, without


def plain_attention(unet: Any) -> None:
    """On CPUs: for a few dozen tokens in bf16, torch's fused attention is slow."""
    from diffusers.models.attention_processor import AttnProcessor

    unet.set_attn_processor(AttnProcessor())


def load_teacher(config: TeacherConfig, dtype: torch.dtype = torch.float32) -> Teacher:
    """The teacher on the CPU, all of it frozen, in `dtype`."""
    folder = Path(config.id) if config.source == "folder" else fetch(config)
    kind = check_folder(folder)
    from diffusers import DDIMScheduler, UNet2DConditionModel

    weights: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
    if config.variant:
        weights["variant"] = config.variant
    try:
        scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)
        unet: Any = UNet2DConditionModel.from_pretrained(
            folder, subfolder="unet", low_cpu_mem_usage=False, **weights
        )
        conditioner = _conditioner(kind, folder, weights, unet.config.sample_size * config.latent_factor)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{folder}: the teacher cannot be loaded ({first_line(error)}). "
            "Its files are damaged or do not belong together: fetch or save them again."
        ) from None
    try:
        schedule = Schedule.of(scheduler)
    except DataError as error:
        raise DataError(f"{folder / SCHEDULER}: {error}") from None
    unet.requires_grad_(False).eval()
    return Teacher(kind, folder, unet, conditioner, schedule)


def fetch(config: TeacherConfig) -> Path:
    """The folder in the hub's cache that holds the teacher's parts, fetched if need be."""
    from huggingface_hub import errors, snapshot_download

    ending = f".{config.variant}.safetensors" if config.variant else ".safetensors"
    parts = [f"{part}/*" for part in NEEDED["sdxl"]]
    wanted = [INDEX, *(f"{part}.json" for part in parts), *(f"{part}.txt" for part in parts)]
    wanted += [f"{part}{ending}" for part in parts]
    try:
        return Path(snapshot_download(config.id, revision=config.revision, allow_patterns=wanted))
    except errors.HfHubHTTPError as error:
        told = f"the hub answers with an error ({first_line(error)}). Check teacher.id and teacher.revision"
    except (OSError, ValueError) as error:
        told = f"cannot be fetched ({first_line(error)}). Run again, or set teacher.source to folder"
    raise DataError(f"{config.id} at {config.revision}: {told}.") from None


def _conditioner(
    kind: str, folder: Path, weights: dict[str, Any], pixels: int
) -> Conditioner | XlConditioner:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    def tokenizer(name: str) -> Any:
        return CLIPTokenizer.from_pretrained(folder, subfolder=name, local_files_only=True)

    first: Any = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", **weights)
    if kind == "sd":
        return Conditioner(tokenizer("tokenizer"), first)
    second: Any = CLIPTextModelWithProjection.from_pretrained(folder, subfolder="text_encoder_2", **weights)
    told = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return XlConditioner(
        [tokenizer("tokenizer"), tokenizer("tokenizer_2")],
        (first, second),
        pixels,
        zeros_for_nothing=bool(told.get("force_zeros_for_empty_prompt", True)),
    )
