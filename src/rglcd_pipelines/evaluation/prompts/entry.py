"""What a file says: prompts and where in it they stand, and how its mistakes are told."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rglcd_pipelines.errors import DataError

LONGEST = 2_000
"""Characters of a prompt. Text encoders read some 77 tokens; what is longer is no prompt but a mistake."""
LONGEST_GROUP = 100
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of a character, which JSON lets through and no file can hold."""
TOLD = 10
"""How many mistakes of a file are told at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A prompt of a file."""

    place: str
    """Such as `line 12`."""
    text: str
    group: str = ""
    name: str = ""
    """What it is called among those of its group, where that is more than its number."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at one place, and what to do about it."""

    place: str
    told: str


def refuse(file: Path, mistakes: Sequence[Mistake]) -> DataError:
    """The error that lists the first mistakes of a file."""
    lines = [f"  {mistake.place}: {mistake.told}" for mistake in mistakes[:TOLD]]
    if len(mistakes) > TOLD:
        lines.append(f"  and {len(mistakes) - TOLD} more")
    return DataError(f"{file}: these prompts cannot be used:\n" + "\n".join(lines))


def own(file: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Somebody's own prompts: what looks like a mistake is told; nothing changes but space around them."""
    stripped = [replace(entry, text=entry.text.strip(), group=entry.group.strip()) for entry in entries]
    mistakes: list[Mistake] = []
    first: dict[tuple[str, str], str] = {}
    for entry in stripped:
        earlier = first.setdefault((entry.group, entry.text), entry.place)
        if (mistake := _mistake(entry)) is not None:
            mistakes.append(mistake)
        elif earlier != entry.place:
            mistakes.append(Mistake(entry.place, f"is the same prompt as {earlier}; remove one of them"))
    if mistakes:
        raise refuse(file, mistakes)
    return stripped


def published(file: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Prompts of a published set, which stay as they are: also twice the same, if it is so there.

    Only control characters become spaces: a line break in a prompt would break lists and tables of them.
    """
    visible = [replace(entry, text=CONTROL.sub(" ", entry.text).strip()) for entry in entries]
    if mistakes := [mistake for entry in visible if (mistake := _mistake(entry)) is not None]:
        raise refuse(file, mistakes)
    return visible


def _mistake(entry: Entry) -> Mistake | None:
    if not entry.text:
        return Mistake(entry.place, "is blank; remove it")
    for what, text, longest in (("", entry.text, LONGEST), ("group ", entry.group, LONGEST_GROUP)):
        if odd := NO_TEXT.search(text):
            return Mistake(entry.place, f"{what}has the control character U+{ord(odd[0]):04X}; remove it")
        if len(text) > longest:
            return Mistake(
                entry.place, f"{what}has {len(text):,} characters, more than {longest:,}; shorten it"
            )
    return None
