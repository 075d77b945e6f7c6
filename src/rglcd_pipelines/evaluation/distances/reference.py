"""Real pictures, as distances know them: their features, computed once and kept."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rglcd_pipelines.artifacts import Artifact, atomic_file, digest_files, draft, publish, standing
from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.evaluation.distances.features import Features, load_features
from rglcd_pipelines.evaluation.distances.frechet import Moments, check_features, moments
from rglcd_pipelines.evaluation.distances.identity import features_identity, reference_identity
from rglcd_pipelines.evaluation.distances.pictures import read_folder, read_shards
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig, ReferenceConfig
from rglcd_pipelines.world.sets import read_reference

FORMAT = 1
KIND = "reference"
FILE = "features.npy"
WHERE = "evaluate.reference"
BATCH = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """The features [N, D] of real pictures."""

    features: NDArray[np.float32]

    @cached_property
    def moments(self) -> Moments:
        return moments(self.features)

    @classmethod
    def open(cls, artifact: Artifact) -> "Reference":
        """What `make_reference` left."""
        file = artifact.path / FILE
        try:
            features = np.load(file, allow_pickle=False)
            check_features(features)
        except (OSError, ValueError, EOFError, DataError) as error:
            raise DataError(
                f"{file}: is missing or damaged ({first_line(error)}). Remove its folder and run the same "
                "command again."
            ) from None
        return cls(features)


def make_reference(
    config: ReferenceConfig, features: FeaturesConfig, device: torch.device, place: Path
) -> Artifact:
    """The reference's features at `place`; where they are already, nothing is read."""
    made_from = {
        "format": FORMAT,
        "features": features_identity(features),
        "reference": reference_identity(config),
    }
    if ready := standing(place, KIND, made_from):
        return ready
    logger.info("%s: computing the features of the real pictures in %s", place, config.path)
    with draft(place, made_from) as work:
        found = compute(config, load_features(features, device), features.size).features
        with atomic_file(work.path / FILE) as file:
            np.save(file, found, allow_pickle=False)
        body = {"pictures": len(found), "dimensions": found.shape[1], "files": digest_files(work.path)}
        return publish(work, place, KIND, made_from, body, {"pictures": len(found)})


def compute(config: ReferenceConfig, features: Features, size: int | None = None) -> Reference:
    """The features of all pictures, in their order; `size` as in the features' settings."""
    pictures = _pictures(config, size)
    parts: list[NDArray[np.float32]] = []
    while batch := list(islice(pictures, BATCH)):
        if len({picture.shape for picture in batch}) > 1:
            raise DataError(
                f"{config.path}: the pictures differ in size. Set evaluate.features.size to the side of the "
                "square that all of them are cropped and resized to; FID-30K has 256."
            )
        images = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        parts.append(features(images).float().cpu().numpy())
    return Reference(_enough(parts, config))


def _pictures(config: ReferenceConfig, size: int | None) -> Iterator[NDArray[np.uint8]]:
    folder = Path(config.path)
    if config.kind == "folder":
        return read_folder(folder, size, config.count)
    if config.kind == "shards":
        return read_shards(folder, size, config.count)
    try:
        return iter(read_reference(folder)[: config.count])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{folder}: holds no reference set of a miniature world ({first_line(error)}). "
            f"Set {WHERE}.path to the folder `sets` of one."
        ) from None


def _enough(parts: list[NDArray[np.float32]], config: ReferenceConfig) -> NDArray[np.float32]:
    count = sum(len(part) for part in parts)
    if not count:
        raise DataError(f"{config.path}: holds no pictures. Set {WHERE}.path to where they are.")
    if config.count is not None and count < config.count:
        raise DataError(
            f"{config.path}: holds {count} pictures, and {WHERE}.count is {config.count}. "
            "Lower it, or add pictures."
        )
    dimensions = parts[0].shape[1]
    if count <= dimensions:
        raise DataError(
            f"{config.path}: {count} pictures are too few to compare {dimensions} features by. "
            f"Give more than {dimensions}; tens of thousands are usual."
        )
    return np.concatenate(parts)
