from dataclasses import replace

import numpy as np
import pytest

from rglcd_pipelines.world.icons import icon
from rglcd_pipelines.world.render import render, render_batch
from rglcd_pipelines.world.scenes import MAX_SHIFT, Scene, draw_scenes
from rglcd_pipelines.world.vocabulary import BACKGROUNDS, COLOURS, CONTRASTING, SIZES, STYLES, lab

SCENE = Scene("solid", "heart", "red", "medium", "plain", "white")


def nearest_colour(rgb: np.ndarray) -> str:
    there = np.array(lab(tuple(rgb.tolist())))
    return min(COLOURS, key=lambda name: float(np.linalg.norm(there - lab(COLOURS[name]))))


def object_mask(scene: Scene, resolution: int) -> np.ndarray:
    """Where nothing but the object's own colour is (middle of the image, no shift)."""
    over = icon(scene.style, scene.noun, round(SIZES[scene.size] * resolution))[1]
    top, left = ((resolution - n) // 2 for n in over.shape)
    mask = np.zeros((resolution, resolution), bool)
    mask[top : top + over.shape[0], left : left + over.shape[1]] = over == 255
    return mask


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("colour", COLOURS)
def test_object_has_the_named_colour(style: str, colour: str) -> None:
    for background in CONTRASTING[colour]:
        scene = replace(SCENE, style=style, colour=colour, background_colour=background)
        image = render(scene, 128)
        mean = image[object_mask(scene, 128)].mean(axis=0)
        assert np.abs(mean - COLOURS[colour]).max() <= 1
        assert np.abs(image[:4].mean(axis=(0, 1)) - COLOURS[background]).max() <= 1


@pytest.mark.parametrize("kind", BACKGROUNDS)
@pytest.mark.parametrize("colour", COLOURS)
def test_background_is_named_by_one_colour(kind: str, colour: str) -> None:
    scene = replace(
        SCENE, colour=CONTRASTING[colour][0], background=kind, background_colour=colour, size="small"
    )
    image = render(scene)
    border = np.concatenate([image[:5].reshape(-1, 3), image[-5:].reshape(-1, 3)])
    assert nearest_colour(border.mean(axis=0)) == colour
    # Every kind but the plain one has two shades that a person can tell apart.
    lightness = [lab(tuple(rgb))[0] for rgb in border.astype(float).tolist()]
    assert (max(lightness) - min(lightness) > 6) == (kind != "plain")


def test_textures_have_fine_detail_and_others_none() -> None:
    def detail(kind: str) -> float:
        image = render(replace(SCENE, background=kind, background_colour="yellow", size="small"))
        return float(np.abs(np.diff(image[:6].astype(float), axis=1)).mean())

    assert detail("plain") == detail("gradient") == 0
    assert all(detail(kind) > 5 for kind in ("striped", "checked", "dotted"))


def test_gradient_runs_from_light_to_dark() -> None:
    image = render(replace(SCENE, background="gradient", background_colour="yellow")).astype(int)
    steps = np.diff(image[:, 0].sum(axis=1))
    assert (steps <= 0).all()
    assert steps.sum() < -100


@pytest.mark.parametrize("resolution", [32, 64, 48])
def test_batch_equals_single_pictures(resolution: int) -> None:
    scenes = draw_scenes(1, 2, 40)
    batch = render_batch(scenes, resolution)
    assert batch.shape == (40, resolution, resolution, 3)
    assert batch.dtype == np.uint8
    assert all((render(scene, resolution) == image).all() for scene, image in zip(scenes, batch, strict=True))


def test_larger_pictures_show_the_same() -> None:
    scenes = draw_scenes(7, 0, 200)
    small = render_batch(scenes, 32).astype(float)
    large = render_batch(scenes, 64).astype(float)
    shrunk = large.reshape(200, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 8
    wrong = np.abs(shrunk - np.roll(small, 1, axis=0)).mean()
    assert wrong > 50


@pytest.mark.parametrize("resolution", [*range(16, 70), 100, 256])
def test_objects_are_never_cut_off(resolution: int) -> None:
    corners = [(-MAX_SHIFT, -MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT)]
    for x, y in corners:
        scene = replace(SCENE, noun="clock", size="large", shift_x=x, shift_y=y)
        image = render(scene, resolution).astype(int)
        ink = (255 - icon("solid", "clock", round(SIZES["large"] * resolution))[1].astype(int)) < 1
        assert ((image == COLOURS["red"]).all(axis=-1)).sum() == ink.sum()


def test_shift_moves_the_object() -> None:
    def middle(scene: Scene) -> np.ndarray:
        return np.argwhere((render(scene) == COLOURS["red"]).all(axis=-1)).mean(axis=0)

    moved = middle(replace(SCENE, shift_x=2, shift_y=-1)) - middle(SCENE)
    assert moved.tolist() == pytest.approx([-1, 2])


def test_sizes_are_in_order() -> None:
    areas = [
        (render(replace(SCENE, size=size)) == COLOURS["red"]).all(axis=-1).sum()
        for size in ("small", "medium", "large")
    ]
    assert areas[0] * 1.3 < areas[1]
    assert areas[1] * 1.3 < areas[2]


def test_cartoons_have_a_rim_that_is_seen() -> None:
    for colour in COLOURS:
        for background in CONTRASTING[colour]:
            scene = replace(SCENE, style="cartoon", colour=colour, background_colour=background)
            middle_row = render(scene, 128)[64].astype(float)
            named = np.array([COLOURS[colour], COLOURS[background]])
            far = np.abs(middle_row[:, None] - named[None]).sum(axis=-1).min(axis=-1)
            assert (far > 60).sum() >= 4, (colour, background)


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="below 16"):
        render(SCENE, 15)
