"""What a student can do while it learns: a sheet of pictures, a row for each prompt, a column for steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from rglcd_pipelines.diffusion.conditions import Conditioner, XlConditioner
from rglcd_pipelines.diffusion.decoder import pictures
from rglcd_pipelines.diffusion.sampler import multistep, sampling_times
from rglcd_pipelines.diffusion.solver import DdimSolver
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.training.objective import say
from rglcd_pipelines.training.settings import SamplesConfig

SIDE = 128
"""Of a picture on the sheet, in pixels."""
GAP, TITLE, WORDS = 8, 26, 330
INK, PAPER = (40, 40, 46), (255, 255, 255)


@dataclass(frozen=True)
class Sampler:
    """Draws with a student's network (Algorithm 2), the same noise each time."""

    config: SamplesConfig
    conditioner: Conditioner | XlConditioner
    solver: DdimSolver
    vae: Vae
    shape: tuple[int, ...]

    @torch.no_grad()
    def draw(self, network: nn.Module, steps: int, bf16: bool = False) -> Tensor:
        """One picture [3, H, W] in [0, 1] of each prompt, in so many steps."""
        prompts, device = self.config.prompts, self.solver.times.device
        drawn = torch.Generator().manual_seed(self.config.seed)

        def noise() -> Tensor:
            return torch.randn(len(prompts), *self.shape, generator=drawn).to(device)

        z = self.latents(network, prompts, noise, steps, bf16)
        return torch.cat([pictures(self.vae, part) for part in z.split(4)]).cpu()

    @torch.no_grad()
    def latents(
        self,
        network: nn.Module,
        prompts: Sequence[str],
        noise: Callable[[], Tensor],
        steps: int,
        bf16: bool = False,
    ) -> Tensor:
        """Scaled latents [B, C, h, w], one of each prompt; `noise` is asked for [B, C, h, w] at each step."""
        device = self.solver.times.device
        omega = torch.full((len(prompts),), self.config.omega, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            said = self.conditioner.say(prompts)
            return multistep(
                lambda z, t: say(network, self.solver.schedule, z, t, omega, said),
                self.solver.schedule,
                sampling_times(self.solver, steps),
                noise(),
                noise,
            )

    def columns(self, network: nn.Module, bf16: bool = False) -> dict[int, Tensor]:
        """The pictures of every number of steps that is asked for."""
        return {steps: self.draw(network, steps, bf16) for steps in self.config.steps}

    def sheet(self, columns: Mapping[int, Tensor]) -> Image.Image:
        return draw_sheet(self.config.prompts, columns)


def draw_sheet(prompts: Sequence[str], columns: Mapping[int, Tensor]) -> Image.Image:
    """Pictures [B, 3, H, W] in [0, 1] by the steps that they took, with the prompts beside them."""
    font = ImageFont.load_default(14)
    cell = SIDE + GAP
    size = (WORDS + cell * len(columns) + GAP, TITLE + cell * len(prompts) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, prompt in enumerate(prompts):
        top = TITLE + GAP + row * cell
        pen.multiline_text((GAP, top), _wrapped(prompt, font), INK, font, spacing=3)
    for column, (steps, images) in enumerate(columns.items()):
        left = WORDS + GAP + column * cell
        pen.text((left, GAP), f"{steps} step{'s' * (steps > 1)}", INK, font)
        for row, image in enumerate(images):
            sheet.paste(_picture(image), (left, TITLE + GAP + row * cell))
    return sheet


def _picture(image: Tensor) -> Image.Image:
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    # Small ones are shown pixel by pixel: what is blurred is the model's doing then.
    how = Image.Resampling.NEAREST if picture.width < SIDE else Image.Resampling.LANCZOS
    return picture.resize((SIDE, SIDE), how)


def _wrapped(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """In lines that fit beside the pictures."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > WORDS - 2 * GAP and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)
