"""A batch in parts beside each other has the gradient of the batch."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from rglcd_pipelines.training.lanes import Lanes

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.unused = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1)), nn.Linear(2, 2)

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        error = self.inner(x).float() ** 2
        return {"loss": error.mean(), "small": (error < 0.1).float().mean()}


def split(x: Tensor, count: int) -> Sequence[Tensor]:
    return x.chunk(count)


def backward(
    net: Net, threads: int, bf16: bool = False, monkeypatch: pytest.MonkeyPatch | None = None
) -> dict[str, Tensor]:
    if monkeypatch:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    with Lanes(net.loss, split if threads > 1 else None, list(net.parameters()), CPU, bf16) as lanes:
        assert lanes.count == threads
        return lanes.backward(X)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_gradient_is_the_whole_batchs(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = Net(), Net()
    expected, found = backward(whole, 1), backward(parts, threads, monkeypatch=monkeypatch)
    for name in ("loss", "small"):
        torch.testing.assert_close(found[name], expected[name])
    for one, other in zip(whole.inner.parameters(), parts.inner.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(other.grad, one.grad)
    assert parts.unused.weight.grad is None


def test_the_same_again_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Net(), Net()
    for net in (first, second):
        backward(net, 2, bf16=True, monkeypatch=monkeypatch)
    for one, other in zip(first.inner.parameters(), second.inner.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_what_goes_wrong_in_a_part_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def broken(x: Tensor) -> dict[str, Tensor]:
        raise ValueError(f"{len(x)} samples")

    net = Net()
    with (
        Lanes(broken, split, list(net.parameters()), CPU, bf16=False) as lanes,
        pytest.raises(ValueError, match="6 samples"),
    ):
        lanes.backward(X)


def test_a_batch_that_threads_do_not_divide_is_worked_on_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    net, sizes = Net(), list[int]()

    def seen(x: Tensor) -> dict[str, Tensor]:
        sizes.append(len(x))
        return net.loss(x)

    def whole_or_equal(x: Tensor, count: int) -> Sequence[Tensor]:
        return x.chunk(count) if len(x) % count == 0 else [x]

    parameters = list(net.parameters())
    with Lanes(seen, whole_or_equal, parameters, CPU, bf16=False, in_turn=3) as lanes:
        lanes.backward(X[:9])
    assert sizes == [3, 3, 3]


def test_a_gradient_lies_in_memory_as_its_weight_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW's fused kernel goes through both side by side, whatever their strides are."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    net = nn.Conv2d(3, 4, 3)
    nn.Module.to(net, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with Lanes(
        lambda x: {"loss": net(x).square().mean()}, split, list(net.parameters()), CPU, bf16=False
    ) as lanes:
        lanes.backward(images)
    (expected,) = torch.autograd.grad(net(images).square().mean(), [net.weight])
    assert net.weight.grad is not None
    assert net.weight.grad.stride() == net.weight.stride() != torch.empty(4, 3, 3, 3).stride()
    torch.testing.assert_close(net.weight.grad, expected)
