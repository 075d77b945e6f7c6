"""Checkpoints as their authors published them: what may be opened, and every weight in its place."""

import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.weights import explain


@dataclass(frozen=True)
class From:
    """Where a weight of ours comes from."""

    name: str
    """What it is called in the checkpoint."""
    change: Callable[[Tensor], Tensor] | None = None
    """What is done to it; by default nothing."""


WRAPPED = "module."
Table = Mapping[str, From]
"""Our name of every weight, and what it is made from."""


def read_state(file: Path, what: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, from safetensors or from what torch.save wrote.

    Of the latter nothing but tensors is opened: a pickle that asks for anything else is refused before any of
    it runs. Where the tensors are one part of what was saved, it is called state_dict.
    """
    with explain(file, what):
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state: Any = _unpickled(file)
        if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
            state = state["state_dict"]
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise DataError(
                f"{file}: holds no weights by name, so it is no {what}. Check that it is the right file."
            )
        # Who trained on several GPUs saved what was wrapped around the model too.
        wrapped = all(str(name).startswith(WRAPPED) for name in state)
        return {str(name)[len(WRAPPED) if wrapped else 0 :]: value for name, value in state.items()}


def _unpickled(file: Path) -> Any:
    try:
        # The old format, from before torch wrote zip files, cannot be mapped.
        mapped = zipfile.is_zipfile(file)
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise
        raise DataError(
            f"{file}: holds more than weights: it asks for {asked[1]}, and opening that can run code. It is "
            "refused. Load it where you trust it and save its weights as safetensors."
        ) from None


def in_place(
    table: Table, state: Mapping[str, Tensor], file: Path, what: str, unused: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Our weights in float32, made from a checkpoint's, each of which must have its place.

    `unused` are patterns of names that may be there and that no score depends on.
    """
    needed = {source.name for source in table.values()}
    if missing := sorted(needed - state.keys()):
        near = get_close_matches(missing[0], state, n=1, cutoff=0.75)
        raise DataError(
            f"{file}: lacks {_counted(missing)} of {what}"
            + (f"; did you mean {near[0]}?" if near else f"; it begins with {', '.join(list(state)[:3])}.")
            + " Check that it is the right file."
        )
    patterns = [re.compile(pattern) for pattern in unused]
    extra = [
        name
        for name in sorted(state.keys() - needed)
        if not any(pattern.fullmatch(name) for pattern in patterns)
    ]
    if extra:
        raise DataError(
            f"{file}: holds {_counted(extra)} that {what} has no place for, so its score would be another. "
            "Check that it is the right file."
        )
    return {
        ours: (source.change(state[source.name]) if source.change else state[source.name])
        .contiguous()
        .to(torch.float32, copy=True)  # neither the file's memory nor another weight's
        for ours, source in table.items()
    }


def check_shapes(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], table: Table, file: Path, what: str
) -> None:
    """That each weight is as large as in the model that it is for."""
    for ours, weight in weights.items():
        if (found := tuple(weight.shape)) != (needed := tuple(expected[ours].shape)):
            raise DataError(
                f"{file}: {table[ours].name} makes a weight of {found}, and {what} has one of {needed}. "
                "Check that it is the right file."
            )


def _counted(names: list[str]) -> str:
    if len(names) == 1:
        return f"the weight {names[0]}"
    return f"{len(names)} weights, such as {names[0]},"
