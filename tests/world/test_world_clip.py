"""The world's CLIP: its loss by hand, what its image tower learns first, and a reward that it is."""

from pathlib import Path

import pytest
import torch

from rglcd_pipelines.rewards.clip import ClipReward, load_clip
from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.clip import contrastive_loss
from rglcd_pipelines.world.teacher_data import padded_ids
from tests.world.make_parts import SIDE, tiny_clip


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


def test_the_contrastive_loss_is_clips(workshop: Path) -> None:
    model, tokenizer = load_clip(tiny_clip(workshop).path)
    ids = torch.from_numpy(
        padded_ids(tokenizer, [scene.caption for scene in draw_batch("clip", 0, 6, SIDE).scenes])
    )
    pixels = torch.rand(6, 3, 16, 16)
    ours = contrastive_loss(model, pixels, ids)["loss"]
    theirs = model(input_ids=ids, pixel_values=pixels, return_loss=True).loss
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)


def test_it_is_a_reward(workshop: Path) -> None:
    reward = ClipReward.load(tiny_clip(workshop).path, "clip")
    batch = draw_batch("figures", 0, 5, SIDE)
    images = unit(batch.images).requires_grad_()
    scores = reward.score(images, batch.captions)
    scores.sum().backward()
    assert scores.shape == (5,)
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
