"""Endless supplies of renders, one for each learner."""

import torch

from rglcd_pipelines.world.batches import SUPPLIES, draw_batch, draw_unseen, draw_wrong_nouns, labels
from rglcd_pipelines.world.scenes import is_held_out
from rglcd_pipelines.world.vocabulary import ATTRIBUTES
from tests.world.make_parts import SIDE


def test_nobody_draws_from_anothers_supply() -> None:
    assert len(set(SUPPLIES.values())) == len(SUPPLIES)
    assert min(SUPPLIES.values()) > 100
    a, b = (draw_batch(who, 0, 64, SIDE) for who in ("clip", "judge"))
    assert a.scenes != b.scenes
    assert a.images.shape == (64, 3, SIDE, SIDE)


def test_unseen_renders_stand_where_no_other_does() -> None:
    batch = draw_unseen(64, SIDE)
    assert {scene.shift_x for scene in batch.scenes} == {scene.shift_y for scene in batch.scenes} == {-1, 1}
    assert all(is_held_out(scene.noun, scene.colour) for scene in batch.scenes)
    assert batch.images.shape == (64, 3, SIDE, SIDE)


def test_wrong_nouns_are_all_that_is_wrong() -> None:
    batch, wrong = draw_wrong_nouns(96, SIDE)
    assert all(is_held_out(scene.noun, scene.colour) for scene in batch.scenes)
    assert wrong.shape == batch.images.shape
    # Where the objects are not, the pictures are the same: their corners.
    assert torch.equal(batch.images[..., :2, :2], wrong[..., :2, :2])
    assert all(not torch.equal(right, other) for right, other in zip(batch.images, wrong, strict=True))


def test_labels_are_indexes_of_what_scenes_show() -> None:
    scenes = draw_batch("figures", 0, 16, SIDE).scenes
    for name, values in ATTRIBUTES.items():
        told = [values[index] for index in labels(scenes)[name].tolist()]
        assert told == [getattr(scene, name) for scene in scenes]
