"""The optimizer's step, which a number that is none stops before it changes a weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rglcd_pipelines.errors import ConfigError, RglcdError
from rglcd_pipelines.training.settings import OptimizerConfig

NEVER = 2**62


class Watch:
    """At which step each term first was no number; kept on the device, so that nobody waits for it."""

    def __init__(self, terms: Sequence[str], device: torch.device) -> None:
        self.terms = list(terms)
        self.first = torch.full((len(self.terms),), NEVER, dtype=torch.int64, device=device)

    def see(self, step: int, terms: Mapping[str, Tensor]) -> Tensor:
        """Whether any term was bad in this step or before, as 1.0 or 0.0 on the device."""
        values = torch.stack([terms[name].detach().float() for name in self.terms])
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
        raise RglcdError(
            f"distill: {WORDS.get(term, term)} is no finite number at step {step + 1}. No weight was changed "
            f"by it; {resume}. Lower distill.optimizer.lr or beta, or set distill.precision to fp32."
        )


WORDS = {
    "lcd": "the consistency loss (term lcd)",
    "reward": "the reward (term reward)",
    "pull": "the reward's gradient (term pull)",
    "gradient": "the gradient's norm (term gradient)",
}
"""Terms in the order in which a step computes them: the first bad one is the cause."""


class Update:
    """AdamW on a student's weights."""

    def __init__(self, trained: Sequence[Tensor], config: OptimizerConfig) -> None:
        self.trained, self.config = list(trained), config
        self.optimizer = _optimizer(self.trained, config)

    def lr(self, step: int) -> float:
        """Of the step after `step` are done: constant after the warm-up."""
        return self.config.lr * min(1.0, (step + 1) / max(1, self.config.warmup_steps))

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


def _optimizer(trained: list[Tensor], config: OptimizerConfig) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.kind == "adamw":
        return torch.optim.AdamW(trained, fused=True, **settings)
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError(
            "distill.optimizer.kind: adamw8bit needs a package that is not installed: pip install "
            "bitsandbytes. Or set it to adamw."
        ) from None
    return AdamW8bit(trained, **settings)
