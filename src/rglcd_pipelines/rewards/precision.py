"""Float32 where it matters, whatever is around it."""

from contextlib import AbstractContextManager, nullcontext

import torch


def float32(device: torch.device) -> AbstractContextManager[object]:
    """Inside, autocast is off.

    Where it is off anyway, nothing is entered: on leaving, torch would throw away the cast weights of every
    thread, also of one that is training just then, whose gradients would come out another way.
    """
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
