"""Float32 where it matters, whatever is around it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


class _Convolutions:
    """The flag by which cuDNN rounds to TF32; all threads of a process share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Nobody's convolutions round while anybody is inside; the last one out puts the flag back."""
        cudnn = torch.backends.cudnn
        with self._lock:
            if not self._inside:
                self._before = cudnn.allow_tf32
                cudnn.allow_tf32 = False
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    cudnn.allow_tf32 = self._before


_convolutions = _Convolutions()


@contextmanager
def float32(device: torch.device) -> Iterator[None]:
    """Inside, autocast is off, and a GPU's convolutions do not round to TF32, as they do by default.

    Where autocast is off anyway, it is not entered: on leaving, torch would throw away the cast weights of
    every thread, also of one that is training just then, whose gradients would come out another way.
    """
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(_convolutions.exact())
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        yield


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
