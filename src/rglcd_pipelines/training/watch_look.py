"""A look at a student that learns: the same prompts, drawn with the same noise, and what is seen in them."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rglcd_pipelines.diffusion.decoder import pictures
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.measures import colour, spectrum
from rglcd_pipelines.measures.diversity import pixel_diversity
from rglcd_pipelines.measures.reconstruction import distance_to_reconstruction
from rglcd_pipelines.measures.robustness import drop, jpeg, shifted
from rglcd_pipelines.training.fit import step_seed
from rglcd_pipelines.training.followed import Followed
from rglcd_pipelines.training.held_out import HeldOut
from rglcd_pipelines.training.samples import Sampler
from rglcd_pipelines.training.watch_rule import Look
from rglcd_pipelines.training.watch_settings import WatchConfig

DRAWN, DECODED = 16, 4
"""Pictures that the UNet draws together, and that the autoencoder does; of others the last bits differ."""
ERROR = "_error"
"""After a reward's name: the standard error of its mean, over the prompts."""
PIXELS = ("high_frequency", "spectral_slope", "saturation", "contrast", "reconstruction", "pixel_diversity")
"""What is measured on the pictures themselves."""
PROXIES = (
    "proxy",
    "proxy_antialiased",
    "proxy_aliased",
    "proxy_jpeg_drop",
    "proxy_shift_drop",
    "latent_reward",
)
OWN = {"step", "held_out", *PIXELS, *PROXIES, *(f"{name}{ERROR}" for name in ("proxy", "held_out"))}
"""Columns of watch.csv that are no reward's."""


def column(reward: str) -> str:
    """The name of a reward among the figures, where MLflow takes few signs and some names are taken."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", reward)
    return f"{name}_reward" if name in OWN else name


@dataclass(frozen=True)
class Examiner:
    """Who looks."""

    config: WatchConfig
    prompts: Sequence[str]
    sampler: Sampler
    network: nn.Module
    bf16: bool
    followed: Followed
    held_out: HeldOut
    lrm: Callable[[Tensor, Sequence[str]], Tensor] | None = None
    """Of a student by way of a latent reward model: what that says of scaled latents."""

    def look(self, step: int) -> Look:
        """What is seen after so many steps."""
        with torch.no_grad(), _lenient():
            return self._look(step)

    def _look(self, step: int) -> Look:
        images: list[Tensor] = []
        found: dict[str, list[Tensor]] = {}
        for captions, z, drawn in self._draw(list(enumerate(self.prompts))):
            images.append(drawn.cpu())
            for name, values in self._measure(z, drawn, captions).items():
                found.setdefault(name, []).append(values.float().cpu())
        values = {name: torch.cat(parts) for name, parts in found.items()}
        judged = self.held_out.scores(torch.cat(images), self.prompts)
        values |= {column(name): scores for name, scores in judged.items()}
        rewards = [column(name) for name in (*judged, *(part.name for part in self.followed.parts))]
        errors = {
            f"{name}{ERROR}": float(values[name].double().std()) / len(self.prompts) ** 0.5
            for name in ("proxy", *rewards)
            if name in values
        }
        means = {name: float(each.double().mean()) for name, each in values.items()}
        if self.config.repeated:
            means["pixel_diversity"] = self._diversity(torch.cat(images))
        proxy = values["proxy"].tolist() if "proxy" in values else []
        return Look(step, means | errors, proxy, {name: each.tolist() for name, each in judged.items()})

    def _diversity(self, images: Tensor) -> float:
        """How far apart pictures of one prompt are: those of the first prompts and some more of each."""
        again, count = self.config.repeats - 1, min(self.config.repeated, len(self.prompts))
        rows = [
            (len(self.prompts) + again * row + number, caption)
            for row, caption in enumerate(self.prompts[:count])
            for number in range(again)
        ]
        others = torch.cat([drawn.cpu() for _, _, drawn in self._draw(rows)])
        others = others.unflatten(0, (count, again))
        return float(pixel_diversity(torch.cat([images[:count, None], others], dim=1)).double().mean())

    def _draw(self, rows: Sequence[tuple[int, str]]) -> Iterator[tuple[Sequence[str], Tensor, Tensor]]:
        """Prompts, scaled latents and pictures, some at once; each number has its own noise."""
        vae, device = self.sampler.vae, self.sampler.solver.times.device
        for start in range(0, len(rows), DRAWN):
            part = rows[start : start + DRAWN]
            captions = [caption for _, caption in part]
            drawn = [torch.Generator().manual_seed(step_seed(self.config.seed, number)) for number, _ in part]

            def noise(drawn: Sequence[torch.Generator] = drawn) -> Tensor:
                each = [torch.randn(self.sampler.shape, generator=own) for own in drawn]
                return torch.stack(each).to(device)

            z = self.sampler.latents(self.network, captions, noise, self.config.steps, self.bf16)
            yield captions, z, torch.cat([pictures(vae, some) for some in z.split(DECODED)])

    def _measure(self, z: Tensor, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
        found = self._rewards(z, images, captions)
        found["high_frequency"] = spectrum.high_frequency(images)
        if min(images.shape[-2:]) >= spectrum.SMALLEST:
            found["spectral_slope"] = spectrum.spectral_slope(images)
        found["saturation"] = colour.saturation(images)
        found["contrast"] = colour.contrast(images)
        again = partial(reconstruct, self.sampler.vae)
        found["reconstruction"] = distance_to_reconstruction(images, again)
        return found

    def _rewards(self, z: Tensor, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
        """What the student follows, and how much of it hangs on what nobody sees."""
        followed = self.followed
        if not followed.parts:
            return {}
        scores = followed.scores(self.sampler.vae, z, images, captions)
        found = {"proxy": followed.proxy(scores)} | {column(name): each for name, each in scores.items()}
        if self.lrm:
            found["latent_reward"] = self.lrm(z, captions)
        if not (followed.sees and followed.robust):
            return found
        for name, antialias in (("proxy_antialiased", True), ("proxy_aliased", False)):
            if other := followed.seeing(antialias):
                found[name] = other.of_pictures(images, captions)
        for name, change in (("proxy_jpeg_drop", jpeg), ("proxy_shift_drop", shifted)):
            found[name] = drop(followed.of_pictures, images, captions, change)
        return found


@contextmanager
def _lenient() -> Iterator[None]:
    """Inside, what has no deterministic way on a GPU is no error: judges need not have one, only training."""
    asked = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(asked, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(asked, warn_only=warns)


def reconstruct(vae: Vae, images: Tensor) -> Tensor:
    """What the autoencoder makes of pictures in [0, 1]."""
    return torch.cat([_reconstructed(vae, part) for part in images.split(DECODED)])


def _reconstructed(vae: Vae, images: Tensor) -> Tensor:
    encoded = vae.model.encode((images * 2 - 1).to(vae.model.dtype))
    z = encoded.latent_dist.mode()  # pyright: ignore[reportAttributeAccessIssue]
    return pictures(vae, (z - vae.shift_factor) * vae.scaling_factor)
