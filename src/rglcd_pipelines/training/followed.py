"""The rewards that a student follows, as they are asked while it learns and in the watch."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.decoder import unscaled
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.rewards.catalog import load_mix
from rglcd_pipelines.rewards.mix import Capped, Mix
from rglcd_pipelines.rewards.preprocess import PreprocessConfig
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.settings import LATENT
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.lrm import load_latent_reward
from rglcd_pipelines.training.matcher import Matcher

AT_ONCE = 16
"""Pictures that a reward model looks at together, where nothing learns from it."""


@dataclass(frozen=True)
class Part:
    """One of the rewards that a student follows."""

    name: str
    weight: float
    reward: Reward | LatentReward
    """Of pictures, or of latents as the autoencoder gives them."""


@dataclass(frozen=True)
class Followed:
    """All rewards that a student follows; none for plain LCD."""

    parts: Sequence[Part] = ()
    pixels: Reward | None = None
    """Those that look at pictures as one, or as it is if it is one alone."""
    robust: bool = True
    """Whether they may be asked of changed pictures too; who is paid by the answer is not."""

    @property
    def sees(self) -> bool:
        """Whether all of them look at pictures."""
        return bool(self.parts) and not any(isinstance(part.reward, LatentReward) for part in self.parts)

    def scores(self, vae: Vae, z: Tensor, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
        """[B] of each, by name: of scaled latents and the pictures that they are."""
        return {
            part.name: part.reward.score(unscaled(vae, z), captions)
            if isinstance(part.reward, LatentReward)
            else score(part.reward, images, captions)
            for part in self.parts
        }

    def proxy(self, scores: Mapping[str, Tensor]) -> Tensor:
        """[B]: their weighted sum."""
        return torch.stack([part.weight * scores[part.name].float() for part in self.parts]).sum(0)

    def of_pictures(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        """[B]: the same of pictures alone, where `sees`."""
        return self.proxy({part.name: score(part.reward, images, captions) for part in self.parts})

    def seeing(self, antialias: bool) -> "Followed | None":
        """The same, shrinking pictures with antialiasing or without; None where nobody shrinks any."""
        others = [seeing(part.reward, antialias) for part in self.parts]
        if all(other is None for other in others):
            return None
        pairs = zip(self.parts, others, strict=True)
        return Followed([Part(part.name, part.weight, other or part.reward) for part, other in pairs])


def followed_rewards(
    job: Job, reader: LatentReader, vae: Vae, matcher: Matcher | None, device: torch.device
) -> Followed:
    """The variant's; those of a student by way of a latent reward model are its expert's."""
    weights, catalog = job.chosen.rewards, job.guiding
    robust = not any(config.kind == "judge" for config in catalog.values())
    if matcher:
        reward = matcher.expert.reward
        return Followed(parts_of(weights, reward), reward, robust)
    latents = [
        Part(name, weight, load_latent_reward(name, catalog[name], reader, vae, device))
        for name, weight in weights.items()
        if catalog[name].kind == LATENT
    ]
    seen = {name: weight for name, weight in weights.items() if catalog[name].kind != LATENT}
    if not seen:
        return Followed(latents)
    pixels = load_mix(seen, catalog, device)
    return Followed([*latents, *parts_of(seen, pixels)], pixels, robust)


def parts_of(weights: Mapping[str, float], reward: Reward) -> list[Part]:
    """The rewards in what `load_mix` made of `weights`."""
    found = [inner for _, inner in reward.parts] if isinstance(reward, Mix) else [reward]
    return [Part(name, weights[name], inner) for name, inner in zip(weights, found, strict=True)]


def seeing(reward: Reward | LatentReward, antialias: bool) -> Reward | None:
    """The same model, shrinking pictures with antialiasing or without; None for who shrinks none."""
    if isinstance(reward, Capped):
        inner = seeing(reward.reward, antialias)
        return None if inner is None else Capped(inner, reward.cap)
    seen = getattr(reward, "seen", None)
    if not isinstance(seen, PreprocessConfig):
        return None
    other = copy.copy(reward)  # not deep: both are one model
    vars(other)["seen"] = seen.model_copy(update={"antialias": antialias})
    return other


@torch.no_grad()
def score(reward: Reward | LatentReward, images: Tensor, captions: Sequence[str]) -> Tensor:
    """[B], float32; models look at a few at once, and who is no model knows best how many to look at."""
    size = AT_ONCE if reward.differentiable else len(images)
    parts = [
        reward.score(images[at : at + size], captions[at : at + size]) for at in range(0, len(images), size)
    ]
    return torch.cat(parts).float()
