"""What the latent reward model's benchmark measures against, in words of our own."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.decoder import unscaled
from rglcd_pipelines.latent_reward.captions import Captions
from rglcd_pipelines.latent_reward.preferences import agreement, gap, log_odds, matching_loss
from rglcd_pipelines.latent_reward.text import TextTower
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.training.batches import StepBatch
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.update import Update, Watch


class PaddedTexts(Texts):
    """Fills captions up to the whole context, as open_clip does; ours are as long as the batch's longest."""

    def __init__(self, texts: Texts) -> None:
        super().__init__(texts.name, texts.tokenizer, texts.length, texts.clean)

    def ids(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        ids, mask = super().ids(captions)
        missing = (0, self.length - ids.shape[1])
        return F.pad(ids, missing, value=int(self.tokenizer.pad_token_id)), F.pad(mask, missing)  # pyright: ignore[reportArgumentType]


class AskedCaptions(Captions):
    """Embeddings of the batch's captions from the text tower itself, every step anew.

    So open_clip trains with a locked text tower, without a gradient and in the autocast of the step. Captions
    of other latents come from the file: nobody would read 16,384 of them in a step.
    """

    def __init__(
        self, artifact: Artifact, reader: LatentReader, tower: TextTower, batch: int, bf16: bool
    ) -> None:
        super().__init__(artifact)
        self.reader, self.tower, self.batch, self.bf16 = reader, tower, batch, bf16

    @torch.no_grad()
    def rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        if len(indices) != self.batch:
            return super().rows(indices)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.tower(self.reader.batch(indices).captions).numpy()


class PublishedMatcher(Matcher):
    """A step of the latent reward model as the paper's published code takes it.

    What differs from ours, and why it costs:
    - All of the step's samples, by default there as many as the student has, where ours takes some of them.
    - Nothing is kept, so that the expert decodes and scores the real images' latents every time.
    - Latents and captions are tripled and go through the model side by side, so that it reads each text three
      times, with its history, beside the time that the student's reward has read it.
    - All weights want a gradient: the freezing of all but the last blocks is undone in each step. So the
      backward pass goes through all of both towers, and the optimizer moves all of them.

    What is as in ours, though not there: the model's precision and the length of its texts, as long as it is
    not `AsIsMatcher`; no permutation of the samples; batch norms stay as they are; the loss that our settings
    say.
    """

    half = False

    def __init__(self, *arguments: Any) -> None:
        """As a `Matcher`."""
        super().__init__(*arguments)
        self.trained = list(self.model.parameters())
        self.update = Update(self.trained, self.config.optimizer, self.update.steps)
        self.model.requires_grad_(False)  # while the student asks it

    def step(
        self, step: int, batch: StepBatch, online: Tensor, target: Tensor, watch: Watch
    ) -> dict[str, Tensor]:
        self.model.requires_grad_(True)
        chosen = batch.rows(self.rows)
        captions = [*chosen.captions, *chosen.captions, *chosen.captions]
        latents = torch.cat([chosen.z0, online[self.rows], target[self.rows]])
        rewards = self.expert.score(latents, captions).view(3, -1)
        with torch.autocast("cpu", torch.bfloat16) if self.half else float32(latents.device):
            said = self.model.score(unscaled(self.expert.vae, latents), captions).view(3, -1)
        p, q = log_odds(said, self.tau_lrm), log_odds(rewards, self.tau_expert)
        loss = matching_loss(p, q, self.config.divergence)
        figures = {
            "matching": loss.detach(),
            "agreement": agreement(p.detach(), q),
            "gap": gap(p.detach(), q),
            "expert": rewards[1].mean(),
        }
        loss.backward()
        figures["matching_gradient"] = self.update.clip()
        self.update.step(step, watch.see(step, figures))
        self.model.requires_grad_(False)
        return figures


class AsIsMatcher(PublishedMatcher):
    """And with what has nothing to do with the scheme.

    Its model learns in half precision, which is faster, and rounds what it is to tell apart. All texts are as
    long as the context, the expert's too and the one for the student's reward, which is slower.
    """

    half = True

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.model.text.texts = PaddedTexts(self.model.text.texts)
        reward: Any = copy.copy(self.expert.reward)
        reward.texts = PaddedTexts(reward.texts)
        self.expert.reward = reward
