"""The processes that share each step's batch: who they are, and what they tell each other."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, distributed

BUCKET = 64 * 2**20
"""Bytes of gradients that travel together."""


@dataclass(frozen=True)
class Ranks:
    """This process among all that train one student; one by itself has nobody to talk to."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls) -> "Ranks":
        """What torch elastic says in the environment, or one process by itself."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(int(os.environ.get("RANK", "0")), count, device)

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, samples: int) -> slice:
        """This process's part of a step's samples."""
        each = samples // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """The mean of all processes' tensors, in place."""
        if self.count == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            distributed.all_reduce(flat)
            flat /= self.count
            parts = flat.split([tensor.numel() for tensor in bucket])
            torch._foreach_copy_(
                list(bucket), [part.view_as(t) for part, t in zip(parts, bucket, strict=True)]
            )

    def any(self, flag: bool) -> bool:
        """Whether any process says so; all must ask."""
        if self.count == 1:
            return flag
        told = torch.tensor(float(flag), device=self.device)
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return bool(told.item())

    def hear(self, flag: bool) -> bool:
        """What the first process says, however long it thinks about it; all must ask."""
        if self.count == 1:
            return flag
        told = torch.tensor(float(flag))
        distributed.broadcast(told, 0, group=_patient_group())
        return bool(told.item())

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            self.any(False)

    def leave(self) -> None:
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
            _patient_group.cache_clear()


@lru_cache(maxsize=1)
def _patient_group() -> Any:
    """All processes; the way that GPUs talk gives up after ten minutes."""
    return distributed.new_group(backend="gloo", timeout=timedelta(days=7))


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """In the order given, as many together as a bucket holds."""
    buckets: list[list[Tensor]] = []
    room = 0
    for tensor in tensors:
        if tensor.nbytes > room:
            buckets.append([])
            room = BUCKET
        buckets[-1].append(tensor)
        room -= tensor.nbytes
    return buckets
