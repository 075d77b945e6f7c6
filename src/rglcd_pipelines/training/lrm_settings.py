"""The settings of the latent reward model: its pretraining, and how it follows an expert."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.latent_reward.settings import TextConfig, TowerConfig
from rglcd_pipelines.latent_reward.zero_shot_settings import ZeroShotConfig
from rglcd_pipelines.training.settings import OptimizerConfig, TrainingConfig


class PretrainConfig(TrainingConfig):
    """How the latent tower learns what captions mean."""

    batch_size: int = Field(ge=2)
    """Latents of a step, of all GPUs together."""
    other_captions: int = Field(default=0, ge=0)
    """Captions beyond the batch's, of all that there are, from which each latent has to tell its own."""
    seed: int = Field(default=0, ge=0)
    """The seed of the weights and of the order of the latents."""
    channels_last: bool = False
    """Whether latents lie in memory with the channels last; faster for a ResNet."""


class LrmConfig(Config):
    """The latent reward model before any expert."""

    text: TextConfig
    """The pretrained CLIP whose text tower it has."""
    tower: TowerConfig
    """Its other tower, which is trained from scratch."""
    pretrain: PretrainConfig
    """How."""
    zero_shot: ZeroShotConfig
    """What it has to know in the end."""


class SettlesConfig(Config):
    """When the latent reward model stops to learn beside a student."""

    window: int = Field(ge=1)
    """Steps over which the expert's rewards are averaged."""
    tolerance: float = Field(gt=0)
    """If one window's average is that near to the last one's, it stays as it is from then on."""


class MatchingConfig(Config):
    """How the latent reward model follows its expert, beside a student that follows it."""

    optimizer: OptimizerConfig
    """AdamW, and how fast it goes."""
    batch_size: int = Field(ge=1)
    """How many samples of each step it learns from, of all GPUs together."""
    latent_blocks: int = Field(default=2, ge=0)
    """How many of the last blocks of its latent tower learn; nothing else in there does."""
    text_blocks: int = Field(default=5, ge=0)
    """How many of the last blocks of its text tower learn; nothing else in there does."""
    tau_lrm: float | None = Field(default=None, gt=0)
    """The temperature of its preferences; by default one over the scale that it was pretrained to."""
    tau_expert: float | None = Field(default=None, gt=0)
    """The expert's; by default one over its own scale, if it has one. A variant may say another one."""
    divergence: Literal["p_q", "q_p"] = "p_q"
    """D_KL(P || Q), as in the paper, or D_KL(Q || P), as in its published code; Q is the expert's."""
    only_prefers: bool = False
    """Whether all that counts of the expert is which of two samples it favours, however much."""
    real_bonus: float = Field(default=0.0, ge=0)
    """What is added to the expert's log odds for the real image, in both of its pairs."""
    settles: SettlesConfig | None = None
    """When it stops to learn; by default, when its student does."""
    resample: bool = False
    """Whether one that was pretrained on latents of another size is made to fit these."""

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if not self.latent_blocks + self.text_blocks:
            raise ValueError("latent_blocks and text_blocks are 0, so nothing learns; raise one")
        return self


def check_matching(matching: MatchingConfig, samples: int, processes: int, steps: int) -> None:
    """Refuse a batch that is no even share of a step's samples, and a warm-up beyond the student's steps."""
    if matching.optimizer.warmup_steps > steps:
        raise ConfigError(
            f"matching.optimizer.warmup_steps: is {matching.optimizer.warmup_steps}, more than distill.steps "
            f"= {steps}; lower it"
        )
    count = matching.batch_size
    if samples % count:
        raise ConfigError(
            f"matching.batch_size: is {count}, which does not divide the {samples} samples of a step; the "
            "latent reward model learns from an even share of them"
        )
    if count % processes:
        raise ConfigError(
            f"matching.batch_size: {count} samples cannot be shared by {processes} processes; make it a "
            f"multiple of {processes}"
        )


def check_pretraining(settings: PretrainConfig, processes: int) -> None:
    """Refuse a batch that the processes cannot share."""
    if settings.batch_size % processes:
        raise ConfigError(
            f"lrm.pretrain.batch_size: {settings.batch_size} latents cannot be shared by {processes} "
            f"processes; make it a multiple of {processes}"
        )
