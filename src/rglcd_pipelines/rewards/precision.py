"""Float32 where it matters, whatever is around it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32(device: torch.device) -> Iterator[None]:
    """Inside, autocast is off, and a GPU's convolutions do not round to TF32, as they do by default.

    Where autocast is off anyway, it is not entered: on leaving, torch would throw away the cast weights of
    every thread, also of one that is training just then, whose gradients would come out another way.
    """
    cudnn = torch.backends.cudnn
    rounding = cudnn.allow_tf32
    if device.type == "cuda":
        cudnn.allow_tf32 = False
    try:
        if torch.is_autocast_enabled(device.type):
            with torch.autocast(device.type, enabled=False):
                yield
        else:
            yield
    finally:
        if device.type == "cuda":
            cudnn.allow_tf32 = rounding


@contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """Inside, a GPU rounds the factors of float32 products to TF32: fit for gradients, not for scores.

    Around the backward pass too, which looks at the flag when it runs.
    """
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = before or device.type == "cuda"
    try:
        yield
    finally:
        matmul.allow_tf32 = before
