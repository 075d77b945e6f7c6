"""From a job to a folder, which is held against other runs while it is made, and whole or absent."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from rglcd_pipelines.artifacts import (
    Artifact,
    digest_files,
    draft,
    publish,
    scratch_folder,
    standing,
)
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.record import LOSSES, last_figures, memory
from rglcd_pipelines.training.settings import TrainingConfig

LearntT = TypeVar("LearntT")

logger = logging.getLogger(__name__)


def standing_already(place: Path, kind: str, known: Mapping[str, Any]) -> Artifact | None:
    """What stands at `place`, if it is what would be made."""
    if found := standing(place, kind, known):
        shutil.rmtree(scratch_folder(place, known), ignore_errors=True)  # a run was killed before it could
        logger.info("%s: the %s is there already; nothing to do", place, kind)
    return found


def make(
    place: Path,
    kind: str,
    known: Mapping[str, Any],
    settings: TrainingConfig,
    learn: Callable[[Ranks, Path], LearntT],
    finish: Callable[[LearntT, Mapping[str, float], Path], Mapping[str, Any]],
) -> Artifact:
    """A `kind` at `place`, by this process, or by it and the others that torch elastic started.

    `learn` trains in a folder that outlives a killed run; `finish` puts what came of it, and of the last
    steps' figures, into another one, and says what the manifest tells of it.
    """
    if found := standing_already(place, kind, known):
        return found
    hide_library_bars()
    ranks = Ranks.join()
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be
        torch.use_deterministic_algorithms(True)
    else:
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
    scratch = scratch_folder(place, known)
    try:
        if not ranks.first:
            learn(ranks, scratch)
            return Artifact(place, {})
        began = time.monotonic()
        with draft(place, known) as work:
            scratch.mkdir(parents=True, exist_ok=True)
            learnt = learn(ranks, scratch)
            figures = last_figures(scratch / LOSSES)
            shutil.copyfile(scratch / LOSSES, work.path / LOSSES)
            told = dict(finish(learnt, figures, work.path))
            figures |= told.pop("figures", {})
            body = told | {"figures": figures, "files": digest_files(work.path)}
            metrics = figures | {"seconds": round(time.monotonic() - began, 1)} | memory()
            made = publish(work, place, kind, known, body, metrics)
        shutil.rmtree(scratch)
        return made
    finally:
        ranks.leave()
