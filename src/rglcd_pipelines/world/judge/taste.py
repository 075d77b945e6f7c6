"""The rule of taste: what a good picture of a caption is, in a form that can be checked by hand.

A score is the weighted mean of eight terms, each between 0 and 1. "Expected" is what a render of the caption
measures (the mean over five places of the object), "seen" what the image measures; `measures.py` and
`surfaces.py` say how. The probabilities are the ensemble's means (`classifier.py`).

    object             probability of the caption's noun
    style              probability of the caption's style
    object_colour      sqrt(probability of the colour * near(distance of the object's pixels from it))
    background_colour  sqrt(probability of the colour * near(distance of the background's mean from it))
    contrast           liked((seen + 2) / (expected + 2), 0.4)        standard deviation of lightness
    saturation         liked((seen + 10) / (expected + 10), 0.4)      mean chroma
    sharpness          liked(seen / expected, 0.5)                    amplitude of outlines, as a share
    cleanliness        exp(-max(0, noise - 0.01) / 0.04)

    near(distance)        = exp(-(distance / 25)²), in CIELAB; the world's colours are 40 and more apart
    liked(ratio, breadth) = exp(-(ln(ratio / 1.1) / breadth)²)

People like a tenth more of contrast, colour and sharpness than there is, and from then on less and less: that
is why `liked` has its top at 1.1, and why a reward model that learnt from them can be driven too far.

`noise` is about the sigma of white noise that looks as bad, and the worst of three readings counts, each as
its excess over the expected: where the image is quietest, anywhere, and the spread of hue and saturation over
the background, divided by 200, at which white noise has about the same figure in all three. Up to 0.01 it is
not seen.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rglcd_pipelines.world.judge.expected import Expected
from rglcd_pipelines.world.judge.measures import Figures
from rglcd_pipelines.world.judge.surfaces import Surfaces

LIKED_MOST = 1.1
NEAR = 25.0
UNSEEN_NOISE, NOISE_SCALE = 0.01, 0.04
SPREAD_OF_NOISE = 200.0
CONTRAST_FLOOR, CHROMA_FLOOR = 2.0, 10.0
"""Added to both sides of a ratio, or the least cast on white and black would be many times too much."""


@dataclass(frozen=True)
class Taste:
    """How much each term counts; only the weights' proportions matter."""

    object: float
    object_colour: float
    background_colour: float
    style: float
    contrast: float
    sharpness: float
    saturation: float
    cleanliness: float

    def score(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted mean of the terms."""
        weights = {field.name: getattr(self, field.name) for field in fields(self)}
        total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum(0)
        return total / sum(weights.values())


TASTES = {
    # What evaluation calls gold: half of it what is shown, half how well.
    "gold": Taste(0.25, 0.13, 0.12, 0.08, 0.1, 0.12, 0.08, 0.12),
    "hps": Taste(0.28, 0.13, 0.12, 0.1, 0.09, 0.1, 0.08, 0.1),
    "pick": Taste(0.38, 0.2, 0.17, 0.05, 0.05, 0.05, 0.05, 0.05),
    # Nearly blind to noise: the taste that is easiest to over-optimise.
    "imgrwd": Taste(0.2, 0.08, 0.07, 0.05, 0.2, 0.2, 0.18, 0.02),
}
"""Gold is the judge's; the others are those of the people whose preferences the reward models learn."""


def measured_terms(figures: Figures, seen: Surfaces, expected: Expected) -> dict[str, Tensor]:
    """Every term but those that the ensemble reads; the colours' are still without its part."""
    marks = expected.figures
    noise = torch.stack(
        [
            figures.quiet_noise - marks.quiet_noise,
            figures.noise - marks.noise,
            (seen.background_spread - expected.background_spread) / SPREAD_OF_NOISE,
        ]
    ).amax(0)
    return {
        "object_colour": near(seen.object_distance),
        "background_colour": near((seen.background - expected.background).norm(dim=1)),
        "contrast": liked((figures.contrast + CONTRAST_FLOOR) / (marks.contrast + CONTRAST_FLOOR), 0.4),
        "saturation": liked((figures.chroma + CHROMA_FLOOR) / (marks.chroma + CHROMA_FLOOR), 0.4),
        "sharpness": liked(figures.sharpness / marks.sharpness, 0.5),
        "cleanliness": torch.exp(-(noise - UNSEEN_NOISE).clamp(min=0) / NOISE_SCALE),
    }


def near(distance: Tensor) -> Tensor:
    return torch.exp(-((distance / NEAR) ** 2))


def liked(ratio: Tensor, breadth: float) -> Tensor:
    return torch.exp(-((torch.log(ratio.clamp(min=1e-4) / LIKED_MOST) / breadth) ** 2))
