"""Shards that exist are found in order, on this machine or on a hub; anything else is refused in words."""

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
from rglcd_pipelines.errors import ConfigError, DataError
from tests.data.sources.hub_server import REPOSITORY, REVISION, Hub, serve


def local(path: Path | str, raw: Path = Path("unused")) -> ShardsSource:
    return ShardsSource(ShardsConfig(path=str(path)), raw)


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    (folder / "deep").mkdir(parents=True)
    for name in ("b-001.tar", "a-010.tar", "a-002.tar", "notes.txt", "deep/c.tar"):
        (folder / name).write_bytes(name.encode())
    (folder / "folder.tar").mkdir()
    return folder


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["a-002.tar", "a-010.tar", "b-001.tar"]),
        ("a-010.tar", ["a-010.tar"]),
        ("a-*.tar", ["a-002.tar", "a-010.tar"]),
        ("a-{001..010}.tar", ["a-002.tar", "a-010.tar"]),
        ("{b,a}-0*.tar", ["a-002.tar", "a-010.tar", "b-001.tar"]),
        ("{a,a}-002.tar", ["a-002.tar"]),
        ("**/*.tar", ["a-002.tar", "a-010.tar", "b-001.tar", "c.tar"]),
    ],
)
def test_local_shards_in_order(tars: Path, pattern: str, names: list[str]) -> None:
    source = local(f"{tars}/{pattern}")
    assert [path.name for path in source.shards()] == names
    assert source.losses() == {}


def test_the_identity_changes_with_the_files(tars: Path) -> None:
    source = local(tars)
    first = source.identity()
    assert first == source.identity() == json.loads(json.dumps(first))
    assert first != local(tars / "a-*.tar").identity()
    os.utime(tars / "a-002.tar", ns=(1, 1))
    touched = source.identity()
    assert touched != first
    (tars / "a-002.tar").write_bytes(b"longer than before")
    os.utime(tars / "a-002.tar", ns=(1, 1))
    assert source.identity() != touched


def test_no_match_names_the_pattern(tmp_path: Path) -> None:
    for pattern in (tmp_path, tmp_path / "*.tar", tmp_path / "{0..9}.tar", tmp_path / "none.tar"):
        with pytest.raises(DataError) as caught:
            list(local(pattern).shards())
        assert str(pattern) in str(caught.value)


def test_braces_that_do_not_close(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shards\.path"):
        local(f"{tmp_path}/{{a,b.tar").identity()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"path": "pipe:cat x.tar"}, "a URL or a command"),
        ({"path": " pipe:touch x"}, "a URL or a command"),
        ({"path": "file:/x.tar"}, "a URL or a command"),
        ({"path": "http://a/x.tar"}, "a URL or a command"),
        ({"path": "s3://a/x.tar"}, "a URL or a command"),
        ({}, "give either path"),
        ({"path": "x", "repository": "a/b", "revision": REVISION}, "give either path"),
        ({"path": "x", "revision": REVISION}, "revision belongs to repository"),
        ({"repository": "a/b", "revision": "main"}, "pins nothing"),
        ({"repository": "a/b", "revision": REVISION[:12]}, "pins nothing"),
        ({"repository": "a/b", "revison": REVISION}, "did you mean shards.revision?"),
    ],
)
def test_impossible_settings(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(ShardsConfig, values, "shards")
    assert words in str(caught.value)


def test_commands_hidden_in_braces_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no tar matches"):
        list(local("{pipe:touch ran,pipe:touch ran}").shards())
    assert list(tmp_path.iterdir()) == []


def test_the_identity_of_the_hub_asks_nobody() -> None:
    config = ShardsConfig(repository=REPOSITORY, revision=REVISION)
    assert ShardsSource(config, Path("unused")).identity() == {
        "source": "hub",
        "repository": REPOSITORY,
        "revision": REVISION,
        "pattern": "*.tar",
    }


CLIENT = """
    import json, sys
    from itertools import islice
    from pathlib import Path
    from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource
    from rglcd_pipelines.errors import DataError
    values, raw, count = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    try:
        paths = ShardsSource(ShardsConfig(**values), raw).shards()
        print(json.dumps([str(path) for path in islice(paths, count)]))
    except DataError as error:
        sys.exit(str(error))
"""


def fetch(
    url: str, raw: Path, values: dict[str, str | None] | None = None, count: int = 99
) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as the hub's library reads HF_ENDPOINT when it is imported."""
    config = {"repository": REPOSITORY, "revision": REVISION, **(values or {})}
    names = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in names if name in os.environ} | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(raw / "hf-home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), json.dumps(config), str(raw), str(count)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


DATA: dict[str, str | None] = {"pattern": "data/*.tar"}
# The second is large, as the hub's library keeps what it gets in pieces of 10 MiB.
FILES = {
    "README.md": b"# Pairs",
    "data/00001.tar": bytes(range(256)) * 98_304,
    "data/00000.tar": bytes(range(256)) * 1000,
    "data/00002.tar": b"third",
    "old/00000.tar": b"old",
}


@pytest.mark.slow
def test_the_hub_from_the_first_request_to_the_last(tmp_path: Path) -> None:
    with serve(Hub(FILES, fail_once={"data/00001.tar"})) as hub:
        done = fetch(hub.url, tmp_path, DATA, 2)
        assert done.returncode == 0, done.stderr
        paths = [Path(path) for path in json.loads(done.stdout)]
        assert [path.name for path in paths] == ["00000.tar", "00001.tar"]
        assert [path.read_bytes() for path in paths] == [FILES["data/00000.tar"], FILES["data/00001.tar"]]
        # Shard by shard: the third was not asked for; the one whose connection broke went on from there.
        assert hub.fetched() == ["00000.tar", "00001.tar", "00001.tar"]
        assert re.fullmatch(r"bytes=[1-9]\d+-", hub.requests[-1][2])

        before = len(hub.requests)
        again = fetch(hub.url, tmp_path, DATA, 3)
        assert [Path(path).name for path in json.loads(again.stdout)] == [
            "00000.tar",
            "00001.tar",
            "00002.tar",
        ]
        assert {path.rpartition("/")[2] for _, path, _ in hub.requests[before:]} == {"00002.tar"}
    # Nobody listens any more, and nobody needs to.
    offline = fetch(hub.url, tmp_path, DATA, 3)
    assert json.loads(offline.stdout) == json.loads(again.stdout)


@pytest.mark.slow
def test_without_a_revision_the_newest_is_pinned_for_good(tmp_path: Path) -> None:
    with serve(Hub(FILES)) as hub:
        first = fetch(hub.url, tmp_path, {**DATA, "revision": None}, 1)
        assert first.returncode == 0, first.stderr
        hub.head = "e" * 40  # somebody pushes; this commit the server does not even have
        second = fetch(hub.url, tmp_path, {**DATA, "revision": None}, 2)
        assert second.returncode == 0, second.stderr
        assert json.loads(second.stdout)[0] == json.loads(first.stdout)[0]
    pin = json.loads((tmp_path / "tester--pairs.json").read_text())
    assert pin == {"repository": REPOSITORY, "revision": REVISION}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "gated", "words"),
    [
        ({"repository": "tester/none"}, False, ["tester/none", "shards.repository", "HF_TOKEN"]),
        ({"revision": "f" * 40}, False, ["shards.revision", "f" * 40]),
        ({}, True, ["gated", "HF_TOKEN"]),
        ({"pattern": "*.zip"}, False, ["shards.pattern", "'*.zip'", "README.md"]),
        ({"repository": "not a name"}, False, ["not a name", "shards.repository"]),
    ],
)
def test_what_the_hub_refuses_is_told(
    tmp_path: Path, values: dict[str, str | None], gated: bool, words: list[str]
) -> None:
    with serve(Hub(FILES, gated=gated)) as hub:
        done = fetch(hub.url, tmp_path, values)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.slow
def test_a_hub_that_breaks_off_every_time_leaves_nothing_half_written(tmp_path: Path) -> None:
    with serve(Hub(FILES, fail_always={"data/00001.tar"})) as hub:
        hub.files = {**FILES, "data/00001.tar": b"ab"}  # so small that each attempt brings nothing new
        done = fetch(hub.url, tmp_path, DATA)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "run the same command again" in done.stderr
        assert [path.name for path in tmp_path.rglob("*.tar")] == ["00000.tar"]
        hub.fail_always.clear()
        again = fetch(hub.url, tmp_path, DATA)
        assert [Path(path).name for path in json.loads(again.stdout)] == [
            "00000.tar",
            "00001.tar",
            "00002.tar",
        ]


@pytest.mark.slow
def test_without_a_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = fetch(url, tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "network" in done.stderr
