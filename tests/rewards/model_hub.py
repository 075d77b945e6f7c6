"""A server on loopback that speaks as much of the hub's language as fetching models takes."""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.loopback import Handler, serving

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    repositories: Mapping[str, Mapping[str, bytes]]
    """The files of each, by name."""
    gated: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request, in order."""
    url: str = ""

    def fetched(self) -> list[str]:
        """The files that were downloaded."""
        return sorted(
            path.partition("/resolve/")[2].partition("/")[2]
            for method, path in self.requests
            if method == "GET" and "/resolve/" in path
        )


def serve(hub: Hub) -> AbstractContextManager[Hub]:
    return serving(hub, _Handler)


class _Handler(Handler):
    hub: Hub

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path))
        name = r"([\w-]+/[\w.-]+)"
        about = re.fullmatch(rf"/api/models/{name}/(?:revision|tree)/(\w+)", path)
        file = re.fullmatch(rf"/{name}/resolve/(\w+)/(.+)", path)
        found = about or file
        files = self.hub.repositories.get(found[1]) if found else None
        if found is None:
            self._refuse(404, "")
        elif files is None:
            self._refuse(401, "RepoNotFound")
        elif self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif found[2] != REVISION:
            self._refuse(404, "RevisionNotFound")
        elif about:
            listing = [
                {"type": "file", "path": each, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for each, content in files.items()
            ]
            whole = {"id": found[1], "sha": REVISION, "siblings": [{"rfilename": each} for each in files]}
            self._send(json.dumps(listing if "/tree/" in path else whole).encode(), {}, body)
        elif found[3] in files:
            content = files[found[3]]
            tag = hashlib.sha256(content).hexdigest()
            self._send(content, {"X-Repo-Commit": REVISION, "ETag": f'"{tag}"'}, body)
        else:
            self._refuse(404, "EntryNotFound")

    def _refuse(self, status: int, code: str) -> None:
        self._send(b"", {"X-Error-Code": code, "X-Error-Message": code}, True, status)

    def _send(self, content: bytes, headers: Mapping[str, str], body: bool, status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
