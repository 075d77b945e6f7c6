"""A latent reward model that has learnt beside a student: what there is to say about it, and its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rglcd_pipelines.latent_reward.captions import text_identity
from rglcd_pipelines.latent_reward.folder import load, save
from rglcd_pipelines.latent_reward.preferences import agreement, correlation, gap
from rglcd_pipelines.training.batches import StepBatch, StepBatches
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.objective import ask, pair_of
from rglcd_pipelines.training.step import Loss

MEASURES = {"agreement": agreement, "correlation": correlation, "gap": gap}
FRESH = 256
"""Samples whose pairs tell in the end how well model and expert agree."""


@dataclass(frozen=True)
class MatchedLrm:
    """The model that has learnt beside a student, and what there is to say about it."""

    job: Job
    matcher: Matcher
    loss: Loss
    batches: StepBatches
    samples: int

    def save(self, folder: Path) -> None:
        """As a latent reward model that can be loaded by name."""
        told = self.job.lrm
        assert told is not None
        folder.mkdir()
        save(self.matcher.model, self.matcher.expert.vae.digest, text_identity(told.text), folder)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """How well it agrees with its expert on fresh pairs, and how well it did before it learnt."""
        told = self.job.lrm
        assert told is not None
        device = self.matcher.ranks.device
        before = load(Path(told.folder), self.batches.shape[1])[0].suit(device)
        after = self.matcher.model
        fresh = self._fresh()
        q = torch.cat([self.matcher.expert_odds(batch, latents) for batch, latents in fresh], 1)
        found: dict[str, float] = {}
        for when, model in (("before", before), ("after", after)):
            odds = [self.matcher.odds(latents, batch.captions, model) for batch, latents in fresh]
            p = torch.cat(odds, 1)
            for name, measure in MEASURES.items():
                found[f"{name}_{when}"] = round(float(measure(p, q)), 4)
        return found

    def _fresh(self) -> "Sequence[tuple[StepBatch, tuple[Tensor, Tensor, Tensor]]]":
        """Samples of steps that nobody learnt from.

        The teacher did not answer those, so that the earlier neighbour is the same noise less far in.
        """
        loss, found = self.loss, []
        schedule, device = loss.solver.schedule, self.matcher.ranks.device
        first = self.job.settings.steps
        for step in range(first, first + -(-FRESH // self.samples)):
            batch = (
                self.batches.batch(step).rows(slice(0, self.samples)).map(lambda tensor: tensor.to(device))
            )
            early_t = loss.solver.earlier[batch.draws.index]
            early = schedule.noisy(batch.z0, batch.draws.noise, early_t)
            said = loss.conditioner.say(batch.captions)
            answers = ask(
                loss.student.online, loss.student.target, schedule, pair_of(loss.solver, batch, early), said
            )
            found.append((batch, (batch.z0, answers.online, answers.target)))
        return found
