"""What is measured of pictures: what judges say of them, and what over-optimisation does to them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.evaluation.scores.table import Measure
from rglcd_pipelines.evaluation.settings import VIESCORE
from rglcd_pipelines.measures.colour import brightness, contrast, saturation
from rglcd_pipelines.measures.reconstruction import distance_to_reconstruction
from rglcd_pipelines.measures.robustness import drop, jpeg, shifted
from rglcd_pipelines.measures.spectrum import high_frequency, high_frequency_share, spectral_slope
from rglcd_pipelines.rewards.judge.judge import JudgeReward
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.watch_look import reconstruct

ALIASED, ANTIALIASED = "aliased", "antialiased"
JPEG, SHIFT = "jpeg_drop", "shift_drop"

LOOKS: Mapping[str, tuple[Callable[[Tensor], Tensor], Measure]] = {
    "high_frequency": (
        high_frequency,
        Measure(
            "high-frequency energy",
            "reference",
            "Mean power of luma above a quarter of a cycle a pixel, of unresized pictures, ×1000.",
            "watch",
            scale=1e3,
        ),
    ),
    "high_frequency_share": (
        high_frequency_share,
        Measure(
            "high-frequency share",
            "reference",
            "That energy as a share of luma's variance, in percent.",
            "watch",
            scale=100,
            digits=1,
        ),
    ),
    "spectral_slope": (
        spectral_slope,
        Measure("spectral slope", "reference", "Log power against log frequency; noise is 0.", "watch"),
    ),
    "saturation": (
        saturation,
        Measure("saturation", "reference", "Mean chroma in CIELAB.", "watch", digits=1),
    ),
    "contrast": (
        contrast,
        Measure("contrast", "reference", "Standard deviation of lightness in CIELAB.", "watch", digits=1),
    ),
    "brightness": (
        brightness,
        Measure("brightness", "reference", "Mean lightness in CIELAB.", "watch", digits=1),
    ),
}
"""What takes hardly any time, and is measured of every picture."""

RECONSTRUCTION = Measure(
    "distance to reconstructions",
    "reference",
    "Root mean squared difference to what the autoencoder makes of the picture, ×1000.",
    "watch",
    scale=1e3,
    digits=1,
)


class Measurer:
    """Judges and an autoencoder on a device, and all that is measured with them."""

    def __init__(self, judges: Mapping[str, Reward], vae: Vae) -> None:
        self.judges, self.vae = judges, vae

    @torch.no_grad()
    def looks(self, images: Tensor) -> dict[str, Tensor]:
        """Of images [B, 3, H, W] in [0, 1], unresized."""
        return {name: look(images) for name, (look, _) in LOOKS.items()}

    @torch.no_grad()
    def judged(self, images: Tensor, captions: Sequence[str], watched: bool) -> dict[str, Tensor]:
        """What every judge says; if `watched`, also of the same pictures changed so that nobody sees it."""
        said: dict[str, Tensor] = {}
        for name, judge in self.judges.items():
            if isinstance(judge, JudgeReward):
                said |= _verdicts(name, judge, images, captions)
                continue
            if hasattr(judge, "explained"):
                said |= _explained(name, judge, images, captions)
                continue
            said[name] = judge.score(images, captions)
            if watched and can_see(judge):
                other, seen = other_resizing(judge)
                said[f"{name}_{other}"] = seen(images, captions)
                said[f"{name}_{JPEG}"] = drop(judge.score, images, captions, jpeg)
                said[f"{name}_{SHIFT}"] = drop(judge.score, images, captions, shifted)
        if watched:
            # Or else it would hang on what a judge in another thread does whether this rounds to TF32.
            with float32(images.device):
                again = partial(reconstruct, self.vae)
                said["reconstruction"] = distance_to_reconstruction(images, again)
        return said


def can_see(judge: Reward) -> bool:
    """Whether it shrinks pictures by itself, in a way that can be changed."""
    return hasattr(judge, "seen")


def other_resizing(judge: Any) -> tuple[str, Callable[[Tensor, Sequence[str]], Tensor]]:
    """The judge as it is not: without antialiasing where it has it, and the other way round."""
    usual = judge.seen
    name = ALIASED if usual.antialias else ANTIALIASED

    other = copy.copy(judge)  # other threads ask the judge itself
    other.seen = usual.model_copy(update={"antialias": not usual.antialias})
    return name, other.score


def _explained(name: str, judge: Any, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
    """The score and what it is made of, where the judge can tell: the miniature world's gold judge can."""
    score, terms = judge.explained(images, captions)
    return {name: score, **{f"{name}_{term}": value for term, value in terms.items()}}


def _verdicts(name: str, judge: JudgeReward, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
    """VIEScore: SC, PQ and O of each picture."""
    verdicts = judge.judge(images, captions)
    return {
        f"{name}_{part}": torch.tensor([float(getattr(verdict, part)) for verdict in verdicts])
        for part in VIESCORE
    }
