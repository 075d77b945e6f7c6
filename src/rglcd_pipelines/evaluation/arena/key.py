"""The key of an arena: which model is on which side of every comparison. Raters do not get it."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from rglcd_pipelines.artifacts import Artifact, write_json
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.evaluation.arena.settings import Pairing, Question

KEY_FILE = "arena.json"
KEY_VERSION = 1

Party = Literal["ours", "theirs"]


class Comparison(Config):
    """Two pictures of one prompt."""

    id: str
    """Its number in the page's order, which is drawn."""
    pairing: int
    """Whose pictures they are: a place in the key's pairings."""
    prompt: str
    """The prompt's key."""
    group: str
    """The prompt's group in its set, if it has one."""
    text: str
    """The prompt itself."""
    a: Party
    """Whose picture is A; the other's is B."""


class Key(Config):
    """All that turns votes for A and B into votes for models."""

    version: Literal[1]
    """Of the file's form."""
    id: str
    """Of the arena: votes name it."""
    title: str
    """The page's heading."""
    set: str
    """The prompt set."""
    pairings: list[Pairing]
    """Who met whom."""
    questions: list[Question]
    """What was asked."""
    comparisons: list[Comparison]
    """In the page's order."""


def write_key(folder: Path, key: Key) -> None:
    write_json(folder / KEY_FILE, key.model_dump(mode="json"))


def read_key(arena: Artifact) -> Key:
    """The key of a finished arena."""
    file = arena.path / KEY_FILE
    try:
        return Key.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{file}: the arena's key cannot be read ({first_line(error)}). Bring it back from where the "
            "arena was made, or make it anew with the same settings: kedro run --pipeline=arena"
        ) from None
