"""All sets of prompts as one artifact."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import Artifact, atomic_file, digest_file, draft, publish, standing
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.prompts.choose import at_random, by_group, evenly, noise_seed, shares, slugs
from rglcd_pipelines.evaluation.prompts.entry import Entry
from rglcd_pipelines.evaluation.prompts.lines import FILE, as_lines, digest_of
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.prompts.settings import PromptSetConfig
from rglcd_pipelines.evaluation.prompts.sources import files_of, names_of, read_entries, title_of
from rglcd_pipelines.world.sets import CHUNKS

FORMAT = 1
"""Raised whenever the same files would give other prompts than before."""
SETTINGS = {"kind", "part", "count", "repeats", "seed"}
"""What prompts follow from. What a set is for, and where its files lie, changes none."""

logger = logging.getLogger(__name__)


def make_prompts(sets: Mapping[str, PromptSetConfig], place: Path) -> Artifact:
    """The prompts of all `sets` at `place`."""
    made_from = {"format": FORMAT, "sets": {name: _identity(name, config) for name, config in sets.items()}}
    if ready := standing(place, "prompts", made_from):
        _check_uses(ready.manifest["sets"], sets)
        count = sum(told["prompts"] for told in ready.manifest["sets"].values())
        logger.info("%s: %d prompts are there already; nothing to do", place, count)
        return ready
    began = time.perf_counter()
    made = {name: _prompts(name, config) for name, config in sets.items()}
    told = {name: _told(prompts, sets[name]) for name, prompts in made.items()}
    _check_uses(told, sets)
    with draft(place, made_from) as work:
        with atomic_file(work.path / FILE) as file:
            file.writelines(as_lines(prompts) for prompts in made.values())
        count = sum(len(prompts) for prompts in made.values())
        metrics = {"prompts": count, "seconds": time.perf_counter() - began}
        return publish(work, place, "prompts", made_from, {"sets": told}, metrics)


def check_sets(sets: Mapping[str, PromptSetConfig]) -> None:
    """Refuse what is missing here or cannot be read; the hub's files are read once they are here."""
    for name, config in sets.items():
        if config.source == "folder":
            files = files_of(config, _where(name))
            if config.kind != "coco":  # which takes seconds
                read_entries(config, files)


def _identity(name: str, config: PromptSetConfig) -> dict[str, Any]:
    """What a set's prompts follow from; of what a commit pins, no file need be here to say so."""
    if config.source == "hub":
        files: Any = {"id": config.id, "revision": config.revision, "names": names_of(config)}
    else:
        files = {one: _digest(file) for one, file in files_of(config, _where(name)).items()}
    return {**config.model_dump(include=SETTINGS), "files": files}


def _digest(file: Path) -> str:
    try:
        return digest_file(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from None


def _prompts(name: str, config: PromptSetConfig) -> list[Prompt]:
    """The prompts of one set, group by group, and the repeats of each side by side."""
    groups = by_group(read_entries(config, files_of(config, _where(name))))
    called = slugs(groups)
    return [
        _prompt(name, called[group], groups[group][at], at, repeat, config.seed)
        for group, places in _chosen(groups, config).items()
        for at in places
        for repeat in range(config.repeats)
    ]


def _prompt(name: str, slug: str, entry: Entry, at: int, repeat: int, seed: int) -> Prompt:
    """A prompt of the set `name`, at place `at` of its group."""
    key = "/".join(part for part in (name, slug, entry.name or f"{at:05d}") if part)
    key += f"-r{repeat}" if repeat else ""
    return Prompt(key, name, entry.group, entry.text, noise_seed(seed, key), repeat)


def _chosen(groups: Mapping[str, Sequence[Entry]], config: PromptSetConfig) -> dict[str, list[int]]:
    """The places in their groups of the prompts that are drawn."""
    sizes = [len(entries) for entries in groups.values()]
    taken = shares(sizes, config.count if config.count is not None else sum(sizes))
    if config.kind == "coco":
        ((group, entries),) = groups.items()
        return {group: at_random([entry.name for entry in entries], taken[0], config.seed)}
    return {
        group: evenly(size, count) for group, size, count in zip(groups, sizes, taken, strict=True) if count
    }


def _told(prompts: Sequence[Prompt], config: PromptSetConfig) -> dict[str, Any]:
    """A set in the manifest. Its numbers count pictures, so repeats too."""
    return {
        "prompts": len(prompts),
        "groups": dict(Counter(prompt.group for prompt in prompts)),
        "repeats": config.repeats,
        "source": title_of(config),
        "digest": digest_of(prompts),
    }


def _check_uses(told: Mapping[str, Any], sets: Mapping[str, PromptSetConfig]) -> None:
    """HPSv2's protocol divides each group into chunks of one size."""
    for name, config in sets.items():
        groups = told[name]["groups"]
        odd = [group for group, count in groups.items() if count % CHUNKS]
        if "benchmark" in config.use and odd:
            of, count = (f" of {odd[0]}" if odd[0] else ""), f"{_where(name)}.count"
            raise ConfigError(
                f"{_where(name)}: draws {groups[odd[0]]} prompts{of}, which make no {CHUNKS} equal chunks, "
                f"as HPSv2's protocol scores them. Set {count} so that each group has a multiple of "
                f"{CHUNKS}, or take benchmark out of {_where(name)}.use."
            )


def _where(name: str) -> str:
    """The parameter of a set."""
    return f"evaluate.sets.{name}"
