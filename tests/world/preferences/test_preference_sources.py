"""Pairs of every source: what they show, that they can be drawn again, and who may see which scene."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.world.batches import draw_batch
from rglcd_pipelines.world.preferences.early import EarlyConfig, Samples, _moments
from rglcd_pipelines.world.preferences.labels import accuracy, draw_labels, temperature
from rglcd_pipelines.world.preferences.sources import SOURCES, Mix, draw_pairs
from rglcd_pipelines.world.preferences.split import HELD_OUT, MATCHING, TRAIN, Split
from rglcd_pipelines.world.preferences.wrong import OFTEN, wrong_scene
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import Scene, is_held_out
from rglcd_pipelines.world.vocabulary import stands_out


def samples(split: Split, count: int = 6) -> Samples:
    """As if the teacher had drawn flat grey, another grey for each variant."""
    images = (torch.arange(count * 3) + 100).view(count, 3, 1, 1, 1).expand(-1, -1, 3, 32, 32)
    return Samples(split.early_scenes(count), images.to(torch.uint8).contiguous())


def only(source: str) -> Mix:
    return Mix(**{name: float(name == source) for name in SOURCES})


def drawn(source: str, split: Split = TRAIN, block: int = 0, seed: int = 0):
    return draw_pairs(only(source), split, samples(split), block, 40, 32, seed)


def renders(scenes: list[Scene]) -> torch.Tensor:
    return torch.from_numpy(render_batch(scenes)).permute(0, 3, 1, 2)


def test_a_clean_render_beside_a_degraded_one():
    pairs, scenes = drawn("clean_degraded"), TRAIN.scenes(0, 40)
    assert pairs.captions == [scene.caption for scene in scenes]
    is_clean = (pairs.images == renders(scenes)[:, None]).flatten(2).all(2)
    assert is_clean.sum(1).eq(1).all()
    assert 5 < is_clean[:, 0].sum() < 35  # which comes first tells nothing


def test_the_right_scene_beside_a_wrong_one():
    pairs, scenes = drawn("wrong_caption"), TRAIN.scenes(0, 40)
    is_right = (pairs.images == renders(scenes)[:, None]).flatten(2).all(2)
    assert is_right.sum(1).le(1).all()
    assert is_right.sum() > 10  # the others are degraded
    assert pairs.captions == [scene.caption for scene in scenes]


def test_samples_of_the_teacher_have_the_captions_that_were_asked_for():
    asked = samples(TRAIN)
    for source, flat_of_each in (("early_early", 2), ("early_render", 1)):
        pairs = drawn(source)
        flat = pairs.images.float().flatten(2).std(2) == 0
        assert flat.sum(1).eq(flat_of_each).all()
        for caption, images, is_flat in zip(pairs.captions, pairs.images, flat, strict=True):
            row = [scene.caption for scene in asked.scenes].index(caption)
            greys = images[is_flat][:, 0, 0, 0].tolist()
            assert len(set(greys)) == flat_of_each
            assert set(greys) <= set(asked.images[row, :, 0, 0, 0].tolist())


def test_the_numbers_decide_everything():
    again = draw_pairs(Mix(), TRAIN, samples(TRAIN), 3, 50, 32, 7)
    first = draw_pairs(Mix(), TRAIN, samples(TRAIN), 3, 50, 32, 7)
    other = draw_pairs(Mix(), TRAIN, samples(TRAIN), 3, 50, 32, 8)
    assert torch.equal(first.images, again.images)
    assert first.captions == again.captions
    assert not torch.equal(first.images, other.images)
    assert len(first.sources.unique()) == len(SOURCES)


def test_the_shares_are_of_their_sum():
    none = dict.fromkeys(SOURCES, 0.0)
    mix = check(Mix, none | {"clean_degraded": 3.0, "wrong_caption": 1.0})
    pairs = draw_pairs(mix, TRAIN, samples(TRAIN), 0, 400, 32, 0)
    assert float((pairs.sources == 0).float().mean()) == pytest.approx(0.75, abs=0.07)
    with pytest.raises(ConfigError, match="every share is 0"):
        check(Mix, none)


def test_held_out_scenes_are_half_of_them_new_combinations():
    train, held_out = TRAIN.scenes(0, 200), HELD_OUT.scenes(0, 200)
    assert not any(is_held_out(scene.noun, scene.colour) for scene in train)
    assert sum(is_held_out(scene.noun, scene.colour) for scene in held_out) == 100
    matching = draw_batch("preferences", MATCHING, 200, 16).scenes
    for one, other in ((train, held_out), (train, matching), (held_out, matching)):
        assert len({str(s.as_json()) for s in one} & {str(s.as_json()) for s in other}) < 3


@given(seed=st.integers(0, 2**32), held_out=st.booleans())
def test_a_wrong_scene_differs_stands_out_and_keeps_the_split(seed: int, held_out: bool):
    generator = np.random.Generator(np.random.PCG64(seed))
    scene = TRAIN.scenes(seed % 50, 1)[0]
    other = wrong_scene(scene, generator, held_out)
    different = [name for name in OFTEN if getattr(scene, name) != getattr(other, name)]
    assert 1 <= len(different) <= 3
    assert stands_out(other.colour, other.background_colour)
    assert held_out or not is_held_out(other.noun, other.colour)
    assert other.caption != scene.caption


@given(
    count=st.integers(1, 9), variants=st.integers(2, 6), moments=st.integers(1, 5), seed=st.integers(0, 99)
)
def test_variants_of_a_caption_are_from_as_many_moments_as_there_are(
    count: int, variants: int, moments: int, seed: int
):
    chosen = _moments(count, variants, moments, seed)
    assert chosen.shape == (count, variants)
    assert all(len(set(row)) == min(variants, moments) for row in chosen.tolist())


@settings(deadline=None)
@given(
    agreement=st.floats(0.6, 0.97),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 100),
)
def test_labels_agree_with_the_rule_as_often_as_they_should(agreement: float, scale: float, seed: int):
    differences = torch.randn(20_000, generator=torch.Generator().manual_seed(seed)) * scale
    noise = temperature(differences, agreement)
    first = draw_labels(differences, noise, [seed])
    assert accuracy(differences, first) == pytest.approx(agreement, abs=0.02)
    assert temperature(differences * 10, agreement) == pytest.approx(10 * noise, rel=1e-3)
    assert accuracy(-differences, first) == pytest.approx(1 - accuracy(differences, first))
    sure = differences.abs() > 3 * noise
    if int(sure.sum()) > 100:
        assert accuracy(differences[sure], first[sure]) > 0.9


def test_where_the_rule_sees_no_difference_labels_are_chance():
    nothing = torch.zeros(4_000)
    first = draw_labels(nothing, temperature(nothing, 0.9), [0])
    assert float(first.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert accuracy(nothing, first) == 0.5


def test_early_settings():
    with pytest.raises(ConfigError, match="variants"):
        check(EarlyConfig, {"variants": 1})
