"""Everything that a training needs to know, in one file: resolved.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from rglcd_pipelines.artifacts import digest_json, write_json
from rglcd_pipelines.config import Config, check
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.vae import VaeConfig
from rglcd_pipelines.errors import ConfigError, DataError, first_line
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.rewards.identity import rewards_identity
from rglcd_pipelines.rewards.settings import LATENT, SEEING, RewardConfig
from rglcd_pipelines.training.lrm_settings import MatchingConfig
from rglcd_pipelines.training.settings import DistillConfig, TrajectoriesConfig, VariantConfig
from rglcd_pipelines.training.watch_prompts import prompts_identity

FORMAT: Literal[1] = 1

OF_NO_CONSEQUENCE = {
    # settings of a training that change its speed, or what is seen of it, but not the student
    "processes": True,
    "reward_part": True,
    "gradient_checkpointing": True,
    "channels_last": True,
    "compile": True,
    "report_every": True,
    "checkpoints": True,
    "samples": True,
    "watch": True,  # what may stop a training is told besides
}


class JobFile(Config):
    """What is trained, from what, and where: parameters, resolved."""

    def write(self, file: Path) -> None:
        """As JSON that `read` takes."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, self.model_dump())

    @classmethod
    def read(cls, file: Path) -> Self:
        return check(cls, read_json(file), str(file))


def read_json(file: Path) -> Any:
    """What a job's file says, whatever it is for."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}: cannot be read ({first_line(error)}). Write it with: "
            "kedro run --pipeline=distill --to-nodes=VARIANT.resolve, or for a latent reward model "
            "kedro run --pipeline=lrm --to-nodes=resolve_lrm"
        ) from None


class LrmInJob(Config):
    """The latent reward model of a student that follows one, and how it follows the reward itself."""

    folder: str
    """Where it stands, as pretrained."""
    text: TextConfig
    """The text tower that it must have been pretrained with."""
    matching: MatchingConfig
    """How it learns beside the student."""
    real_rewards: str
    """The folder where the expert's rewards of real images are kept."""


def antialiased(chosen: VariantConfig, rewards: Mapping[str, RewardConfig]) -> dict[str, RewardConfig]:
    """A variant's rewards, with the antialiasing that it asks for where they shrink pictures."""
    found = {name: rewards[name] for name in chosen.rewards if name in rewards}
    if chosen.antialias is None:
        return found
    shrink = [name for name, config in found.items() if config.kind in SEEING]
    if not shrink:
        raise ConfigError(
            f"variants: antialias means nothing for a variant whose reward ({', '.join(found)}) shrinks no "
            "pictures; remove it"
        )
    changed = {name: found[name].model_copy(update={"antialias": chosen.antialias}) for name in shrink}
    return found | changed


class Job(JobFile):
    """A student to be trained; parameters of `distill`, `variants`, `rewards` and what they build on."""

    kind: Literal["student"] = "student"
    """What is trained."""
    variant: str
    """The student's name."""
    chosen: VariantConfig
    """What makes it different from another."""
    settings: DistillConfig
    """How it learns."""
    rewards: dict[str, RewardConfig]
    """Where the rewards that it asks for are."""
    teacher: TeacherConfig
    """What it is distilled from."""
    vae: VaeConfig
    """From its latents to pictures."""
    asked: TrajectoriesConfig
    """What the teacher is asked."""
    latents: str
    """The folder with the latents of real images."""
    answers: str
    """The folder with the teacher's answers."""
    place: str
    """Where the student will stand."""
    lrm: LrmInJob | None = None
    """The latent reward model that it follows, if it does."""

    @model_validator(mode="after")
    def _has_what_it_follows(self) -> Self:
        if self.chosen.lrm != (self.lrm is not None):
            raise ValueError("chosen.lrm and lrm do not agree; write the file again, with kedro run")
        if self.chosen.seed not in (None, self.asked.draws.seed):
            raise ValueError(
                "chosen.seed and asked.draws.seed do not agree; write the file again, with kedro run"
            )
        return self

    @property
    def guiding(self) -> dict[str, RewardConfig]:
        """The rewards as the student follows them: with the antialiasing that the variant asks for."""
        return antialiased(self.chosen, self.rewards)

    @property
    def real_bonus(self) -> float:
        """How much more its expert is said to like real images; nothing without a latent reward model."""
        if self.lrm is None:
            return 0.0
        own = self.chosen.real_bonus
        return self.lrm.matching.real_bonus if own is None else own

    @property
    def held_out(self) -> list[str]:
        """The rewards that judge the student while it learns, if anybody does."""
        watch = self.settings.watch
        return [] if watch.every is None else watch.held_out(self.chosen.rewards)

    @property
    def can_end(self) -> bool:
        """Whether the watch may end the training, which takes a reward that the student follows."""
        return self.settings.watch.stop is not None and bool(self.chosen.rewards)

    def made_from(self, latents: str, answers: str, identities: dict[str, Any]) -> dict[str, Any]:
        """What the student depends on; the inputs by their digests, so that places do not matter."""
        return {
            "format": FORMAT,
            "variant": self.chosen.told(),
            "settings": self.settings.model_dump(exclude=OF_NO_CONSEQUENCE),
            **({"matching": self.lrm.matching.model_dump()} if self.lrm else {}),
            **({"watch": self.watch_told()} if self.can_end else {}),
            "inputs": {"latents": latents, "answers": answers, **identities},
        }

    def watch_told(self) -> dict[str, Any]:
        """What a look at the student depends on, and when it ends the training."""
        watch = self.settings.watch
        told_apart = {"path", "prompts", "rewards"}
        none_of_the_rule = {"repeated", "repeats", "keep", "reference"}
        return {
            **watch.model_dump(exclude=told_apart | none_of_the_rule),
            **prompts_identity(watch),
            "omega": self.settings.samples.omega,
            "rewards": rewards_identity(dict.fromkeys(self.held_out, 1.0), self.rewards),
        }

    def expert_digest(self, latents: str, vae: str) -> str:
        """Names what an expert says of real images: who it is, and what it looks at."""
        experts = rewards_identity(self.chosen.rewards, self.guiding)
        told = {"weights": self.chosen.rewards, "rewards": experts, "precision": self.settings.precision}
        return digest_json({**told, "latents": latents, "vae": vae})

    def facts(self) -> dict[str, str]:
        """What tells this student from others at a glance."""
        rewards = self.chosen.rewards.items()
        weighted = [f"{weight:g}*{name}" if weight != 1 else name for name, weight in rewards]
        return {
            "variant": self.variant,
            "reward": " + ".join(weighted) or "none",
            "beta": f"{self.chosen.beta:g}",
            "lrm": self._lrm_told(),
            "teacher": self.teacher.id,
        }

    def _lrm_told(self) -> str:
        """Whether there is a latent reward model, and whether it learns."""
        frozen = any(self.rewards[name].kind == LATENT for name in self.chosen.rewards)
        return "matched" if self.lrm else "frozen" if frozen else "none"
