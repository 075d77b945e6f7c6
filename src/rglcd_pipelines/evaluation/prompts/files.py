"""The forms of a file with prompts: lines, a JSON list, a table."""

import csv
import io
import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.entry import Entry, Mistake, refuse

PLAIN, COMMAS, TABS, LIST = ".txt", ".csv", ".tsv", ".json"


def read_text(file: Path) -> str:
    """What is in the file, less a byte order mark."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}). Check the path.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}: line {line} is not UTF-8 (the byte 0x{content[error.start]:02X}). "
            "Save the file as UTF-8."
        ) from None


def read_lines(file: Path) -> list[Entry]:
    """A prompt on each line. What ends the last line begins no other."""
    lines = read_text(file).replace("\r\n", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return _some(file, [Entry(f"line {number}", line) for number, line in enumerate(lines, 1)])


def read_json(file: Path) -> Any:
    """What a JSON file says."""
    text = read_text(file)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        told = f"line {error.lineno} is no JSON ({error.msg}, column {error.colno})"
    except RecursionError:
        told = "is JSON of too many levels"
    except ValueError as error:  # a number of thousands of digits
        told = f"is no JSON that can be read ({error})"
    raise DataError(f"{file}: {told}. Make it a list of strings.")


def read_list(file: Path) -> list[Entry]:
    """A JSON list of strings."""
    values = read_json(file)
    if not isinstance(values, list):
        raise DataError(f"{file}: holds {_kind(values)}, not a list. Make it a list of strings.")
    places = [f"entry {number}" for number in range(1, len(values) + 1)]
    odd = [
        Mistake(place, f"is {_kind(value)}, not a string; put it in quotes or remove it")
        for place, value in zip(places, values, strict=True)
        if not isinstance(value, str)
    ]
    if odd:
        raise refuse(file, odd)
    return _some(file, [Entry(place, text) for place, text in zip(places, values, strict=True)])


def read_table(
    file: Path, prompt: str = "prompt", group: str = "group", need_group: bool = False, quotes: bool = True
) -> list[Entry]:
    """The columns `prompt` and, where there is one, `group` of a CSV or TSV table with a header.

    Case does not count in their names. Without `quotes`, a quotation mark is a character like any other.
    """
    rows, mistakes = _rows(file, quotes)
    if not rows:
        raise refuse(file, mistakes) if mistakes else _empty(file)
    header, *rows = rows
    names = [name.strip().casefold() for name in header[1]]
    column = _column(file, names, prompt)
    grouping = _column(file, names, group) if need_group or group.casefold() in names else None
    entries: list[Entry] = []
    for place, cells in rows:
        if len(cells) != len(names):
            mistakes.append(Mistake(place, _uneven(len(cells), len(names), prompt)))
            continue
        name = cells[grouping] if grouping is not None else ""
        if grouping is not None and not name.strip():
            mistakes.append(Mistake(place, f"names no {group}; name one, or leave out the column"))
        entries.append(Entry(place, cells[column], name))
    if mistakes:
        raise refuse(file, mistakes)
    return _some(file, entries)


def _rows(file: Path, quotes: bool) -> tuple[list[tuple[str, list[str]]], list[Mistake]]:
    """The rows by the line where each begins, as far as they can be read."""
    reader = csv.reader(
        io.StringIO(read_text(file), newline=""),
        delimiter="\t" if file.suffix.lower() == TABS else ",",
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    rows: list[tuple[str, list[str]]] = []
    while True:
        place = f"line {reader.line_num + 1}"
        try:
            rows.append((place, next(reader)))
        except StopIteration:
            return rows, []
        except csv.Error as error:
            told = f"cannot be read ({error}); put a field with quotes in quotes, and double those in it"
            return rows, [Mistake(place, told)]


def _uneven(cells: int, columns: int, prompt: str) -> str:
    if not cells:
        return "is blank; remove it"
    return f"has {cells} fields, and the header has {columns}; put a {prompt} that holds separators in quotes"


def _column(file: Path, names: list[str], wanted: str) -> int:
    found = [number for number, name in enumerate(names) if name == wanted.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{file}: line 1 has the column {wanted} {len(found)} times. Remove the others.")
    near = get_close_matches(wanted.casefold(), names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(names)[:200] or 'nothing'}."
    raise DataError(f"{file}: line 1 names no column {wanted}; {hint} Name the columns there.")


def _some(file: Path, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise _empty(file)
    return entries


def _empty(file: Path) -> DataError:
    return DataError(f"{file}: holds no prompts. Put some in, or check the path.")


def _kind(value: Any) -> str:
    """A JSON value in a word or two."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value)[:40]
