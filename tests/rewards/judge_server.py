"""An endpoint on loopback that speaks as much of chat completions as judging takes.

It decodes the pictures that it is sent and marks them by their colours, so an answer is right only if every
picture arrived whole and beside its own number. What goes wrong is said beforehand, request by request.
"""

import base64
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from tests.loopback import Handler, serving

MODEL = "eye-1"
KEY = "sk-Secret-0123456789abcdefABCDEF"
TOKENS_IN, TOKENS_OUT = 100, 10
"""Of each picture."""
BEGINNING = "data:image/png;base64,"

Entry = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    """All that is answered."""
    says: Callable[[list[Entry]], str | None] | None = None
    """The model's words, made out of those that would be right."""
    usage: bool = True
    """Whether it says how many tokens it took."""
    cut: bool = False
    """The connection ends in the middle of the answer."""
    drop: bool = False
    """The connection ends without an answer."""
    hang: bool = False
    """Nothing is answered before `release`."""


@dataclass
class Endpoint:
    key: str | None = KEY
    faults: list[Fault | None] = field(default_factory=list)
    """Of the next requests in their order; of None, nothing goes wrong."""
    always: Fault | None = None
    """What goes wrong with all later ones."""
    only_single: bool = False
    """Whether what goes wrong does so for several pictures at a time alone."""
    together: int = 1
    """How many requests must be there at a time before any of them is answered."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The body of each."""
    authorizations: list[str | None] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """How many pictures each request held."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each caption was asked about."""
    peak: int = 0
    """The most requests that were there at a time."""
    hanging: threading.Event = field(default_factory=threading.Event)
    """That a request hangs."""
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: int = 0
    barrier: threading.Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.together)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"


@contextmanager
def serve(endpoint: Endpoint) -> Iterator[Endpoint]:
    with serving(endpoint, _Handler):
        try:
            yield endpoint
        finally:
            endpoint.release.set()


def marks(picture: np.ndarray[Any, Any]) -> dict[str, float]:
    """Of uint8 pixels [H, W, 3]."""
    red, green, blue = (round(float(mean), 3) for mean in picture.mean((0, 1)) / 25.5)
    return {"content": red, "detail": green, "natural": blue, "clean": 10}


class _Handler(Handler):
    hub: Endpoint
    disable_nagle_algorithm = True  # or each answer waits 40 ms

    def do_POST(self) -> None:  # noqa: N802  (http.server's name)
        hub = self.hub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        captions, entries = _look(body["messages"][0]["content"])
        with hub.lock:
            hub.requests.append(body)
            hub.authorizations.append(self.headers.get("Authorization"))
            hub.sizes.append(len(entries))
            hub.asked.update(captions)
            fault = hub.faults.pop(0) if hub.faults else hub.always
            hub.inside += 1
            hub.peak = max(hub.peak, hub.inside)
        if fault is not None and hub.only_single and len(entries) == 1:
            fault = None
        try:
            if hub.together > 1:
                hub.barrier.wait(timeout=60)
            answer = self._answer(fault or Fault(), entries, body)
        finally:
            with hub.lock:  # before it is sent: whoever has it may ask again
                hub.inside -= 1
        self._send(fault or Fault(), answer)

    def _answer(self, fault: Fault, entries: list[Entry], body: Mapping[str, Any]) -> tuple[int, str]:
        if fault.hang:
            self.hub.hanging.set()
            self.hub.release.wait()
        if self.path != "/v1/chat/completions":
            return 404, json.dumps({"error": {"message": "no such path"}})
        if self.hub.key is not None and self.headers.get("Authorization") != f"Bearer {self.hub.key}":
            return 401, json.dumps({"error": {"message": f"wrong: {self.headers.get('Authorization')}"}})
        if body["model"] != MODEL:
            return 404, json.dumps({"error": {"message": f"no model {body['model']}"}})
        if fault.body is not None or fault.status != 200:
            # As bad an endpoint as there can be: it repeats the key.
            return fault.status, fault.body or json.dumps({"error": {"message": f"{self.hub.key} is bad"}})
        words = json.dumps(entries) if fault.says is None else fault.says(entries)
        said: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": words}}]}
        if fault.usage:
            count = len(entries)
            said["usage"] = {"prompt_tokens": TOKENS_IN * count, "completion_tokens": TOKENS_OUT * count}
        return 200, json.dumps(said)

    def _send(self, fault: Fault, answer: tuple[int, str]) -> None:
        content = answer[1].encode()
        self.close_connection = fault.drop or fault.cut
        if fault.drop:
            return
        with suppress(OSError):  # who asked may be gone
            self.send_response(answer[0])
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault.cut else content)
            self.wfile.flush()


def _look(parts: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Entry]]:
    """The captions, and an entry for each picture, which must be a PNG behind its caption."""
    captions, entries = [], []
    for before, part in pairwise(parts):
        if part["type"] != "image_url":
            continue
        found = re.fullmatch(r'Picture (\d+), drawn for the caption (".*"):', before["text"], re.DOTALL)
        assert found is not None, before
        url = part["image_url"]["url"]
        assert url.startswith(BEGINNING)
        with Image.open(io.BytesIO(base64.b64decode(url[len(BEGINNING) :], validate=True))) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            picture = np.asarray(image)
        captions.append(json.loads(found[2]))
        entries.append({"picture": int(found[1]), "reason": "its colours", **marks(picture)})
    assert f"array of {len(entries)} objects" in parts[0]["text"]
    return captions, entries
