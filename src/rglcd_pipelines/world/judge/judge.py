"""The gold judge: what is in an image, and how good a picture of its caption it is. It trains nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.world.batches import labels
from rglcd_pipelines.world.captions import parse_caption
from rglcd_pipelines.world.judge.classifier import Classifier
from rglcd_pipelines.world.judge.expected import Expectations
from rglcd_pipelines.world.judge.measures import measure
from rglcd_pipelines.world.judge.surfaces import fit, survey
from rglcd_pipelines.world.judge.taste import TASTES, Taste, measured_terms
from rglcd_pipelines.world.scenes import Scene
from rglcd_pipelines.world.vocabulary import ATTRIBUTES

SETTINGS = "judge.json"
BATCH = 256


class Judge:
    """An ensemble of classifiers, and what renders of a caption measure."""

    def __init__(self, members: Sequence[Classifier], resolution: int, device: torch.device) -> None:
        self.members = [member.to(device).float().eval().requires_grad_(False) for member in members]
        self.resolution, self.device = resolution, device
        self._expectations = Expectations(resolution, device)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "Judge":
        """The judge that `make_judge` left in `folder`, in float32."""
        settings = folder / SETTINGS
        try:
            told = json.loads(settings.read_text(encoding="utf-8"))
            members = []
            for index in range(told["members"]):
                member = Classifier(told["width"])
                member.load_state_dict(load_file(folder / weights_file(index)))
                members.append(member)
            return cls(members, told["resolution"], torch.device(device))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DataError(
                f"{folder}: holds no whole judge ({first_line(error)}). "
                "Restore the folder, or remove it and run: kedro run --pipeline=world"
            ) from None

    @torch.no_grad()
    def read(self, images: Tensor) -> dict[str, Tensor]:
        """The probabilities [B, n] of every attribute, in the order of ATTRIBUTES; images are [0, 1]."""
        images = self._checked(images)
        parts = [self._read(part) for part in images.split(BATCH)]
        return {name: torch.cat([part[name] for part in parts]) for name in ATTRIBUTES}

    @torch.no_grad()
    def terms(self, images: Tensor, captions: Sequence[str]) -> dict[str, Tensor]:
        """The terms [B] of the rule of taste, as `taste.py` tells them."""
        images = self._checked(images)
        if len(captions) != len(images):
            raise DataError(f"There are {len(images)} images for {len(captions)} captions. Give one to each.")
        scenes = [parse_caption(caption) for caption in captions]
        parts = [
            self._terms(part, scenes[start : start + BATCH])
            for start, part in zip(range(0, len(images), BATCH), images.split(BATCH), strict=True)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def score(self, images: Tensor, captions: Sequence[str], taste: Taste = TASTES["gold"]) -> Tensor:
        """How good each image is, between 0 and 1."""
        return taste.score(self.terms(images, captions))

    def _read(self, images: Tensor) -> dict[str, Tensor]:
        read = [member(images) for member in self.members]
        return {name: torch.stack([r[name].softmax(1) for r in read]).mean(0) for name in ATTRIBUTES}

    def _terms(self, images: Tensor, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        expected = self._expectations.of(scenes)
        seen = survey(images, *fit(images, expected.layers), expected.layers)
        terms = measured_terms(measure(images), seen, expected)
        probability = {
            name: values.gather(1, truth[:, None].to(self.device)).squeeze(1)
            for (name, values), truth in zip(self._read(images).items(), labels(scenes).values(), strict=True)
        }
        return terms | {
            "object": probability["noun"],
            "style": probability["style"],
            "object_colour": (probability["colour"] * terms["object_colour"]).sqrt(),
            "background_colour": (probability["background_colour"] * terms["background_colour"]).sqrt(),
        }

    def _checked(self, images: Tensor) -> Tensor:
        side = self.resolution
        if images.ndim != 4 or images.shape[1:] != (3, side, side) or not len(images):
            raise DataError(f"The judge reads images [B, 3, {side}, {side}], not {list(images.shape)}.")
        if not images.is_floating_point():
            raise DataError(f"The judge reads floats between 0 and 1, not {images.dtype}. Divide by 255.")
        images = images.to(self.device, torch.float32)
        low, high = (float(value) for value in images.aminmax())
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # also true of NaN
            raise DataError(
                f"The judge reads floats between 0 and 1, not from {low:g} to {high:g}. Rescale and clamp."
            )
        return images.clamp(0, 1)


def accuracy(judge: Judge, images: Tensor, scenes: Sequence[Scene]) -> dict[str, float]:
    """The share of images in which the judge reads each attribute as the scenes have it."""
    read, truth = judge.read(images), labels(scenes)
    return {name: float((read[name].argmax(1).cpu() == truth[name]).float().mean()) for name in ATTRIBUTES}


def weights_file(index: int) -> str:
    return f"member-{index + 1}.safetensors"
