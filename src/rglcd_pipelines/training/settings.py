"""The settings of `trajectories` and `distill`; importing this imports no torch."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.training.watch_settings import WatchConfig


class DrawsConfig(Config):
    """What every variant of a student is asked, step by step; the teacher's answers depend on it."""

    seed: int = Field(default=0, ge=0)
    """The seed of the order of the latents, of noise, times and scales of guidance."""
    steps: int = Field(ge=1)
    """For how many steps the teacher's answers are computed."""
    batch_size: int = Field(ge=1)
    """Samples of a step, of all GPUs together."""
    grid: int = Field(default=50, ge=1)
    """Times of the solver's grid; it skips k = T / grid of the teacher's T at once."""
    omega_min: float = Field(default=5.0, ge=0)
    """The smallest scale of guidance; as diffusers counts, guidance_scale is omega + 1."""
    omega_max: float = Field(default=15.0, ge=0)
    """The largest one."""

    @model_validator(mode="after")
    def _omegas_are_a_range(self) -> "DrawsConfig":
        if self.omega_min > self.omega_max:
            raise ValueError(
                f"omega_min is {self.omega_min:g}, more than omega_max = {self.omega_max:g}; change one"
            )
        return self


class TrajectoriesConfig(Config):
    """How the teacher's answers are computed and kept."""

    draws: DrawsConfig
    """What is asked."""
    live: bool = False
    """Whether the teacher answers anew in every student's training, and nothing is kept on the disk."""
    dtype: Literal["float32", "float16"] = "float32"
    """What the answers are kept in; half of it rounds them where neighbours differ least."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """What the teacher computes in."""
    part: int = Field(default=64, ge=1)
    """Samples that the teacher answers at once."""


class VariantConfig(Config):
    """What makes one student different from another."""

    reward: str | dict[str, float] | None = None
    """A reward's name, or several names with a weight each; without one it is plain LCD."""
    beta: float = Field(default=0.0, ge=0, le=1000)
    """How much the reward counts beside the consistency loss (eq. 11)."""
    lrm: bool = False
    """Whether it follows the latent reward model, which follows the reward as its expert (Algorithm 4)."""
    tau_expert: float | None = Field(default=None, gt=0)
    """The temperature of the expert's preferences, where matching.tau_expert does not suit it."""
    real_bonus: float | None = Field(default=None, ge=0)
    """How much more the expert is said to like real images, in place of matching.real_bonus."""
    batch_size: int | None = Field(default=None, ge=1)
    """How many samples of each step it learns from; by default all that the teacher answered."""
    seed: int | None = Field(default=None, ge=0)
    """Of its draws, in place of trajectories.draws.seed: the teacher answers anew for it."""
    antialias: bool | None = None
    """Whether its rewards' pictures are shrunk with antialiasing, in place of what its rewards say."""

    @property
    def rewards(self) -> dict[str, float]:
        """The rewards by name, with their weights."""
        if self.reward is None:
            return {}
        return {self.reward: 1.0} if isinstance(self.reward, str) else dict(self.reward)

    @model_validator(mode="after")
    def _reward_and_beta_go_together(self) -> "VariantConfig":
        if self.rewards and not self.beta:
            raise ValueError("beta is 0, so the reward counts nothing; raise it, or remove reward")
        if self.beta and not self.rewards:
            raise ValueError(f"beta is {self.beta:g}, but there is no reward; name one, or remove beta")
        if self.lrm and not self.rewards:
            raise ValueError("lrm needs an expert that it follows; name one as reward, or remove lrm")
        if self.tau_expert and not self.lrm:
            raise ValueError("tau_expert means nothing without lrm; remove it, or set lrm to true")
        if self.real_bonus is not None and not self.lrm:
            raise ValueError("real_bonus means nothing without lrm; remove it, or set lrm to true")
        if self.antialias is not None and not self.rewards:
            raise ValueError("antialias means nothing without a reward; remove it, or name one")
        return self

    def told(self) -> dict[str, Any]:
        """What a student depends on; settings that came later only where somebody sets them."""
        later = {name for name in ("seed", "antialias", "real_bonus") if getattr(self, name) is None}
        return self.model_dump(exclude=later)


class OptimizerConfig(Config):
    """AdamW, and how fast it goes."""

    kind: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw8bit keeps its state in a quarter of the memory; it needs the package bitsandbytes and a GPU."""
    lr: float = Field(gt=0)
    """The learning rate."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps in which it rises from zero."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What comes after them: it stays, or falls to zero along half a cosine."""
    betas: list[float] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    """How much of AdamW's running means stays at each step."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay, of matrices alone."""
    clip: float = Field(default=1.0, gt=0)
    """The largest norm of the gradient."""


class LoraConfig(Config):
    """A student that is its teacher with small matrices beside the large ones."""

    rank: int = Field(default=64, ge=1)
    """The inner width of the small matrices."""
    alpha: float = Field(default=64.0, gt=0)
    """They count alpha / rank times."""


class CheckpointsConfig(Config):
    """What a killed run goes on from."""

    every: int = Field(default=100, ge=1)
    """Steps from one to the next."""
    keep: int = Field(default=2, ge=1)
    """How many stay."""


class SamplesConfig(Config):
    """Pictures that are drawn while a student learns."""

    every: int = Field(default=500, ge=1)
    """Steps from one sheet to the next."""
    prompts: list[str] = Field(min_length=1)
    """A row of the sheet each."""
    steps: list[int] = Field(default=[1, 2, 4, 8], min_length=1)
    """How many steps the sampler takes; a column each."""
    omega: float = Field(default=8.0, ge=0)
    """The scale of guidance; as diffusers counts, guidance_scale is omega + 1."""
    seed: int = Field(default=0, ge=0)
    """The seed of the noise."""


class TrainingConfig(Config):
    """What every training has, whatever learns in it."""

    steps: int = Field(ge=1)
    """Optimizer steps."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """What forward passes compute in; weights and losses are float32 in any case."""
    deterministic: bool = False
    """Whether a GPU computes the same bits each time, at some cost of speed."""
    processes: int = Field(default=1, ge=1)
    """Processes of this machine that share each step's batch, one per GPU."""
    report_every: int = Field(default=10, ge=1)
    """Steps from one point of the curves to the next; numbers are read from a GPU no more often."""
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    """What a killed run goes on from."""
    optimizer: OptimizerConfig
    """AdamW, and how fast it goes."""

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Self:
        if self.optimizer.warmup_steps > self.steps:
            raise ValueError(
                f"optimizer.warmup_steps is {self.optimizer.warmup_steps}, more than steps = {self.steps}; "
                "lower it"
            )
        return self


class DistillConfig(TrainingConfig):
    """How a student learns, whatever its reward."""

    lora: LoraConfig | None = None
    """Small matrices beside the teacher's large ones learn; by default, all of a copy of the teacher does."""
    mu: float = Field(default=0.95, ge=0, lt=1)
    """How much of the target network stays at each step."""
    distance: Literal["huber", "squared"] = "huber"
    """d of eq. 8: the pseudo-Huber distance, or the squared one."""
    accumulate: int = Field(default=1, ge=1)
    """In how many parts, one after the other, the gradient of a step is computed."""
    reward_part: int = Field(default=8, ge=1)
    """Images that are decoded and scored at once; memory depends on it, the gradient does not."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass, which needs less memory and more time."""
    channels_last: bool = False
    """Whether the UNet's images lie in memory with the channels last; faster on GPUs."""
    compile: bool = False
    """Whether torch.compile makes kernels for the UNet; its start takes minutes."""
    weights: Literal["online", "target"] = "target"
    """Which of both networks becomes the student that is saved."""
    saved_as: Literal["float32", "float16"] = "float32"
    """What its weights are saved in."""
    samples: SamplesConfig
    """Pictures that are drawn while it learns."""
    watch: WatchConfig = WatchConfig()
    """What is looked at while it learns: whether rewards that it does not follow rise too."""


def asked_for(chosen: VariantConfig, asked: TrajectoriesConfig) -> TrajectoriesConfig:
    """What the teacher is asked for a variant, which may have a seed of its own."""
    if chosen.seed is None:
        return asked
    return asked.model_copy(update={"draws": asked.draws.model_copy(update={"seed": chosen.seed})})


def choose(variant: str, variants: Mapping[str, VariantConfig]) -> VariantConfig:
    """The variant of that name."""
    if variant in variants:
        return variants[variant]
    near = get_close_matches(variant, variants, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(variants)}"
    raise ConfigError(f"variant: there is no variant {variant!r}; {hint}")


def samples_of_a_step(
    settings: DistillConfig, chosen: VariantConfig, asked: TrajectoriesConfig, processes: int
) -> int:
    """How many samples of each step a variant learns from, once all settings are known to fit together."""
    count, answered = chosen.batch_size or asked.draws.batch_size, asked.draws.batch_size
    if count > answered:
        raise ConfigError(
            f"variants: batch_size is {count}, but the teacher answers trajectories.draws.batch_size = "
            f"{answered} samples a step; lower the one or raise the other"
        )
    if settings.steps > asked.draws.steps and not asked.live:
        raise ConfigError(
            f"distill.steps is {settings.steps}, but the teacher answers trajectories.draws.steps = "
            f"{asked.draws.steps} steps; lower the one, raise the other, or set trajectories.live"
        )
    parts = processes * settings.accumulate
    if count % parts:
        raise ConfigError(
            f"distill: {count} samples a step cannot be shared by {processes} processes with accumulate = "
            f"{settings.accumulate}; make the batch a multiple of {parts}"
        )
    return count
