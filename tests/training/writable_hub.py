"""A hub on loopback that speaks as much of the hub's language as publishing takes; its Xet is LFS."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import yaml

from tests.loopback import Handler, serving

TOKEN = "hf_writer"
READ_ONLY = "hf_reader"
LARGE = ".safetensors"
NAME = r"([\w-]+/[\w.-]+)"


@dataclass
class Repository:
    private: bool
    commits: dict[str, dict[str, bytes]]
    """All files at each commit."""
    branches: dict[str, str]
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        """What is on the main branch, but for what every repository has."""
        return self.at("main")

    def at(self, branch: str) -> dict[str, bytes]:
        files = self.commits[self.branches[branch]]
        return {name: content for name, content in files.items() if name != ".gitattributes"}

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        commit = hashlib.sha1(f"{branch}{len(self.commits)}".encode()).hexdigest()
        self.commits[commit], self.branches[branch] = files, commit
        self.messages.append(message)
        return commit


@dataclass
class Hub:
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    """What was uploaded as large files, by digest."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request, in order."""
    dies_at: str = ""
    """A pattern: at the first request whose method and path match, it falls silent for good."""
    dead: bool = False
    before: Callable[[str], None] = lambda _: None
    """Called with the path of each request."""

    def add(self, name: str, private: bool = True) -> Repository:
        start = hashlib.sha1(name.encode()).hexdigest()
        made = Repository(
            private, {start: {".gitattributes": b"*.safetensors filter=lfs\n"}}, {"main": start}
        )
        self.repositories[name] = made
        return made

    def writes(self) -> list[str]:
        """The paths of the requests that changed something."""
        kinds = ("/repos/create", "/branch/", "/commit/", "/lfs/")
        return [path for method, path in self.requests if method != "GET" and any(k in path for k in kinds)]


def serve(hub: Hub) -> AbstractContextManager[Hub]:
    return serving(hub, _Handler)


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: int, message: str, code: str = "") -> None:
        self.status, self.message, self.code = status, message, code


class _Handler(Handler):
    hub: Hub

    def _handle(self) -> None:
        path = unquote(self.path.partition("?")[0])
        body = self._body()
        self.hub.requests.append((self.command, path))
        self.hub.before(path)
        if self.hub.dies_at and re.search(self.hub.dies_at, f"{self.command} {path}"):
            self.hub.dead = True
        if self.hub.dead:
            self.close_connection = True
            return
        try:
            for pattern, answer in ROUTES.items():
                if found := re.fullmatch(pattern, f"{self.command.replace('HEAD', 'GET')} {path}"):
                    answer(self, body, *found.groups())
                    return
            raise _Refused(404, "no such page")
        except _Refused as error:
            told = {"X-Error-Message": error.message, "X-Error-Code": error.code}
            self._send(json.dumps({"error": error.message}).encode(), error.status, told)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def tell(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), 200, {"Content-Type": "application/json"})

    def check_token(self, write: bool = True) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_ONLY):
            raise _Refused(401, "Invalid username or password.")
        if write and token == READ_ONLY:
            raise _Refused(403, "This token is read-only.")

    def repository(self, name: str, write: bool = True) -> Repository:
        self.check_token(write)
        if name not in self.hub.repositories:
            raise _Refused(404, "Repository not found", "RepoNotFound")
        return self.hub.repositories[name]

    def commit_of(self, repository: Repository, revision: str) -> str:
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            raise _Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit


def _create(at: _Handler, body: bytes) -> None:
    at.check_token()
    asked = json.loads(body)
    name = f"{asked['organization']}/{asked['name']}"
    if asked["organization"] != "me":
        raise _Refused(403, f"You don't have the rights to create a model under {asked['organization']}")
    if name in at.hub.repositories:
        at._send(json.dumps({"error": "it exists", "url": f"{at.hub.url}/{name}"}).encode(), 409)
    else:
        at.hub.add(name, asked.get("visibility") == "private")
        at.tell({"url": f"{at.hub.url}/{name}"})


def _branch(at: _Handler, _: bytes, name: str, branch: str) -> None:
    repository = at.repository(name)
    if branch in repository.branches:
        raise _Refused(409, "Reference already exists")
    repository.branches[branch] = repository.branches["main"]
    at.tell({})


def _about(at: _Handler, _: bytes, name: str, revision: str | None = None) -> None:
    repository = at.repository(name, write=False)
    commit = at.commit_of(repository, revision or "main")
    at.tell({"id": name, "sha": commit, "private": repository.private, "siblings": []})


def _tree(at: _Handler, _: bytes, name: str, revision: str) -> None:
    repository = at.repository(name, write=False)
    files = repository.commits[at.commit_of(repository, revision)]
    at.tell([_entry(path, content) for path, content in files.items()])


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _git(content)}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _resolve(at: _Handler, _: bytes, name: str, revision: str, path: str) -> None:
    repository = at.repository(name, write=False)
    commit = at.commit_of(repository, revision)
    content = repository.commits[commit].get(path)
    if content is None:
        raise _Refused(404, "Entry not found", "EntryNotFound")
    at._send(content, 200, {"X-Repo-Commit": commit, "ETag": f'"{_git(content)}"'})


def _validate(at: _Handler, body: bytes) -> None:
    """The hub takes only its own names as base models."""
    card = json.loads(body)["content"]
    head = yaml.safe_load(card.split("---")[1]) if card.startswith("---") else {}
    base = head.get("base_model", "a/b")
    if re.fullmatch(NAME, base):
        at.tell({"errors": [], "warnings": []})
    else:
        told = f'"base_model" with value "{base}" is not valid. Use a model id from https://hf.co/models.'
        at._send(json.dumps({"errors": [{"message": told}], "warnings": []}).encode(), 400)


def _preupload(at: _Handler, body: bytes, name: str, branch: str) -> None:
    files = at.repository(name).at(branch)
    at.tell(
        {
            "files": [
                {
                    "path": (path := asked["path"]),
                    "uploadMode": "lfs" if path.endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                    **({"oid": _git(files[path])} if path in files and not path.endswith(LARGE) else {}),
                }
                for asked in json.loads(body)["files"]
            ]
        }
    )


def _batch(at: _Handler, body: bytes, name: str) -> None:
    at.repository(name)
    objects = []
    for asked in json.loads(body)["objects"]:
        where = {"upload": {"href": f"{at.hub.url}/lfs/{asked['oid']}"}}
        objects.append(asked if asked["oid"] in at.hub.large else {**asked, "actions": where})
    at.tell({"transfer": "basic", "objects": objects})


def _upload(at: _Handler, body: bytes, digest: str) -> None:
    if hashlib.sha256(body).hexdigest() != digest:
        raise _Refused(400, "the content is not what the digest says")
    at.hub.large[digest] = body
    at.tell({})


def _commit(at: _Handler, body: bytes, name: str, branch: str) -> None:
    repository = at.repository(name)
    head, *changes = [json.loads(line) for line in body.splitlines()]
    if head["value"].get("parentCommit", repository.branches[branch]) != repository.branches[branch]:
        raise _Refused(412, "A commit has happened since. Please refresh and try again.")
    files = dict(repository.commits[repository.branches[branch]])
    for change in changes:
        value = change["value"]
        if change["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif change["key"] == "lfsFile":
            if value["oid"] not in at.hub.large:
                raise _Refused(400, f"{value['path']} was never uploaded")
            files[value["path"]] = at.hub.large[value["oid"]]
        elif change["key"] == "deletedFile":
            del files[value["path"]]
        else:
            raise _Refused(400, f"{change['key']} is unknown")
    commit = repository.commit(branch, files, head["value"]["summary"])
    at.tell({"commitUrl": f"{at.hub.url}/{name}/commit/{commit}", "commitOid": commit})


ROUTES: dict[str, Callable[..., None]] = {
    r"POST /api/repos/create": _create,
    rf"POST /api/models/{NAME}/branch/(.+)": _branch,
    rf"GET /api/models/{NAME}": _about,
    rf"GET /api/models/{NAME}/revision/(.+)": _about,
    rf"GET /api/models/{NAME}/tree/(.+)": _tree,
    rf"GET /{NAME}/resolve/(\w+)/(.+)": _resolve,
    r"POST /api/validate-yaml": _validate,
    rf"POST /api/models/{NAME}/preupload/(.+)": _preupload,
    rf"POST /{NAME}\.git/info/lfs/objects/batch": _batch,
    r"PUT /lfs/(\w+)": _upload,
    rf"POST /api/models/{NAME}/commit/(.+)": _commit,
}
