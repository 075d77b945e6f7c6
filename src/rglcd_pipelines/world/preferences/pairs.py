"""`preferences`: pairs of pictures, and which of them each taste prefers."""

import time
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from rglcd_pipelines.artifacts import (
    Artifact,
    atomic_file,
    canonical_json,
    digest_file,
    draft,
    publish,
    standing,
)
from rglcd_pipelines.config import Config
from rglcd_pipelines.progress import progress_bar
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.batches import unit
from rglcd_pipelines.world.judge import TASTES, Judge
from rglcd_pipelines.world.preferences.early import EarlyConfig, Samples, sample_early
from rglcd_pipelines.world.preferences.labels import accuracy, draw_labels, temperature
from rglcd_pipelines.world.preferences.load import LABELS, chunk_name, load_preferences
from rglcd_pipelines.world.preferences.measure import by_source
from rglcd_pipelines.world.preferences.sources import SOURCES, Mix, draw_pairs
from rglcd_pipelines.world.preferences.split import HELD_OUT, TRAIN, Split

FORMAT = 1
CHUNK = 1_000
"""Pairs of a file; what a killed run has to do again."""

PEOPLE = ("hps", "pick", "imgrwd")
"""Whose taste the pairs are labelled by."""


class PreferencesConfig(Config):
    """How many pairs, where they come from, and how much people disagree."""

    pairs: int = Field(ge=1)
    """Pairs to learn from."""
    held_out_pairs: int = Field(ge=1)
    """Pairs to measure with, half of them of nouns in colours that no training picture shows."""
    mix: Mix = Mix()
    """Where they come from."""
    early: EarlyConfig = EarlyConfig()
    """The teacher's samples among them."""
    agreement: float = Field(default=0.87, gt=0.5, lt=1)
    """How often a label says what the rule of taste says: a reward model can hardly be right more often."""
    seed: int = Field(default=0, ge=0)
    """The seed of the pairs and of the labels' noise."""


def make_preferences(
    config: PreferencesConfig, teacher: Artifact, judge: Artifact, resolution: int, place: Path
) -> Artifact:
    """Pairs with the labels of every taste at `place`."""
    made_from = {
        "format": FORMAT,
        "resolution": resolution,
        "vocabulary": vocabulary.digest(),
        **config.model_dump(),
        "inputs": {"teacher": teacher.digest, "judge": judge.digest},
    }
    if ready := standing(place, "preferences", made_from):
        return ready
    began = time.monotonic()
    with draft(place, made_from) as work:
        for split, count in ((TRAIN, config.pairs), (HELD_OUT, config.held_out_pairs)):
            samples = sample_early(config.early, teacher, split, config.seed, work.path)
            _write_chunks(config, split, count, samples, judge.path, resolution, work.path)
        temperatures = _label(config, work.path)
        figures = _figures(work.path)
        body = {
            "files": {file.name: digest_file(file) for file in sorted(work.path.glob("*.safetensors"))},
            "pairs": {TRAIN.name: config.pairs, HELD_OUT.name: config.held_out_pairs},
            "temperatures": temperatures,
            "ceilings": {taste: figures[f"ceiling_{taste}"] for taste in PEOPLE},
        }
        for scratch in work.path.glob("early-*.npy"):
            scratch.unlink()
        figures["seconds"] = round(time.monotonic() - began, 1)  # of the last run, if others were killed
        return publish(work, place, "preferences", made_from, body, figures)


def _write_chunks(
    config: PreferencesConfig,
    split: Split,
    count: int,
    samples: Samples,
    judge: Path,
    resolution: int,
    folder: Path,
) -> None:
    """The pairs of a split with every taste's opinion of them, a file at a time."""
    from safetensors.torch import save

    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    files = [folder / chunk_name(split.name, index) for index in range(len(sizes))]
    done = sum(size for size, file in zip(sizes, files, strict=True) if file.is_file())
    with progress_bar(f"preferences, {split.name}", 2 * count, 2 * done) as bar:
        for block, (size, file) in enumerate(zip(sizes, files, strict=True)):
            if file.is_file():
                continue
            drawn = draw_pairs(config.mix, split, samples, block, size, resolution, config.seed)
            # A judge remembers captions; the last bits of a score depend on which it has seen before.
            read = Judge.load(judge, pick_device())
            scores = torch.stack([_scores(read, drawn.images[:, i], drawn.captions) for i in (0, 1)], 1)
            tensors = {"images": drawn.images, "sources": drawn.sources, "scores": scores}
            with atomic_file(file) as opened:
                opened.write(save(tensors, {"captions": canonical_json(drawn.captions)}))
            bar.update(2 * size)


@torch.no_grad()
def _scores(judge: Judge, images: Tensor, captions: list[str]) -> Tensor:
    """Of uint8 images: what every taste thinks of them, [image, taste]."""
    terms = judge.terms(unit(images.to(judge.device)), captions)
    return torch.stack([TASTES[taste].score(terms) for taste in PEOPLE], 1).float().cpu()


def _label(config: PreferencesConfig, folder: Path) -> dict[str, float]:
    """Write the labels of all pairs; the temperature of each taste's noise."""
    from safetensors.torch import load_file, save

    labels: dict[str, Tensor] = {}
    temperatures: dict[str, float] = {}
    for split in (TRAIN, HELD_OUT):  # the noise is measured on the training pairs
        files = sorted(folder.glob(f"{split.name}-*.safetensors"))
        scores = torch.cat([load_file(file)["scores"] for file in files])
        for index, taste in enumerate(PEOPLE):
            differences = scores[:, 0, index] - scores[:, 1, index]
            noise = temperatures.setdefault(taste, temperature(differences, config.agreement))
            first = draw_labels(differences, noise, [config.seed, split.number, index])
            labels[f"{split.name}.{taste}.differences"] = differences.contiguous()
            labels[f"{split.name}.{taste}.first"] = first.to(torch.uint8)
    with atomic_file(folder / LABELS) as opened:
        opened.write(save(labels))
    return temperatures


def _figures(folder: Path) -> dict[str, float]:
    """How often the rule itself agrees with the held-out labels, which is the most that can be learnt."""
    seen = {taste: load_preferences(folder, HELD_OUT.name, taste) for taste in PEOPLE}
    sources = seen[PEOPLE[0]].sources
    figures = {f"share_{name}": float((sources == i).float().mean()) for i, name in enumerate(SOURCES)}
    for taste, pairs in seen.items():
        figures[f"ceiling_{taste}"] = accuracy(pairs.differences, pairs.first)
        for name, value in by_source(pairs, pairs.differences).items():
            figures[f"ceiling_{taste}_{name}"] = value
    return {name: round(value, 4) for name, value in figures.items()}
