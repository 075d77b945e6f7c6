"""How well a latent reward model knows what is on a picture: it finds the class of latents by names alone.

The paper's latent CLIP is pretrained and then checked like any CLIP: a class is the mean of its captions, and
a latent belongs to the class that is nearest.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import (
    Artifact,
    atomic_file,
    digest_files,
    digest_json,
    draft,
    open_artifact,
    publish,
    standing,
    write_json,
)
from rglcd_pipelines.data.latents.reader import LatentBatch, LatentReader
from rglcd_pipelines.errors import DataError, RglcdError
from rglcd_pipelines.latent_reward.confusion import Confused, most_confused
from rglcd_pipelines.latent_reward.zero_shot_settings import ZeroShotConfig
from rglcd_pipelines.latent_reward.zero_shot_texts import caption_templates, class_names, filled
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.rewards.precision import float32

FORMAT = 1
CAPTIONS_AT_ONCE = 512
CONFUSION, CLASSES, PAIRS = "confusion.npy", "classes.json", "most_confused.json"
PAIRS_KEPT = 100
RESAMPLES = 10_000

logger = logging.getLogger(__name__)


class Towers(Protocol):
    """A latent reward model, as far as this looks at it."""

    def embed_latents(self, z: Tensor) -> Tensor:
        """Unit vectors [B, D] of latents [B, C, H, W] as the VAE gives them, not scaled, on its device."""
        ...

    def embed_captions(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors [B, D], on its device."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How often the class was found."""

    top1: float
    """The share of latents whose own class is the nearest."""
    top5: float
    """The share of those whose own class is among the five nearest, or fewer where there are fewer."""
    confusion: NDArray[np.int64]
    """How many latents of each class (a row) were taken for each class (a column)."""

    @property
    def samples(self) -> int:
        return int(self.confusion.sum())

    def figures(self) -> dict[str, float]:
        low, high = interval(self.top1, self.samples)
        return {
            "samples": self.samples,
            "top1": round(self.top1, 6),
            "top5": round(self.top5, 6),
            "top1_low": round(low, 6),
            "top1_high": round(high, 6),
        }


def make_zero_shot(
    lrm: Artifact, open_towers: Callable[[], Towers], latents: Artifact, config: ZeroShotConfig, place: Path
) -> Artifact:
    """How the model `lrm`, opened when it is needed, does on `latents`; RglcdError below the floor.

    The figures stand at `place` in either case.
    """
    classes, templates = class_names(config.classes), caption_templates(config.templates)
    made_from = {
        "format": FORMAT,
        "batch_size": config.batch_size,
        "classes": digest_json(classes),
        "templates": digest_json(templates),
        "inputs": {"lrm": lrm.digest, "latents": latents.digest},
    }
    made = standing(place, "zero_shot", made_from)
    if made is None:
        made = _measured(open_towers(), latents, classes, templates, config, place, made_from)
    else:
        logger.info("%s: the figures are there already; nothing to do", place)
    check_floor(made, config.floor, lrm.path)
    return made


def _measured(
    towers: Towers,
    latents: Artifact,
    classes: Sequence[str],
    templates: Sequence[str],
    config: ZeroShotConfig,
    place: Path,
    made_from: dict[str, Any],
) -> Artifact:
    reader = LatentReader(latents)
    reader.expect(kind="mean")
    began = time.perf_counter()
    outcome = measure(towers, reader, classes, templates, config.batch_size, config.progress)
    seconds = time.perf_counter() - began
    with draft(place, made_from) as work:
        with atomic_file(work.path / CONFUSION) as file:
            np.save(file, outcome.confusion.astype(np.int32), allow_pickle=False)
        write_json(work.path / CLASSES, list(classes))
        write_json(work.path / PAIRS, _named(most_confused(outcome.confusion, PAIRS_KEPT), classes))
        figures = outcome.figures()
        body = {"files": digest_files(work.path), "figures": figures}
        speed = {"seconds": round(seconds, 1), "latents_per_second": round(outcome.samples / seconds, 1)}
        made = publish(work, place, "zero_shot", made_from, body, figures | speed)
    curves.tell("zero_shot", 0, figures)  # of a model below the floor too, whose run fails
    logger.info("%s: the class of %.1f %% of %d latents is found (top-5 %.1f %%)",
                place, 100 * outcome.top1, outcome.samples, 100 * outcome.top5)  # fmt: skip
    return made


def check_floor(made: Artifact, floor: float, lrm: Path) -> None:
    """Refuse a model that finds too few classes."""
    figures = made.manifest["figures"]
    if figures["top1"] < floor:
        raise RglcdError(
            f"{lrm}: the latent reward model finds the class of {figures['top1']:.1%} of "
            f"{figures['samples']:,} latents (top-1), less than lrm.zero_shot.floor = {floor:.1%}. "
            f"{made.path} tells which classes it confuses. Train it for longer or on more pairs, or lower "
            "lrm.zero_shot.floor."
        )


def read_confusion(made: Artifact) -> tuple[NDArray[np.int64], list[str]]:
    """The confusion matrix that `make_zero_shot` left, and the names of its classes."""
    folder = open_artifact(made.path, "zero_shot").path
    try:
        confusion = np.load(folder / CONFUSION, allow_pickle=False).astype(np.int64)
        classes = json.loads((folder / CLASSES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: cannot be read ({error}). Remove it and run the stage again.") from None
    return confusion, classes


@torch.no_grad()
def measure(
    towers: Towers,
    reader: LatentReader,
    classes: Sequence[str],
    templates: Sequence[str],
    batch: int,
    progress: bool = False,
) -> Outcome:
    """Guess the class of every latent of a labelled set, whose captions are the numbers of their classes."""
    if not len(reader):
        raise DataError(f"{reader.artifact.path}: holds no latents. Check lrm.zero_shot.set.")
    weights = classifier(towers, classes, templates)
    nearest = min(5, len(classes))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    among = 0
    with progress_bar("zero-shot", len(reader), shown=progress) as bar:
        for first in range(0, len(reader), batch):
            found = reader.batch(range(first, min(first + batch, len(reader))))
            labels = _labels(found, len(classes), reader.artifact.path)
            z = torch.from_numpy(found.latents).float().to(weights.device)
            with float32(weights.device):
                seen = _finite(towers.embed_latents(z), "latents")
                guesses = (seen @ weights.T).topk(nearest, dim=1).indices.cpu().numpy()
            np.add.at(confusion, (labels, guesses[:, 0]), 1)
            among += int((guesses == labels[:, None]).any(axis=1).sum())
            bar.update(len(found))
    return Outcome(int(confusion.trace()) / len(reader), among / len(reader), confusion)


@torch.no_grad()
def classifier(towers: Towers, classes: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Unit vectors [class, D]: the mean of each class's captions."""
    at_once = max(1, CAPTIONS_AT_ONCE // len(templates))
    means: list[Tensor] = []
    for first in range(0, len(classes), at_once):
        names = classes[first : first + at_once]
        captions = [filled(template, name) for name in names for template in templates]
        vectors = _finite(towers.embed_captions(captions), "captions")
        means.append(vectors.reshape(len(names), len(templates), -1).mean(1))
    return F.normalize(torch.cat(means), dim=-1)


def interval(share: float, samples: int, seed: int = 0) -> tuple[float, float]:
    """Between which shares 95 % of bootstrap samples fall; how many are right in one is binomial."""
    drawn = np.random.default_rng(seed).binomial(samples, share, RESAMPLES) / samples
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _labels(found: LatentBatch, classes: int, place: Path) -> NDArray[np.int64]:
    for key, caption in zip(found.keys, found.captions, strict=True):
        if not (caption.isascii() and caption.isdigit() and len(caption) < 10 and int(caption) < classes):
            raise DataError(
                f"{place}: the caption of {key} is {caption[:40]!r}, which is no class from 0 to "
                f"{classes - 1}. Give the latents of a labelled set, and the names of its classes in "
                "lrm.zero_shot.classes."
            )
    return np.array([int(caption) for caption in found.captions], np.int64)


def _finite(vectors: Tensor, what: str) -> Tensor:
    vectors = vectors.float()
    if not bool(vectors.isfinite().all()):
        raise DataError(
            f"zero_shot: the model's vectors of {what} are not finite, so nothing is near anything. "
            "Look at its training's curves; a lower learning rate may help."
        )
    return vectors


def _named(pairs: Sequence[Confused], classes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "true": classes[pair.true],
            "guessed": classes[pair.guessed],
            "count": pair.count,
            "share": round(pair.share, 4),
        }
        for pair in pairs
    ]
