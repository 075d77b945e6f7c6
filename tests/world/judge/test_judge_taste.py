import math
from collections.abc import Callable, Iterable
from dataclasses import fields

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.judge.degrade import turn_hue
from rglcd_pipelines.world.judge.expected import Expectations
from rglcd_pipelines.world.judge.measures import measure
from rglcd_pipelines.world.judge.surfaces import fit, survey
from rglcd_pipelines.world.judge.taste import TASTES, Taste, liked, measured_terms, near

BATCH = draw_batch("figures", 8, 120, 32, held_out=True)
CLEAN = unit(BATCH.images)
EXPECTATIONS = Expectations(32, torch.device("cpu"))
TERMS = [field.name for field in fields(Taste)]


def terms(images: Tensor) -> dict[str, Tensor]:
    """What is measured, and an ensemble that is sure of everything."""
    expected = EXPECTATIONS.of(BATCH.scenes)
    seen = survey(images, *fit(images, expected.layers), expected.layers)
    sure = torch.ones(len(images))
    return {"object": sure, "style": sure} | measured_terms(measure(images), seen, expected)


@pytest.fixture(scope="module")
def clean() -> dict[str, Tensor]:
    return terms(CLEAN)


def noisy(sigma: float) -> Tensor:
    return CLEAN + sigma * torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(1))


def blurred() -> Tensor:
    return F.avg_pool2d(F.pad(CLEAN, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def stained() -> Tensor:
    stains = torch.randn(len(CLEAN), 3, 8, 8, generator=torch.Generator().manual_seed(2))
    return CLEAN + 0.1 * F.interpolate(stains, (32, 32), mode="bilinear")


def contrasted(factor: float) -> Tensor:
    mean = CLEAN.mean((1, 2, 3), keepdim=True)
    return mean + factor * (CLEAN - mean)


def saturated(factor: float) -> Tensor:
    grey = CLEAN.mean(1, keepdim=True)
    return grey + factor * (CLEAN - grey)


WORSE: dict[str, tuple[Callable[[], Tensor], Iterable[str]]] = {
    # a fault: what has it, and the terms that must notice
    "noise": (lambda: noisy(0.05), ["cleanliness"]),
    "blur": (blurred, ["sharpness", "contrast"]),
    "stains": (stained, ["cleanliness"]),
    "hue": (lambda: turn_hue(CLEAN, torch.tensor(math.pi / 5)), ["object_colour", "background_colour"]),
    "low contrast": (lambda: contrasted(0.6), ["contrast"]),
    "high contrast": (lambda: contrasted(1.8), ["object_colour", "background_colour"]),
    "pale": (lambda: saturated(0.5), ["saturation"]),
    "garish": (lambda: saturated(2.0), []),
}


@pytest.mark.parametrize("fault", WORSE)
def test_every_fault_costs(fault: str, clean: dict[str, Tensor]) -> None:
    make, noticing = WORSE[fault]
    images = make().clamp(0, 1)
    worse = terms(images)
    # Turning the hue or the saturation of greys does nothing: those scenes cannot tell.
    bears = (images - CLEAN).abs().mean((1, 2, 3)) > 0.01
    assert bears.float().mean() > 0.8
    for name in noticing:
        assert worse[name][bears].mean() < clean[name][bears].mean() - 0.1, name
    better = TASTES["gold"].score(clean) > TASTES["gold"].score(worse)
    assert better[bears].float().mean() >= 0.95


def test_renders_score_high(clean: dict[str, Tensor]) -> None:
    for name in TERMS:
        assert clean[name].min() > 0.75, name
        assert 0.9 < clean[name].mean() <= 1, name


def test_terms_are_between_zero_and_one() -> None:
    extremes = [
        torch.rand(CLEAN.shape),
        torch.zeros_like(CLEAN),
        torch.ones_like(CLEAN),
        (CLEAN > 0.5).float(),
    ]
    for images in extremes:
        for name, values in terms(images).items():
            assert ((values >= 0) & (values <= 1)).all(), name


def test_a_slight_excess_is_liked_best() -> None:
    assert liked(torch.tensor(1.1), 0.4).item() == 1
    assert liked(torch.tensor(1.0), 0.4).item() == pytest.approx(0.945, abs=0.001)
    assert liked(torch.tensor(2.2), 0.5).item() == liked(torch.tensor(0.55), 0.5).item()
    assert near(torch.tensor([0.0, 25.0])).tolist() == pytest.approx([1, math.exp(-1)])


def test_a_score_is_the_weighted_mean() -> None:
    taste = Taste(2, 1, 1, 1, 1, 1, 1, 0)
    worth = {name: torch.tensor([0.5, 1.0]) for name in TERMS} | {"object": torch.tensor([0.0, 1.0])}
    assert taste.score(worth).tolist() == pytest.approx([0.375, 1.0])


def test_tastes_differ_as_they_are_described(clean: dict[str, Tensor]) -> None:
    def loss(name: str, worse: dict[str, Tensor]) -> float:
        return float((TASTES[name].score(clean) - TASTES[name].score(clean | worse)).mean())

    nothing = torch.zeros(len(CLEAN))
    wrong: dict[str, Tensor] = dict.fromkeys(["object", "object_colour", "background_colour"], nothing)
    losses = {name: loss(name, wrong) for name in TASTES}
    assert max(losses, key=lambda name: losses[name]) == "pick"
    assert min(losses, key=lambda name: losses[name]) == "imgrwd"
    noise = {name: loss(name, {"cleanliness": nothing}) for name in TASTES}
    assert noise["imgrwd"] < noise["gold"] / 3
    assert abs(noise["hps"] - noise["gold"]) < 0.03
    assert set(TASTES) == {"gold", "hps", "pick", "imgrwd"}
