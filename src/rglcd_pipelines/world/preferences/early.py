"""Samples of the teacher while it was still learning: mistakes that no renderer and no filter makes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from rglcd_pipelines.artifacts import Artifact, atomic_file
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.fit import pick_device, step_seed
from rglcd_pipelines.world.batches import as_bytes
from rglcd_pipelines.world.preferences.split import Split
from rglcd_pipelines.world.scenes import Scene


class EarlyConfig(Config):
    """How many samples of the teacher's past, and how they are drawn."""

    captions: int = Field(default=850, ge=1)
    """Captions that training pairs are about."""
    held_out_captions: int = Field(default=150, ge=1)
    """Captions that held-out pairs are about."""
    variants: int = Field(default=3, ge=2)
    """Samples of each caption, each from another moment of the teacher's training or another omega."""
    steps: int = Field(default=12, ge=1)
    """The sampler's steps."""
    omegas: list[float] = Field(default=[2.0, 7.5], min_length=1)
    """Scales of classifier-free guidance that take turns."""
    batch_size: int = Field(default=64, ge=1)
    """Images that are sampled at once."""


@dataclass(frozen=True)
class Samples:
    """What the teacher drew for one split's captions."""

    scenes: list[Scene]
    """What was asked for."""
    images: Tensor
    """[scene, variant, 3, H, W], uint8."""


def sample_early(config: EarlyConfig, teacher: Artifact, split: Split, seed: int, folder: Path) -> Samples:
    """The samples for one split; each moment's are kept in a file of `folder`, for a run that goes on."""
    count = config.held_out_captions if split.held_out else config.captions
    scenes = split.early_scenes(count)
    moments = [(early, omega) for early in _snapshots(teacher) for omega in config.omegas]
    chosen = _moments(count, config.variants, len(moments), step_seed(seed, split.number))
    images: Tensor | None = None
    files = [folder / f"early-{split.name}-{index:03d}.npy" for index in range(len(moments))]
    done = sum(int((chosen == i).sum()) for i, file in enumerate(files) if file.is_file())
    with progress_bar(f"early samples, {split.name}", chosen.size, done) as bar:
        for index, ((early, omega), file) in enumerate(zip(moments, files, strict=True)):
            rows, variants = np.nonzero(chosen == index)
            if not len(rows):
                continue
            if not file.is_file():
                seeds = (step_seed(seed, split.number) % 2**31 + rows * config.variants + variants).tolist()
                captions = [scenes[row].caption for row in rows]
                drawn = list(_sample(config, teacher, early, omega, captions, seeds, bar.update))
                with atomic_file(file) as opened:
                    np.save(opened, torch.cat(drawn).numpy())
            part = torch.from_numpy(np.load(file))
            if images is None:
                images = torch.zeros(count, config.variants, *part.shape[1:], dtype=torch.uint8)
            images[rows, variants] = part
    assert images is not None  # there is at least one caption with two variants
    return Samples(scenes, images)


def _snapshots(teacher: Artifact) -> list[str | None]:
    """The moments of the teacher's training, the last of which is the finished one."""
    names: list[str | None] = [file.stem for file in sorted(teacher.path.glob("early/step-*.safetensors"))]
    if not names:
        raise DataError(
            f"{teacher.path}: holds no early/step-*.safetensors, the teacher's weights while it learnt. "
            "Remove it and make it again with: kedro run --pipeline=world"
        )
    return [*names, None]


def _moments(count: int, variants: int, moments: int, seed: int) -> np.ndarray:
    """Which moment each variant of a caption is from: none twice while there are others."""
    generator = np.random.Generator(np.random.PCG64(seed))
    rows = [
        np.concatenate([generator.permutation(moments) for _ in range(-(-variants // moments))])[:variants]
        for _ in range(count)
    ]
    return np.stack(rows)


def _sample(
    config: EarlyConfig,
    teacher: Artifact,
    early: str | None,
    omega: float,
    captions: list[str],
    seeds: list[int],
    report: Callable[[int], object],
) -> Iterator[Tensor]:
    from rglcd_pipelines.world.sampling import load_teacher, sample

    loaded = load_teacher(teacher.path, pick_device(), early)
    for start in range(0, len(captions), config.batch_size):
        part = slice(start, start + config.batch_size)
        images = sample(loaded, captions[part], seeds[part], steps=config.steps, omega=omega)
        report(len(images))
        yield as_bytes(images)
