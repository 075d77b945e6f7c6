"""Checkpoints: tensors as safetensors, the rest as JSON, whole or absent, and never a pickle.

A checkpoint is a folder `step-0000100` whose state.json holds the digest of every other file; it gets its
name when all are written. The newest one that is whole counts; a damaged one is told of and passed over.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rglcd_pipelines.artifacts import digest_file, explain_full_disk, write_json
from rglcd_pipelines.errors import DataError, first_line

STATE = "state.json"
NAME = "step-{:07d}"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Everything that changes while a student learns."""

    step: int
    """How many steps are done."""
    tensors: Mapping[str, Mapping[str, Tensor]]
    """By file, such as online, target, optimizer."""
    state: Mapping[str, Any]
    """What else there is, as plain JSON."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write it beside its place and rename it; of older ones, the `keep - 1` newest stay."""
    from safetensors.torch import save_file

    place = folder / NAME.format(checkpoint.step)
    work = folder / f".{place.name}"
    with explain_full_disk(place):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for name, tensors in checkpoint.tensors.items():
            plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            save_file(plain, work / f"{name}.safetensors")
        files = {file.name: digest_file(file) for file in sorted(work.iterdir())}
        told = {"step": checkpoint.step, "files": files, "state": dict(checkpoint.state)}
        write_json(work / STATE, told)
        shutil.rmtree(place, ignore_errors=True)
        work.rename(place)
    for old in _there(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def newest_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The newest whole one in `folder`, if there is any."""
    for place in _there(folder):
        try:
            return _load(place, device)
        except DataError as error:
            logger.warning("%s It is passed over.", error)
    return None


def _there(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _load(place: Path, device: torch.device | str) -> Checkpoint:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        told = json.loads((place / STATE).read_text(encoding="utf-8"))
        tensors: dict[str, dict[str, Tensor]] = {}
        for name, digest in told["files"].items():
            if not name.endswith(".safetensors"):
                raise ValueError(f"{name} is no safetensors file, and others can run code when opened")
            if digest_file(place / name) != digest:
                raise ValueError(f"{name} is not what was written")
            tensors[name.removesuffix(".safetensors")] = load_file(place / name, device=str(device))
        return Checkpoint(int(told["step"]), tensors, told["state"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{place}: the checkpoint is damaged ({first_line(error)}).") from None
