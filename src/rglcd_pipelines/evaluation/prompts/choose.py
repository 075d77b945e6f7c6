"""Which prompts of a set are drawn, what they are called, and their noise."""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from rglcd_pipelines.evaluation.prompts.entry import Entry

_SEED_BYTES = 6
"""2^48 seeds: more than any set has prompts, and whole numbers in every reader of JSON."""


def by_group(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The prompts of each group in their order, the groups in that of their first."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    return groups


def shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many of each group are taken, `count` in all if there are as many: as equal as their sizes allow.

    What cannot be divided goes to the first groups, one each.
    """
    most = bisect_right(range(1, max(sizes) + 1), count, key=lambda level: sum(_levelled(sizes, level)))
    taken = _levelled(sizes, most)
    larger = [number for number, size in enumerate(sizes) if size > most]
    for number in larger[: count - sum(taken)]:
        taken[number] += 1
    return taken


def _levelled(sizes: Iterable[int], most: int) -> list[int]:
    return [min(size, most) for size in sizes]


def evenly(size: int, count: int) -> list[int]:
    """`count` places of `size`, from first to last at equal steps."""
    return [number * size // count for number in range(count)]


def at_random(names: Sequence[str], count: int, seed: int) -> list[int]:
    """`count` places of `names` in order, drawn by hash: the same on every machine and with every library."""
    order = sorted(range(len(names)), key=lambda place: _hash(f"{seed} {names[place]}"))
    return sorted(order[:count])


def noise_seed(seed: int, key: str) -> int:
    """The seed of a picture's noise, by its key alone: other prompts beside it change nothing."""
    return int.from_bytes(_hash(f"{seed} {key}")[:_SEED_BYTES])


def slugs(groups: Iterable[str]) -> dict[str, str]:
    """What each group is called in keys: in a-z, 0-9 and -, no two alike."""
    called: dict[str, str] = {}
    taken: set[str] = set()
    for group in groups:
        plain = re.sub(r"[^a-z0-9]+", "-", group.casefold()).strip("-")
        wanted = plain or ("group" if group else "")
        slug, number = wanted, 1
        while slug in taken:
            number += 1
            slug = f"{wanted}-{number}"
        taken.add(slug)
        called[group] = slug
    return called


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
