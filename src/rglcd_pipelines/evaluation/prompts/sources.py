"""Where the prompts of each kind of set are, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.coco import read_coco
from rglcd_pipelines.evaluation.prompts.entry import Entry, own, published
from rglcd_pipelines.evaluation.prompts.files import (
    COMMAS,
    LIST,
    PLAIN,
    TABS,
    read_lines,
    read_list,
    read_table,
)
from rglcd_pipelines.evaluation.prompts.hub import fetch
from rglcd_pipelines.evaluation.prompts.settings import PUBLISHED_AS, Kind, PromptSetConfig

HPSV2 = ("anime", "concept-art", "paintings", "photo")
"""The styles, in the order of the benchmark's own tables of files."""
PER_STYLE, PARTIPROMPTS, DRAWBENCH = 800, 1_632, 200
"""How many prompts the published sets have."""


@dataclass(frozen=True)
class Source:
    """How one kind of set is found and read."""

    title: str
    """What it is called where people read it."""
    read: Callable[[Mapping[str, Path]], list[Entry]]
    """The prompts of its files in their order, group by group."""
    belongs: str
    """What to do where a file is missing."""


def files_of(config: PromptSetConfig, where: str) -> dict[str, Path]:
    """The set's files by the name that each has in its folder or repository; those of the hub are fetched."""
    names = names_of(config)
    if config.source == "hub":
        return {name: fetch(config, name, where) for name in names}
    assert config.path is not None
    folder = Path(config.path) if config.kind in _FOLDERS else Path(config.path).parent
    found = {name: folder / name for name in names}
    for file in found.values():
        if not file.is_file():
            raise DataError(
                f"{file}: there is no such file. {SOURCES[config.kind].belongs} Check {where}.path."
            )
    return found


def names_of(config: PromptSetConfig) -> list[str]:
    """What the set's files are called, without looking whether they are there."""
    inside = _FOLDERS[config.kind](config) if config.kind in _FOLDERS else None
    if config.source == "hub":
        top = PurePosixPath(config.file or PUBLISHED_AS[config.kind])
        return [str(top)] if inside is None else [str(top / name) for name in inside]
    assert config.path is not None
    return [Path(config.path).name] if inside is None else inside


def read_entries(config: PromptSetConfig, files: Mapping[str, Path]) -> list[Entry]:
    """All prompts of the set, in an order that never changes."""
    return SOURCES[config.kind].read(files)


def title_of(config: PromptSetConfig) -> str:
    """What the set is, for those who read of it; the same wherever its files lie."""
    title, names = SOURCES[config.kind].title, ", ".join(names_of(config))
    pinned = f" of {config.id} at {config.revision}" if config.source == "hub" else ""
    return f"{title}: {names}{pinned}"


def _world_files(config: PromptSetConfig) -> list[str]:
    from rglcd_pipelines.world.sets import CAPTIONS, PROMPTS
    from rglcd_pipelines.world.vocabulary import STYLES

    return [CAPTIONS] if config.part == "captions" else [f"{PROMPTS}/{style}.json" for style in STYLES]


def _read_world(files: Mapping[str, Path]) -> list[Entry]:
    groups = {name: PurePosixPath(name).stem if len(files) > 1 else "" for name in files}
    return [_of(groups[name], entry) for name, file in files.items() for entry in own(file, read_list(file))]


def _read_hpsv2(files: Mapping[str, Path]) -> list[Entry]:
    found: list[Entry] = []
    for name, file in files.items():
        entries = published(file, read_list(file))
        _check_total(file, len(entries), PER_STYLE, "prompts of one of HPSv2's styles")
        found += [_of(PurePosixPath(name).stem, entry) for entry in entries]
    return found


def _read_partiprompts(files: Mapping[str, Path]) -> list[Entry]:
    (file,) = files.values()
    # Some of its prompts begin with a quotation mark that quotes no field.
    entries = published(file, read_table(file, "Prompt", "Category", need_group=True, quotes=False))
    _check_total(file, len(entries), PARTIPROMPTS, "prompts of PartiPrompts")
    return entries


def _read_drawbench(files: Mapping[str, Path]) -> list[Entry]:
    (file,) = files.values()
    if file.suffix.lower() == LIST:
        entries = published(file, read_list(file))
    else:
        entries = published(file, read_table(file, "Prompts", "Category", need_group=True))
    _check_total(file, len(entries), DRAWBENCH, "prompts of DrawBench")
    return entries


def _read_coco(files: Mapping[str, Path]) -> list[Entry]:
    (file,) = files.values()
    return published(file, read_coco(file))


def _read_own(files: Mapping[str, Path]) -> list[Entry]:
    (file,) = files.values()
    ending = file.suffix.lower()
    if ending in (COMMAS, TABS):
        return own(file, read_table(file))
    if ending == LIST:
        return own(file, read_list(file))
    if ending == PLAIN:
        return own(file, read_lines(file))
    raise DataError(
        f"{file}: is of no known form. Name it .txt (a prompt on each line), .json (a list of strings), "
        ".csv or .tsv (a table with a column prompt)."
    )


def _of(group: str, entry: Entry) -> Entry:
    return Entry(entry.place, entry.text, group, entry.name)


def _check_total(file: Path, found: int, expected: int, what: str) -> None:
    """Scores of a part of a benchmark look like those of all of it, and are others."""
    if found != expected:
        raise DataError(
            f"{file}: has {found:,} prompts, not the {expected:,} {what}. Fetch it again; count takes fewer "
            "of the whole set, and kind: file reads a list of your own."
        )


_FOLDERS: Mapping[Kind, Callable[[PromptSetConfig], list[str]]] = {
    "world": _world_files,
    "hpsv2": lambda _: [f"{style}.json" for style in HPSV2],
}
"""Kinds whose files are several, and what those are called in their folder."""

SOURCES: Mapping[Kind, Source] = {
    "world": Source(
        "prompts of the miniature world", _read_world, "kedro run --pipeline=world makes the world's sets."
    ),
    "hpsv2": Source(
        "HPSv2's benchmark",
        _read_hpsv2,
        "It is one of anime.json, concept-art.json, paintings.json and photo.json, which are in the folder "
        "benchmark of the hub's dataset zhwang/HPDv2.",
    ),
    "partiprompts": Source(
        "PartiPrompts",
        _read_partiprompts,
        "PartiPrompts.tsv is in the hub's dataset nateraw/parti-prompts and in the repository "
        "google-research/parti on GitHub.",
    ),
    "coco": Source(
        "captions of MS-COCO val2014",
        _read_coco,
        "captions_val2014.json is in annotations_trainval2014.zip, which cocodataset.org offers.",
    ),
    "drawbench": Source(
        "DrawBench",
        _read_drawbench,
        "benchmark/drawbench.json of the hub's dataset zhwang/HPDv2 lists its prompts; a table of them needs "
        "the columns Prompts and Category.",
    ),
    "file": Source("prompts of a file", _read_own, "It is a .txt, .json, .csv or .tsv of your own."),
}
