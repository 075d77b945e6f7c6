"""Which caption belongs to a picture: what a small ImageReward learns before it learns what is preferred.

BLIP's recipe, whose weights the original starts from: both towers apart find each other's embeddings in the
batch, and the towers joined tell a picture's caption from ones that are nearly right. From the second alone
nothing was learnt in the time that there is.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.rewards.image_reward import ImageRewardModel
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.preferences.split import MATCHING
from rglcd_pipelines.world.preferences.wrong import wrong_scene

EMBEDDING = 128
"""Dimensions of the space in which both towers meet."""


@dataclass(frozen=True)
class Captioned:
    """Renders, and their captions followed by as many that are wrong."""

    pixels: Tensor
    """[B, 3, S, S], preprocessed."""
    ids: Tensor
    """[2 B, T]."""
    mask: Tensor
    """[2 B, T]: which tokens are text."""

    def to(self, device: torch.device) -> "Captioned":
        return Captioned(*(part.to(device) for part in (self.pixels, self.ids, self.mask)))


def draw_captioned(step: int, count: int, resolution: int, texts: Texts, seen: PreprocessConfig) -> Captioned:
    """Renders that no preference pair shows, their captions, and captions that differ in a word or a few."""
    batch = draw_batch("preferences", MATCHING + step, count, resolution)
    generator = np.random.Generator(np.random.PCG64([MATCHING, step]))
    wrong = [wrong_scene(scene, generator, held_out=False).caption for scene in batch.scenes]
    return Captioned(preprocess(unit(batch.images), seen), *texts.ids([*batch.captions, *wrong]))


class Matching(nn.Module):
    """The model, with the projections that only this phase needs."""

    def __init__(self, model: ImageRewardModel) -> None:
        super().__init__()
        self.model = model
        self.image_projection = nn.Linear(model.config.vision.width, EMBEDDING)
        self.text_projection = nn.Linear(model.config.text.width, EMBEDDING)
        self.logit_scale = nn.Parameter(torch.tensor(2.66))

    def loss(self, batch: Captioned) -> dict[str, Tensor]:
        count = len(batch.pixels)
        looked = self.model.look(batch.pixels)
        apart = self.model.text(input_ids=batch.ids[:count], attention_mask=batch.mask[:count])
        images = F.normalize(self.image_projection(looked[:, 0]).float(), dim=-1)
        texts = F.normalize(self.text_projection(apart.last_hidden_state[:, 0]).float(), dim=-1)
        logits = self.logit_scale.exp().clamp(max=100) * images @ texts.T
        own = torch.arange(count, device=logits.device)
        contrast = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        right, wrong = self.model.read(looked.repeat(2, 1, 1), batch.ids, batch.mask).chunk(2)
        match = -F.logsigmoid(right - wrong).mean()
        return {
            "loss": contrast + match,
            "found": (logits.argmax(1) == own).float().mean(),
            "matched": (right > wrong).float().mean(),
        }
