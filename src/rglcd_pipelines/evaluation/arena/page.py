"""The page for votes: one file that shows itself, with nothing in it that tells whose picture is whose."""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from PIL import Image

from rglcd_pipelines.artifacts import digest_json
from rglcd_pipelines.data.images import decode
from rglcd_pipelines.evaluation.arena.key import Key

PARTS = ("page.html", "page.css", "page.js")


@dataclass(frozen=True)
class Pair:
    """A comparison's two pictures, as `plain_png` gives them."""

    a: bytes
    b: bytes


def plain_png(content: bytes) -> bytes:
    """The same pixels in a fresh PNG: what else a file holds could tell who made it."""
    pixels = Image.fromarray(np.asarray(decode(content)))
    file = io.BytesIO()
    pixels.save(file, "PNG")
    return file.getvalue()


def page_digest() -> str:
    """Names the page's own code, so that an arena is made anew when it is improved."""
    return digest_json({name: _part(name) for name in PARTS})


def make_page(key: Key, pairs: Mapping[str, Pair]) -> str:
    """The whole page; `pairs` by the ids of the comparisons."""
    style, script = _part("page.css"), _part("page.js")
    filled = {
        "POLICY": f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}",
        "TITLE": html.escape(key.title),
        "STYLE": style,
        "SCRIPT": script,
        "ARENA": _inert_json(_told(key)),
        "PICTURES": "\n".join(_picture_blocks(key, pairs)),
    }
    return re.sub(r"\[\[([A-Z]+)\]\]", lambda found: filled[found[1]], _part("page.html"))


def _told(key: Key) -> dict[str, object]:
    """What the page knows: no model, no pairing, no side."""
    return {
        "id": key.id,
        "questions": [{"id": question.id, "text": question.text} for question in key.questions],
        "comparisons": [{"id": one.id, "text": one.text} for one in key.comparisons],
    }


def _picture_blocks(key: Key, pairs: Mapping[str, Pair]) -> list[str]:
    """Each picture in a block of its own, which the browser reads only when it is shown."""
    return [
        f'<script type="text/plain" id="{one.id}-{side}">{base64.b64encode(content).decode()}</script>'
        for one in key.comparisons
        for side, content in (("a", pairs[one.id].a), ("b", pairs[one.id].b))
    ]


def _inert_json(value: object) -> str:
    """JSON that cannot end the block it stands in, whatever a prompt says."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _hash(content: str) -> str:
    """How the page's policy names the one style or script that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _part(name: str) -> str:
    return (files("rglcd_pipelines.evaluation.arena") / name).read_text(encoding="utf-8")
