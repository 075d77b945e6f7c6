from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.judge.expected import Expectations
from rglcd_pipelines.world.judge.surfaces import Surfaces, fit, layers_of, paint, survey
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import Scene, draw_scenes
from rglcd_pipelines.world.vocabulary import CONTRASTING, STYLES

CPU = torch.device("cpu")


def rendered(scenes: list[Scene]) -> Tensor:
    return unit(torch.from_numpy(render_batch(scenes, 32)).permute(0, 3, 1, 2))


def surveyed(images: Tensor, scenes: list[Scene]) -> Surfaces:
    layers = layers_of(scenes, 32, CPU)
    return survey(images, *fit(images, layers), layers)


def background_distance(images: Tensor, scenes: list[Scene]) -> Tensor:
    return (surveyed(images, scenes).background - Expectations(32, CPU).of(scenes).background).norm(dim=1)


def changed(scenes: list[Scene], change: Callable[[Scene], Scene]) -> Tensor:
    return rendered([change(scene) for scene in scenes])


def other_colour(scene: Scene) -> Scene:
    choices = [c for c in CONTRASTING[scene.background_colour] if c != scene.colour]
    return replace(scene, colour=choices[0])


def other_background(scene: Scene) -> Scene:
    choices = [c for c in CONTRASTING[scene.colour] if c != scene.background_colour]
    return replace(scene, background_colour=choices[0])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (2, -1), (-2, 2)])
def test_paint_is_the_render_without_its_texture(x: int, y: int) -> None:
    scenes = [replace(s, shift_x=x, shift_y=y, background="plain") for s in draw_scenes(3, 0, 100)]
    _, painted = paint(layers_of(scenes, 32, CPU), x, y, 32)
    assert (painted - rendered(scenes)).abs().max() < 1.01 / 255


def test_the_object_is_found_wherever_it_stands() -> None:
    scenes = [replace(s, background="plain") for s in draw_scenes(4, 0, 100)]
    images = rendered(scenes)
    layers = layers_of(scenes, 32, CPU)
    coverage, painted = fit(images, layers)
    assert (painted - images).abs().max() < 1.01 / 255
    for change in (other_colour, other_background):
        found, _ = fit(changed(scenes, change), layers)
        assert torch.equal(found, coverage)


@pytest.mark.parametrize("style", STYLES)
def test_colours_are_right_in_renders_and_wrong_in_others(style: str) -> None:
    scenes = [replace(s, style=style) for s in draw_scenes(5, 0, 60)]
    images = rendered(scenes)
    assert surveyed(images, scenes).object_distance.max() < 3
    assert background_distance(images, scenes).max() < 7
    assert surveyed(changed(scenes, other_colour), scenes).object_distance.min() > 20
    assert background_distance(changed(scenes, other_background), scenes).min() > 20


def test_a_colour_is_right_on_another_object_too() -> None:
    scenes = [replace(s, style="solid", size="large") for s in draw_scenes(6, 0, 60)]
    cookies = changed(scenes, lambda scene: replace(scene, noun="cookie"))
    assert surveyed(cookies, scenes).object_distance.median() < 5
    assert background_distance(cookies, scenes).median() < 5


def test_noise_spreads_the_backgrounds_colours_and_texture_does_not() -> None:
    scenes = draw_scenes(7, 0, 60)
    images = rendered(scenes)
    expected = Expectations(32, CPU).of(scenes).background_spread
    assert (surveyed(images, scenes).background_spread - expected).abs().max() < 1
    noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert (surveyed(noisy, scenes).background_spread - expected).min() > 5


def test_expectations_depend_on_no_place_and_no_company() -> None:
    scenes = draw_scenes(8, 0, 20)
    moved = [replace(s, shift_x=2, shift_y=-2, phrasing=1) for s in reversed(scenes)]
    told = Expectations(32, CPU)
    one, other = told.of(scenes), Expectations(32, CPU).of(moved)
    assert torch.allclose(torch.stack(one.figures), torch.stack(other.figures).flip(1), atol=1e-5)
    again = told.of(scenes[5:7] * 2)
    assert torch.equal(again.background, one.background[[5, 6, 5, 6]])
