"""How a reward model learns from preference pairs: the originals' losses, and what is set around them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.rewards.clip import embed_images, embed_texts
from rglcd_pipelines.rewards.image_reward import ImageRewardModel
from rglcd_pipelines.world.preferences.batches import PairBatch, PairBatches

if TYPE_CHECKING:
    from transformers import CLIPModel

CALIBRATED = 1_024
"""How many pairs a CLIP's scale is set by."""

MEASURED = 4_096
"""The most pictures whose scores give the small ImageReward's mean and deviation."""


def thaw(model: "CLIPModel", frozen_blocks: int) -> None:
    """All weights learn but those of each tower's first blocks and of what comes before them."""
    model.requires_grad_(True)
    if not frozen_blocks:
        return
    for tower in (model.text_model, model.vision_model):
        tower.embeddings.requires_grad_(False)
        for block in tower.encoder.layers[:frozen_blocks]:
            block.requires_grad_(False)


@torch.no_grad()
def calibrate(model: "CLIPModel", batches: PairBatches) -> None:
    """Set the scale with which the CLIP's own cosines foretell best what is preferred.

    It is far too sure for noisy labels, having learnt from captions that are always right; left so, it would
    first unlearn what it knows until its cosines are small enough.
    """
    device = next(model.parameters()).device
    ahead: list[Tensor] = []
    for step in range(-(-CALIBRATED // batches.batch_size)):
        batch = batches.draw(step).to(device)
        images = embed_images(model, batch.pixels.flatten(0, 1)).unflatten(0, (-1, 2))
        cosines = (images * embed_texts(model, batch.ids)[:, None]).sum(-1)
        ahead.append((cosines[:, 0] - cosines[:, 1]) * torch.where(batch.first, 1, -1))
    scales = torch.logspace(0, 2, 81, device=device)
    losses = -F.logsigmoid(scales[:, None] * torch.cat(ahead)).mean(1)
    model.logit_scale.copy_(scales[losses.argmin()].log())


def clip_loss(model: "CLIPModel", batch: PairBatch) -> dict[str, Tensor]:
    """HPSv2's: of two pictures, the caption is nearer to the one that is preferred."""
    texts = embed_texts(model, batch.ids)
    images = embed_images(model, batch.pixels.flatten(0, 1)).unflatten(0, (-1, 2))
    logits = model.logit_scale.exp().clamp(max=100) * (images * texts[:, None]).sum(-1)
    preferred = (~batch.first).long()
    loss = F.cross_entropy(logits, preferred)
    return {"loss": loss, "right": (logits.argmax(1) == preferred).float().mean()}


def image_reward_loss(model: ImageRewardModel, batch: PairBatch) -> dict[str, Tensor]:
    """ImageReward's: -log sigmoid(r_w - r_l) of the preferred picture's score and the other's."""
    ids, mask = (part.repeat_interleave(2, 0) for part in (batch.ids, batch.mask))
    scores = model(batch.pixels.flatten(0, 1), ids, mask).unflatten(0, (-1, 2))
    ahead = torch.where(batch.first, scores[:, 0] - scores[:, 1], scores[:, 1] - scores[:, 0])
    return {"loss": -F.logsigmoid(ahead).mean(), "right": (ahead > 0).float().mean()}


@torch.no_grad()
def standardise(model: ImageRewardModel, batches: PairBatches) -> None:
    """Set the mean and deviation with which scores of the pairs' pictures are about N(0, 1)."""
    device = next(model.parameters()).device
    scores: list[Tensor] = []
    for step in range(-(-min(MEASURED, len(batches.pairs.captions)) // batches.batch_size)):
        batch = batches.draw(step).to(device)
        scores.append(model(batch.pixels[:, step % 2], batch.ids, batch.mask))
    raw = torch.cat(scores)
    told = {"mean": round(float(raw.mean()), 5), "std": round(float(raw.std()), 5)}
    model.config = model.config.model_copy(update=told)
