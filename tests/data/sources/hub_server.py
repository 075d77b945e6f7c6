"""A server on loopback that speaks as much of the hub's language as fetching a dataset's files takes.

`fail_once` names files whose connection is cut in the middle of the first download; `fail_always` those whose
connection is cut every time.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import Handler, serving

REPOSITORY = "tester/pairs"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    files: Mapping[str, bytes]
    head: str = REVISION
    """The newest commit, which moves on as people push."""
    gated: bool = False
    fail_once: set[str] = field(default_factory=set)
    fail_always: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range header of each request, in order."""
    url: str = ""

    def fetched(self) -> list[str]:
        """The files that were downloaded, each as often as it was asked for."""
        return [
            path.rpartition("/")[2]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        ]


def serve(hub: Hub) -> AbstractContextManager[Hub]:
    return serving(hub, _Handler)


class _Handler(Handler):
    hub: Hub

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        tree = re.fullmatch(r"/api/datasets/(\w+/[\w-]+)/tree/(\w+)", path)
        file = re.fullmatch(r"/datasets/(\w+/[\w-]+)/resolve/(\w+)/(.+)", path)
        newest = re.fullmatch(r"/api/datasets/(\w+/[\w-]+)", path)
        found = tree or file or newest
        if found is None:
            self._refuse(404, "")
        elif found[1] != REPOSITORY:
            self._refuse(401, "RepoNotFound")
        elif self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif newest:
            self._send(json.dumps({"id": REPOSITORY, "sha": self.hub.head, "tags": []}).encode(), {}, body)
        elif found[2] != REVISION:
            self._refuse(404, "RevisionNotFound")
        elif tree:
            self._send(json.dumps([self._entry(name) for name in self.hub.files]).encode(), {}, body)
        elif found[3] in self.hub.files:
            self._send_file(found[3], body)
        else:
            self._refuse(404, "EntryNotFound")

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.hub.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _send_file(self, name: str, body: bool) -> None:
        content = self.hub.files[name]
        headers = {"X-Repo-Commit": REVISION, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        start = int((re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["", "0"])[1])
        cut = body and (name in self.hub.fail_once or name in self.hub.fail_always)
        self.hub.fail_once.discard(name) if body else None
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(content[start:], headers, body, 206 if start else 200, cut)

    def _refuse(self, status: int, code: str) -> None:
        self._send(b"", {"X-Error-Code": code, "X-Error-Message": code}, True, status)

    def _send(
        self, content: bytes, headers: Mapping[str, str], body: bool, status: int = 200, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.wfile.flush()
        if cut:
            self.close_connection = True
