"""Training one member of the judge's ensemble, on renders that no other learner and no other member sees."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.config import Config
from rglcd_pipelines.training.fit import FitConfig, Task, fit, pick_device
from rglcd_pipelines.world.batches import draw_batch, labels, unit
from rglcd_pipelines.world.judge.classifier import GROUPS, Classifier
from rglcd_pipelines.world.judge.degrade import degrade
from rglcd_pipelines.world.vocabulary import ATTRIBUTES

Drawn = tuple[Tensor, dict[str, Tensor]]

NOUN_WEIGHT = 2.0
"""What the loss of nouns counts, beside one for every other attribute: they are the hardest to learn."""


class JudgeConfig(Config):
    """The judge's ensemble and how its members learn."""

    members: int = Field(default=3, ge=1)
    """Classifiers whose probabilities are averaged; each has its own weights and renders."""
    width: int = Field(default=32, ge=GROUPS, multiple_of=GROUPS)
    """Channels of a classifier's first convolution; each halving of the image doubles them."""
    smoothing: float = Field(default=0.01, ge=0, lt=1)
    """The share of certainty that labels give away, so that probabilities say how sure a member may be."""
    measured: int = Field(default=2_048, ge=1)
    """How many held-out renders the figures of the finished judge come from."""
    fit: FitConfig
    """How long and how fast a member learns."""


def train_member(config: JudgeConfig, index: int, resolution: int, folder: Path) -> tuple[Classifier, float]:
    """One trained classifier, and the seconds that it took; `folder` holds what a killed run had learnt."""
    device = pick_device()
    settings = config.fit.model_copy(update={"seed": config.fit.seed * config.members + index})
    torch.manual_seed(settings.seed)
    model = Classifier(config.width).to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def draw(step: int) -> Drawn:
        return draw_mixed(index * settings.steps + step, settings.batch_size, resolution)

    def loss(drawn: Drawn) -> dict[str, Tensor]:
        images, truth = drawn
        with torch.autocast(device.type, enabled=False):
            worse = degrade(unit(images.to(device)))
        return losses(
            model(worse), {name: value.to(device) for name, value in truth.items()}, config.smoothing
        )

    seconds = fit(Task(f"judge {index + 1} of {config.members}", model, draw, loss), settings, folder)
    return model, seconds


def draw_mixed(block: int, count: int, resolution: int) -> Drawn:
    """Renders of every combination of noun and colour alike: a ninth of them are held out from all others."""
    ninth = round(count / 9)
    parts = [draw_batch("judge", block, count - ninth, resolution)]
    if ninth:
        parts.append(draw_batch("judge", block, ninth, resolution, held_out=True))
    scenes = [scene for part in parts for scene in part.scenes]
    return torch.cat([part.images for part in parts]), labels(scenes)


def losses(logits: dict[str, Tensor], truth: dict[str, Tensor], smoothing: float) -> dict[str, Tensor]:
    """Cross entropy of every attribute, and their weighted sum."""
    terms = {
        name: F.cross_entropy(logits[name], truth[name], label_smoothing=smoothing) for name in ATTRIBUTES
    }
    total = torch.stack(list(terms.values())).sum() + (NOUN_WEIGHT - 1) * terms["noun"]
    return {"loss": total, **terms}
