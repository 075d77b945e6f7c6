"""The settings of the watch on reward hacking; importing this imports no torch."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.settings import LATENT, RewardConfig


class StopConfig(Config):
    """When a student is called over-optimised: `watch_rule.py` says it exactly."""

    patience: int = Field(default=2, ge=1)
    """In how many looks in a row the proxy must be up and the held-out rewards down before training ends."""
    tolerance: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """By how many standard errors the held-out rewards must be down to count as such."""


class WatchConfig(Config):
    """What is looked at while a student learns: whether the rewards that it does not follow rise too."""

    every: int | None = Field(default=None, ge=1)
    """Steps from one look to the next, beside the one at the end; null looks never."""
    prompts: int = Field(default=64, ge=2)
    """How many pictures are drawn for a look, a prompt each; the same ones with the same noise each time."""
    repeated: int = Field(default=4, ge=0)
    """Of how many of them, the first, more pictures are drawn to see how different one prompt's are."""
    repeats: int = Field(default=4, ge=2)
    """How many pictures each of these has."""
    path: str | None = None
    """A JSON list of prompts that no training has; by default, captions of what comes after the last step."""
    steps: int = Field(default=4, ge=1)
    """In how many steps they are drawn."""
    seed: int = Field(default=0, ge=0)
    """The seed of their noise."""
    rewards: list[str] = Field(default_factory=list)
    """Names among `rewards` that judge them; those that the student itself follows are left out."""
    keep: bool = True
    """Whether the held-out rewards' models stay in memory; otherwise each look loads one after the other."""
    reference: str | None = None
    """The folder of a finished LCM whose last look is told beside; by default where `lcm` stands."""
    stop: StopConfig | None = None
    """When to end a training that has gone too far, and to keep the best student; null never does."""

    def held_out(self, followed: Mapping[str, float]) -> list[str]:
        """The rewards that judge a student which follows `followed`."""
        return [name for name in dict.fromkeys(self.rewards) if name not in followed]

    @model_validator(mode="after")
    def _can_stop(self) -> "WatchConfig":
        if self.stop and self.every is None:
            raise ValueError("stop needs looks; set every to how many steps lie between them, or remove stop")
        if self.stop and not self.rewards:
            raise ValueError("stop needs rewards that the student does not follow; name some, or remove stop")
        return self


def check_watch(
    watch: WatchConfig, followed: Mapping[str, float], rewards: Mapping[str, RewardConfig]
) -> None:
    """Refuse held-out rewards that are not there or cannot judge pictures, and a stop without any."""
    if watch.every is None:
        return
    where = "distill.watch.rewards"
    held_out = watch.held_out(followed)
    for name in held_out:
        if name not in rewards:
            near = get_close_matches(name, rewards, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(rewards)}"
            raise ConfigError(f"{where}: there is no reward {name!r}; {hint}")
        if rewards[name].kind == LATENT:
            raise ConfigError(f"{where}: {name} looks at latents, and pictures are judged; remove it")
    if watch.stop and followed and not held_out:
        raise ConfigError(
            f"{where}: the student follows all of them ({', '.join(followed)}), so that nothing is left to "
            "say when it goes too far. Name another one, or remove distill.watch.stop."
        )
