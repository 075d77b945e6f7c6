"""Float32 is float32 for every thread, and afterwards all is as it was."""

import threading
from collections.abc import Iterator

import pytest
import torch

from rglcd_pipelines.rewards.precision import float32

CUDA = torch.device("cuda")
"""None is needed: what is tested is a flag of the process."""


@pytest.fixture(autouse=True, params=[True, False])
def flag(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = request.param
    yield request.param
    torch.backends.cudnn.allow_tf32 = before


def test_the_flag_is_put_back_also_after_an_error(flag: bool) -> None:
    with pytest.raises(ZeroDivisionError), float32(CUDA), float32(CUDA):
        assert not torch.backends.cudnn.allow_tf32
        raise ZeroDivisionError
    assert torch.backends.cudnn.allow_tf32 == flag


def test_contexts_of_two_threads_overlap(flag: bool) -> None:
    """Whoever comes first leaves first, in the middle of the other's."""
    first, second = float32(CUDA), float32(CUDA)
    first.__enter__()
    other = threading.Thread(target=second.__enter__)
    other.start()
    other.join()
    first.__exit__(None, None, None)
    assert not torch.backends.cudnn.allow_tf32  # the other is still inside
    other = threading.Thread(target=second.__exit__, args=(None, None, None))
    other.start()
    other.join()
    assert torch.backends.cudnn.allow_tf32 == flag


def test_autocast_is_off_inside() -> None:
    one = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with float32(torch.device("cpu")):
            assert (one @ one).dtype == torch.float32
        assert (one @ one).dtype == torch.bfloat16
