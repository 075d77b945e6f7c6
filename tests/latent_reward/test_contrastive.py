"""CLIP's loss: open_clip's own, with captions of nobody in the batch; the same for one process and two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional as F

from rglcd_pipelines.latent_reward.contrastive import Contrast
from rglcd_pipelines.latent_reward.towers import build_tower
from rglcd_pipelines.training.ranks import Ranks
from tests.latent_reward.tiny_latent_clips import VIT, latents

WIDTH, BATCH = 24, 8
CPU = torch.device("cpu")


def units(count: int, seed: int) -> Tensor:
    drawn = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(drawn, dim=-1)


def with_gradient(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


def test_it_is_open_clip_s_loss() -> None:
    from open_clip.loss import ClipLoss

    scale = torch.tensor(14.0, dtype=torch.float64)
    ours = with_gradient(units(BATCH, 1), units(BATCH, 2), scale)
    theirs = with_gradient(units(BATCH, 1), units(BATCH, 2), scale)
    figures = Contrast()(ours[0], ours[1], ours[2])
    expected = ClipLoss()(*theirs)
    figures["loss"].backward()
    expected.backward()
    torch.testing.assert_close(figures["loss"], expected)
    assert torch.equal(figures["contrastive"], figures["loss"])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_which_are_right() -> None:
    texts = units(4, 2)
    found = texts[[0, 1, 3, 2]]  # two know their own text, and two take each other's
    assert Contrast()(found, texts, torch.tensor(10.0))["right"].item() == 0.5
    # Captions of nobody do not count here.
    assert Contrast()(found, texts, torch.tensor(10.0), found)["right"].item() == 0.5


def test_captions_of_nobody_by_hand() -> None:
    """Rows of logits are as much longer, and columns are as they were."""
    z, texts, others, scale = units(3, 1), units(3, 2), units(5, 3), torch.tensor(7.0, dtype=torch.float64)
    by_latent, by_text = 0.0, 0.0
    for row in range(3):
        all_texts = torch.cat([texts, others])
        by_latent -= (scale * all_texts @ z[row]).log_softmax(0)[row] / 3
        by_text -= (scale * z @ texts[row]).log_softmax(0)[row] / 3
    expected = torch.as_tensor((by_latent + by_text) / 2)
    torch.testing.assert_close(Contrast()(z, texts, scale, others)["loss"], expected)
    assert Contrast()(z, texts, scale)["loss"] < expected


def test_one_s_own_caption_is_no_other() -> None:
    """Where it was drawn once more, nobody is asked to tell it from itself; the others still are."""
    z, texts, others = units(3, 1), units(3, 2), units(4, 3)
    scale = torch.tensor(7.0, dtype=torch.float64)
    again = torch.cat([others, texts[1:2], texts[1:2]])
    chances = (scale * z @ torch.cat([texts, again]).T).exp()
    denominator = chances.sum(1)
    denominator[1] -= chances[1, -2:].sum()
    by_latent = -(chances.diagonal() / denominator).log().mean()
    by_text = F.cross_entropy(scale * texts @ z.T, torch.arange(3))
    (given,) = with_gradient(z)
    loss = Contrast()(given, texts, scale, again)["loss"]
    torch.testing.assert_close(loss, (by_latent + by_text) / 2)
    loss.backward()
    assert given.grad is not None
    assert given.grad.isfinite().all()
    # A text that is merely near is another one.
    near = F.normalize(texts[1:2] + 0.02 * units(1, 4), dim=-1)
    assert float(near @ texts[1]) < 0.9999
    assert Contrast()(z, texts, scale, near)["loss"] > Contrast()(z, texts, scale)["loss"]


def gradient(ranks: Ranks, others: bool) -> dict[str, Tensor]:
    """The loss of a batch, of which this process has its share, and the gradient of a tower and a scale."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tower, scale = build_tower(VIT, 4, 16, WIDTH), torch.tensor(2.6).requires_grad_()
    rows = ranks.share(BATCH)
    z, texts = latents(BATCH)[rows], units(BATCH, 2).float()[rows]
    beyond = units(5, 3).float() if others else None
    seen = F.normalize(tower(z), dim=-1)
    figures = Contrast(ranks.rank, ranks.count)(seen, texts, scale.exp(), beyond)
    figures.pop("loss").backward()
    weights = {"scale": scale} | dict(tower.named_parameters())
    found = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
    assert found.keys() == weights.keys()
    found |= {name: value.detach() for name, value in figures.items()}
    ranks.average(list(found.values()))
    return found


def work(rank: int, folder: str, others: bool) -> None:
    """What each of two processes does."""
    place = Path(folder)
    distributed.init_process_group("gloo", init_method=f"file://{place / 'met'}", rank=rank, world_size=2)
    try:
        save_file(gradient(Ranks(rank, 2, CPU), others), place / f"{rank}.safetensors")
    finally:
        distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("others", [False, True])
def test_two_processes_have_the_gradient_of_one(tmp_path: Path, others: bool) -> None:
    spawn: Any = multiprocessing.spawn
    spawn(work, (str(tmp_path), others), nprocs=2)
    threads = torch.get_num_threads()
    expected = gradient(Ranks(0, 1, CPU), others)
    torch.set_num_threads(threads)
    assert 0 < expected["right"] < 1
    for rank in range(2):
        found = load_file(tmp_path / f"{rank}.safetensors")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=2e-6, rtol=1e-4)
