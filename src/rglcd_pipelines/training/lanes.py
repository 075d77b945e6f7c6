"""The gradient of a batch, on a CPU from parts of it beside each other.

A small layer is not worth sharing between threads; a part of the batch each, from the first layer to the
last, is.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import torch
from torch import Tensor

Loss = Callable[[Any], Mapping[str, Tensor]]
Split = Callable[[Any, int], Sequence[Any]]


class Lanes:
    """Where a loss is computed and its gradient with it; the mean over equal parts is the whole batch's."""

    def __init__(
        self,
        loss: Loss,
        split: Split | None,
        parameters: Sequence[Tensor],
        device: torch.device,
        bf16: bool,
        in_turn: int = 1,
        together: bool = True,
    ) -> None:
        """`in_turn`: in how many parts, one after the other, a batch is worked on in any case; `together`:
        whether the model may be called by several threads at once."""
        self.loss, self.split, self.parameters, self.device, self.bf16 = loss, split, parameters, device, bf16
        self.in_turn = in_turn
        self.count = torch.get_num_threads() if split and together and device.type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def backward(self, batch: Any) -> dict[str, Tensor]:
        """The loss's terms; the gradient of `loss` is in the parameters, as after its own backward()."""
        if self._pool is None or self.split is None:
            return self._one_by_one([batch] if self.split is None else self.split(batch, self.in_turn))
        parts = self.split(batch, self.count * self.in_turn)
        if len(parts) < self.in_turn:  # the threads do not divide it, and memory counts more than they do
            return self._one_by_one(self.split(batch, self.in_turn))
        done = list(self._pool.map(self._part, parts))
        for parameter, *gradients in zip(self.parameters, *(gradients for _, gradients in done), strict=True):
            there = [gradient for gradient in gradients if gradient is not None]
            mean = torch.stack(there).sum(0).div_(len(parts)) if there else None
            # The fused optimizer goes through weight and gradient as they lie in memory: that must be alike.
            parameter.grad = None if mean is None else torch.empty_like(parameter).copy_(mean)
        return _joined([terms for terms, _ in done])

    def _one_by_one(self, parts: Sequence[Any]) -> dict[str, Tensor]:
        done = []
        for part in parts:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                terms = dict(self.loss(part))
            (terms["loss"] / len(parts)).backward()
            done.append({name: value.detach() for name, value in terms.items()})
        return _joined(done)

    def _part(self, part: Any) -> tuple[dict[str, Tensor], tuple[Tensor | None, ...]]:
        # Cast weights are shared by all threads, and whoever is ready first would throw them away.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            terms = self.loss(part)
        # Not backward(): it would add to the parameters' gradients while others do.
        gradients = torch.autograd.grad(terms["loss"], self.parameters, allow_unused=True)
        return {name: value.detach() for name, value in terms.items()}, gradients


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of a batch, from those of its equal parts: the mean of numbers, all rows of what has rows."""
    return {
        name: torch.cat([terms[name] for terms in parts])
        if first.ndim
        else torch.stack([terms[name] for terms in parts]).mean(0)
        for name, first in parts[0].items()
    }
