"""The latent reward model as it follows its expert, beside the student that follows it (Algorithm 4)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rglcd_pipelines.diffusion.decoder import unscaled
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.preferences import (
    agreement,
    favoured,
    gap,
    log_odds,
    matching_loss,
    towards_real,
)
from rglcd_pipelines.rewards.precision import float32, tensor_cores
from rglcd_pipelines.training.batches import StepBatch
from rglcd_pipelines.training.expert import Expert
from rglcd_pipelines.training.lrm_settings import MatchingConfig
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.settle import Settle
from rglcd_pipelines.training.update import Update, Watch

LRM, OPTIMIZER, SETTLE = "lrm", "lrm_optimizer", "lrm_settle"
"""The files of a checkpoint that hold it."""


class Matcher:
    """sigma, its optimizer, and the expert that it is to agree with."""

    terms: Sequence[str] = ("matching", "matching_gradient")
    """What must be numbers, in the order in which it is computed."""
    columns: Sequence[str] = ("matching", "agreement", "correlation", "gap", "expert", "matching_gradient")

    def __init__(
        self,
        model: LatentClip,
        expert: Expert,
        tau_expert: float,
        config: MatchingConfig,
        steps: int,
        rows: slice,
        ranks: Ranks,
    ) -> None:
        self.model, self.expert, self.config, self.ranks = model, expert, config, ranks
        self.tau_lrm = config.tau_lrm or model.temperature
        self.tau_expert = tau_expert
        self.trained = model.train_last(config.latent_blocks, config.text_blocks)
        self.update = Update(self.trained, config.optimizer, steps)
        self.settle = Settle(config.settles, ranks.device)
        self.rows = rows
        """Which of this process's samples it learns from."""

    def step(
        self, step: int, batch: StepBatch, online: Tensor, target: Tensor, watch: Watch
    ) -> dict[str, Tensor]:
        """One step towards the expert's preferences among z0, z1 and z2 (eq. 12)."""
        chosen = batch.rows(self.rows)
        latents = (chosen.z0, online[self.rows], target[self.rows])
        rewards = self._asked(chosen, latents)
        q = self._expert_odds(rewards)
        p = self.odds(latents, chosen.captions, self.model)
        loss = matching_loss(p, q, self.config.divergence)
        figures = {
            "matching": loss.detach(),
            "agreement": agreement(p.detach(), q),
            "correlation": self._correlation(p.detach(), q),
            "gap": gap(p.detach(), q),
            "expert": rewards[1].mean(),
        }
        still = self.settle.see(step, figures["expert"], self.ranks)
        loss.backward()
        self.ranks.average([weight.grad for weight in self.trained if weight.grad is not None])
        self.ranks.average(list(figures.values()))
        figures["matching_gradient"] = self.update.clip()
        self.update.step(step, torch.maximum(watch.see(step, figures), still))
        return figures

    def odds(self, latents: Sequence[Tensor], captions: Sequence[str], model: LatentClip) -> Tensor:
        """log P_ij(i) / P_ij(j) [3, B] of a `model`, which reads the texts once for all three latents."""
        with float32(latents[0].device), tensor_cores(latents[0].device):
            texts = model.embed_captions(captions)
            rows = model.embed_latents(unscaled(self.expert.vae, torch.cat(list(latents))))
            rewards = (rows.view(len(latents), len(texts), -1) * texts).sum(-1)
        return log_odds(rewards, self.tau_lrm)

    def expert_odds(self, batch: StepBatch, latents: Sequence[Tensor]) -> Tensor:
        """log Q_ij(i) / Q_ij(j) [3, B]."""
        return self._expert_odds(self._asked(batch, latents))

    def _asked(self, batch: StepBatch, latents: Sequence[Tensor]) -> Tensor:
        real = self.expert.score_real(latents[0], batch.captions, batch.indices)
        drawn = self.expert.score(torch.cat(list(latents[1:])), [*batch.captions, *batch.captions])
        return torch.stack([real, *drawn.chunk(2)])

    def _expert_odds(self, rewards: Tensor) -> Tensor:
        odds = favoured if self.config.only_prefers else log_odds
        return towards_real(odds(rewards, self.tau_expert), self.config.real_bonus)

    def _correlation(self, p: Tensor, q: Tensor) -> Tensor:
        """That of all processes' pairs, which is not the mean of what each would count by itself."""
        means = torch.stack([p.mean(), q.mean()])
        self.ranks.average([means])
        p, q = p - means[0], q - means[1]
        products = torch.stack([(p * q).mean(), p.square().mean(), q.square().mean()])
        self.ranks.average([products])
        return products[0] / (products[1] * products[2]).sqrt().clamp_min(1e-12)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        weights = {str(number): weight.detach() for number, weight in enumerate(self.trained)}
        return {LRM: weights, OPTIMIZER: self.update.tensors(), SETTLE: self.settle.tensors()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        found = tensors.get(LRM, {})
        for number, weight in enumerate(self.trained):
            if str(number) not in found or found[str(number)].shape != weight.shape:
                raise DataError("the checkpoint is of another student (its latent reward model). Remove it.")
            weight.copy_(found[str(number)])
        self.update.load(tensors[OPTIMIZER])
        self.settle.load(tensors[SETTLE])
