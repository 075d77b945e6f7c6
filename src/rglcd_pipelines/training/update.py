"""The optimizer's step, which a number that is none stops before it changes a weight."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rglcd_pipelines.errors import ConfigError, RglcdError
from rglcd_pipelines.training.settings import OptimizerConfig

NEVER = 2**62


@dataclass(frozen=True)
class Advice:
    """What somebody is told whose training came to a number that is none."""

    stage: str
    """Which one it is."""
    words: Mapping[str, str]
    """What each term is; a term that is not here is called by its name."""
    cure: str
    """What may help."""


class Watch:
    """At which step each term first was no number; kept on the device, so that nobody waits for it."""

    def __init__(self, terms: Sequence[str], device: torch.device, advice: Advice) -> None:
        """`terms` in the order in which a step computes them: the first bad one is the cause."""
        self.terms, self.advice = list(terms), advice
        self.first = torch.full((len(self.terms),), NEVER, dtype=torch.int64, device=device)

    def see(self, step: int, terms: Mapping[str, Tensor]) -> Tensor:
        """Whether any term was bad in this step or before, as 1.0 or 0.0 on the device.

        A term that is not among `terms` comes later in the step.
        """
        good = torch.zeros((), device=self.first.device)
        values = torch.stack([terms.get(name, good).detach().float() for name in self.terms])
        now = torch.where(values.isfinite(), NEVER, step)
        self.first = torch.minimum(self.first, now)
        return (self.first < NEVER).any().float()

    def check(self, resume: str) -> None:
        """Wait for the device, and end the run if a term was bad; `resume` says what is kept."""
        first = self.first.tolist()
        step = min(first)
        if step == NEVER:
            return
        term = self.terms[first.index(step)]
        told = self.advice.words.get(term, term)
        raise RglcdError(
            f"{self.advice.stage}: {told} is no finite number at step {step + 1}. No weight was changed by "
            f"it; {resume}. {self.advice.cure}"
        )


class Update:
    """AdamW on the weights that learn."""

    def __init__(self, trained: Sequence[Tensor], config: OptimizerConfig, steps: int) -> None:
        """`steps` are all that there will be."""
        self.trained, self.config, self.steps = list(trained), config, steps
        self.optimizer = _optimizer(self.trained, config)

    def lr(self, step: int) -> float:
        """Of the step after `step` are done: it rises, and then stays or falls along a cosine."""
        warm = min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        if self.config.schedule == "constant":
            return self.config.lr * warm
        return self.config.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def clip(self) -> Tensor:
        """The norm of the gradient that the weights have, which is cut to the largest that is allowed."""
        return nn.utils.clip_grad_norm_(self.trained, self.config.clip)

    def step(self, step: int, bad: Tensor) -> None:
        """Move the weights, unless `bad` is 1.0."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr(step)
        if self.config.kind == "adamw":
            # What mixed precision's scaler does: the fused kernel looks at it on the device.
            self.optimizer.found_inf = bad  # pyright: ignore[reportAttributeAccessIssue]
            self.optimizer.step()
        elif not bad.item():
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The optimizer's state for every weight, by the weight's number."""
        state: dict[int, dict[str, Tensor]] = self.optimizer.state_dict()["state"]
        return {
            f"{number}.{name}": value for number, values in state.items() for name, value in values.items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The way back."""
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            weight = weights[int(number)]
            if value.shape == weight.shape:  # the fused kernel goes through both as they lie in memory
                value = torch.empty_like(weight, dtype=value.dtype).copy_(value)
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _optimizer(trained: list[Tensor], config: OptimizerConfig) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "betas": tuple(config.betas),
    }
    if config.kind == "adamw":
        return torch.optim.AdamW(_groups(trained, config), fused=True, **settings)
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError(
            "optimizer.kind: adamw8bit needs a package that is not installed: pip install bitsandbytes. Or "
            "set it to adamw."
        ) from None
    return AdamW8bit(_groups(trained, config), **settings)


def _groups(trained: list[Tensor], config: OptimizerConfig) -> list[dict[str, Any]]:
    """Gains, biases and a temperature have nothing to be decayed to."""
    if not config.weight_decay:
        return [{"params": trained}]
    return [
        {"params": [weight for weight in trained if weight.ndim > 1]},
        {"params": [weight for weight in trained if weight.ndim <= 1], "weight_decay": 0.0},
    ]
