"""One shard looked through: a small row for everything in it, whichever process does it.

This is the heavy part of `ingest`. It depends on the shard and the rules alone, never on other shards, so
that shards may be examined side by side and give the same rows.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rglcd_pipelines.data.images import EXTENSION_OF, BadImage, inspect
from rglcd_pipelines.data.pairs.captions import BadCaption, normalise
from rglcd_pipelines.data.pairs.rules import Rules, check_size
from rglcd_pipelines.data.shards import Damage, Sample, read_shard

MAX_KEY_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a sample by itself; `reason` is None where nothing speaks against it."""

    key: str
    caption: str | None = None
    width: int | None = None
    height: int | None = None
    digest: bytes | None = None
    extension: str = ""
    """The one that belongs to the image's format, whatever the shard calls it."""
    reason: str | None = None


def examine_shard(path: Path, rules: Rules) -> list[Row]:
    """A row for each item of `read_shard`, in its order."""
    return list(_rows(path, rules))


def _rows(path: Path, rules: Rules) -> Iterator[Row]:
    for item in read_shard(path):
        key = printable(item.key)
        if isinstance(item, Damage):
            yield Row(key, reason=item.reason)
        else:
            yield _examine(item, key, rules)


def _examine(sample: Sample, key: str, rules: Rules) -> Row:
    if sample.image is None:
        return Row(key, reason="missing_image")
    digest = hashlib.sha256(sample.image).digest() if sample.image else None
    try:
        caption = normalise(_raw_caption(sample), rules)
    except BadCaption as error:
        return Row(key, digest=digest, reason=error.reason)
    try:
        facts = inspect(sample.image, rules.max_pixels, rules.transparency)
    except BadImage as error:
        return Row(key, caption, digest=digest, reason=error.reason)
    reason = None
    try:
        check_size(facts, rules)
    except BadImage as error:
        reason = error.reason
    return Row(key, caption, facts.width, facts.height, digest, EXTENSION_OF[facts.format], reason)


def _raw_caption(sample: Sample) -> bytes:
    """The `.txt`, or else the `caption` of the `.json`, which must be readable as it goes into the output."""
    meta = None
    if sample.meta is not None:
        try:
            meta = json.loads(sample.meta.decode("utf-8"))
        except (ValueError, RecursionError):
            raise BadCaption("corrupt_json") from None
    if sample.caption is not None:
        return sample.caption
    caption = meta.get("caption") if isinstance(meta, dict) else None
    if not isinstance(caption, str):
        raise BadCaption("missing_caption")
    return caption.encode("utf-8", "surrogatepass")  # a lone surrogate is then bad UTF-8


def printable(name: str) -> str:
    """A name out of a tar or a folder as text that a table can hold: it may be any bytes, and any length."""
    text = name.encode("utf-8", "backslashreplace")
    if len(text) > MAX_KEY_BYTES:
        text = text[:MAX_KEY_BYTES] + b"..." + hashlib.sha256(text).hexdigest().encode()
    return text.decode("utf-8", "ignore")  # the cut may have split a character
