import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.config import check
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.data.sources.urls import guard, img2dataset
from rglcd_pipelines.data.sources.urls import source as urls
from rglcd_pipelines.data.sources.urls.list import UrlList, update_list
from rglcd_pipelines.data.sources.urls.source import UrlsConfig, UrlsSource
from rglcd_pipelines.errors import ConfigError, DataError
from tests.data.sources.urls.image_server import ImageServer, picture, serving

DAMAGED = [
    "file:///etc/hostname\ta file of this machine",
    "pipe:cat /etc/hostname\ta program of this machine",
    "http://127.0.0.1:1/a.jpg\ta port of this machine where nobody listens",
    "no tab in this row",
    "\tno URL",
    "http://example.com/a.jpg\t ",
    "",
]


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with serving() as server:
        yield server


def write_tsv(path: Path, rows: list[str]) -> str:
    path.write_bytes(b"".join(row.encode() + b"\n" for row in rows))
    return str(path)


def config(tsv: str, **settings: Any) -> UrlsConfig:
    usual = {
        "allow_private_hosts": True, "processes": 1, "threads": 16, "timeout": 1, "retries": 0,
        "urls_per_shard": 50, "max_image_bytes": 16 * 2**20,
    }  # fmt: skip
    return check(UrlsConfig, {"tsv": tsv, **usual, **settings})


def samples(source: UrlsSource) -> dict[str, str]:
    """The captions by key, of shards that must be whole."""
    found: dict[str, str] = {}
    for shard in source.shards():
        for sample in read_shard(shard):
            assert isinstance(sample, Sample), sample
            assert sample.image
            assert sample.caption
            assert sample.key not in found
            found[sample.key] = sample.caption.decode()
    return found


def shards_folder(raw: Path) -> Path:
    (folder,) = raw.glob("urls-*/shards")
    return folder


# The list


def listed(tmp_path: Path, tsv: Path, digest: str = "a", **settings: Any) -> UrlList:
    usual: dict[str, Any] = {"max_urls": None, "urls_per_shard": 10, "allow_private": False}
    return update_list(tmp_path / "out", tsv, digest, **(usual | settings))


def rows_of(tmp_path: Path, made: UrlList) -> list[tuple[str, str]]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(tmp_path / "out" / "lists" / name) for name in made.lists]
    return [(row["url"], row["caption"]) for table in tables for row in table.to_pylist()]


@pytest.mark.parametrize("name", ["cc12m.tsv", "cc12m.tsv.gz"])
def test_the_list_holds_what_may_be_downloaded_and_counts_the_rest(tmp_path: Path, name: str) -> None:
    good = [f"http://example.com/{number}.jpg\ta caption\twith a tab, № {number}" for number in range(25)]
    data = "\r\n".join([*good[:10], *DAMAGED, *good[10:]]).encode() + b"\n\xff\xfe\tbad\n" + b"x" * 2**21
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    made = listed(tmp_path, tmp_path / name)
    assert made.dropped == {"not_http": 2, "private_host": 1, "malformed_row": 6}
    assert rows_of(tmp_path, made) == [tuple(row.split("\t", 1)) for row in good]
    assert made.read_bytes == len(data)


def test_the_list_stops_at_max_urls_and_goes_on_from_there(tmp_path: Path) -> None:
    tsv = tmp_path / "cc12m.tsv"
    rows = [f"http://example.com/{number}.jpg\tcaption" for number in range(40)]
    write_tsv(tsv, rows[:20])
    assert listed(tmp_path, tsv, max_urls=15).lists == {"urls-00000.parquet": 15}
    assert listed(tmp_path, tsv, max_urls=18).lists == {"urls-00000.parquet": 15, "urls-00001.parquet": 3}
    write_tsv(tsv, rows)
    made = listed(tmp_path, tsv, "b")
    assert [url for url, _ in rows_of(tmp_path, made)] == [row.split("\t")[0] for row in rows]
    assert made.shard_sizes(10) == [10, 5, 3, 10, 10, 2]
    with pytest.raises(DataError, match="Raise max_urls"):
        listed(tmp_path, tsv, "b", max_urls=30)
    write_tsv(tsv, ["http://example.com/other.jpg\tcaption", *rows])
    with pytest.raises(DataError, match="was changed, not only appended to"):
        listed(tmp_path, tsv, "c")


@given(data=st.binary(), gap=st.integers(0, 100))
def test_every_row_is_kept_or_counted(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, gap: int
) -> None:
    folder = tmp_path_factory.mktemp("list")
    data = data[:gap] + b"\nhttp://example.com/a.jpg\tcaption\n" + data[gap:]
    (folder / "a.tsv").write_bytes(data)
    made = listed(folder, folder / "a.tsv")
    assert made.urls + sum(made.dropped.values()) == data.removesuffix(b"\n").count(b"\n") + 1
    assert made.urls >= 1


def test_lists_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty.tsv").touch()
    (tmp_path / "cut.tsv.gz").write_bytes(gzip.compress(b"http://example.com/a.jpg\tcaption\n" * 99)[:-12])
    with pytest.raises(DataError, match="has no rows"):
        listed(tmp_path, tmp_path / "empty.tsv")
    with pytest.raises(DataError, match="gzip file is damaged"):
        listed(tmp_path, tmp_path / "cut.tsv.gz")
    with pytest.raises(DataError, match="cannot be read"):
        UrlsSource(config(str(tmp_path / "none.tsv")), tmp_path / "raw").identity()


# The settings


def test_impossible_settings_are_refused() -> None:
    for settings in ({"resize_mode": "border"}, {"image_size": 512}, {"user_agent_token": "a\r\nHost: b"}):
        with pytest.raises(ConfigError):
            config("cc12m.tsv", **settings)


def test_the_identity_follows_content_not_patience(tmp_path: Path) -> None:
    tsv = write_tsv(tmp_path / "a.tsv", ["http://example.com/a.jpg\tcaption"])
    first = UrlsSource(config(tsv), tmp_path / "raw").identity()
    os.utime(tsv, (1, 1))
    assert UrlsSource(config(tsv, timeout=5, distributor="ray"), tmp_path / "raw").identity() == first
    assert UrlsSource(config(tsv, min_image_size=5), tmp_path / "raw").identity() != first
    write_tsv(tmp_path / "a.tsv", ["http://example.com/b.jpg\tcaption"])
    assert UrlsSource(config(tsv), tmp_path / "raw").identity() != first
    assert json.loads(json.dumps(first)) == first


@pytest.mark.parametrize("distributor", ["multiprocessing", "pyspark", "ray"])
def test_the_command_line(tmp_path: Path, distributor: str) -> None:
    settings = config(
        "a.tsv", distributor=distributor, user_agent_token="123", image_size=512, resize_mode="border"
    )
    command = img2dataset.command_line(Path("/env"), urls._arguments(settings, tmp_path))
    assert command[0] == "/env/bin/img2dataset"
    assert {
        f'--distributor="{distributor}"',
        f"--url_list={tmp_path}/lists",
        '--user_agent_token="123"',
        "--processes_count=1",
        "--resize_only_if_bigger=True",
        '--disallowed_header_directives=["noai", "noimageai", "noindex", "noimageindex"]',
    } <= set(command)
    assert not any(part.endswith("None") for part in command)


def test_a_folder_that_would_be_taken_for_a_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than a name"):
        UrlsSource(config("a.tsv"), tmp_path / "raw[1]")


# The guard in the processes of img2dataset


def fetch(url: str, allow_private: bool = True, max_bytes: int = 2**20) -> bytes:
    with guard.opener(allow_private, max_bytes).open(Request(url), timeout=5) as answer:
        return answer.read()


def test_the_guard_lets_images_through(server: ImageServer) -> None:
    assert fetch(server.url("good", 1)) == picture(1)
    with pytest.raises(HTTPError, match="404"):
        fetch(server.url("missing", 1))


def test_the_guard_refuses_too_large_answers(server: ImageServer) -> None:
    for kind in ("large", "endless"):
        with pytest.raises(URLError, match="refused: too_large"):
            fetch(server.url(kind, 1))


def test_the_guard_follows_no_redirect_away_from_http(server: ImageServer) -> None:
    with pytest.raises(URLError, match="unknown url type: ftp"):
        fetch(server.url("away", 1))


def test_the_guard_refuses_names_of_private_addresses(
    server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_args, **_options: [(2, 1, 6, "", ("127.0.0.1", server.server_port))]
    )
    url = server.url("good", 1)
    named = url.replace("127.0.0.1", "example.com")
    assert fetch(named) == picture(1)
    for refused in (url, named):
        with pytest.raises(URLError, match="refused: private_host"):
            fetch(refused, allow_private=False)
    assert sum(server.asked.values()) == 1


# A child that goes wrong


def running(group: int) -> list[str]:
    """The processes of a group that are not dead yet."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number, *_ = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended just now
        if int(number) == group and state not in "ZX":
            found.append(file.parent.name)
    return found


def stub(folder: Path, script: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "img2dataset"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo this is what happened; exit 3", "failed with exit status 3.*this is what happened"),
        ("kill -9 $$", "was ended by SIGKILL"),
        ("exit 0", "ended before it was done: 1 of 1 shards"),
        ("echo $$ > child; sleep 60; echo woken up", "made no progress"),
    ],
)
def test_a_child_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    environment = stub(tmp_path / "env", script)
    monkeypatch.setattr(img2dataset, "environment", lambda _distributor: environment)
    monkeypatch.setattr(urls, "_LEAST_PATIENCE", 0)
    tsv = write_tsv(tmp_path / "a.tsv", ["http://127.0.0.1:1/a.jpg\tcaption"])
    settings = config(tsv).model_copy(update={"timeout": 0})
    with pytest.raises(DataError, match=f"(?s){told}") as error:
        list(UrlsSource(settings, tmp_path / "raw").shards())
    assert f"{environment}/bin/img2dataset --url_list=" in str(error.value)
    for file in tmp_path.glob("raw/urls-*/child"):
        assert running(int(file.read_text())) == []


def start(tsv: str, raw: Path, environment: Path | None = None, **settings: Any) -> "subprocess.Popen[bytes]":
    """Our side of a download, as a process that can be stopped."""
    program = f"""
import sys, json, pathlib
from rglcd_pipelines.data.sources.urls import img2dataset
from rglcd_pipelines.data.sources.urls.source import UrlsConfig, UrlsSource
if {environment is not None}:
    img2dataset.environment = lambda distributor: pathlib.Path({str(environment)!r})
list(UrlsSource(UrlsConfig(**json.loads(sys.argv[1])), pathlib.Path(sys.argv[2])).shards())
"""
    values = json.dumps(config(tsv, **settings).model_dump())
    command = [sys.executable, "-c", program, values, str(raw)]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)


def test_a_run_that_is_interrupted_leaves_no_child(tmp_path: Path) -> None:
    environment = stub(tmp_path / "env", "sleep 60 & echo $$ > child; wait")
    tsv = write_tsv(tmp_path / "a.tsv", ["http://127.0.0.1:1/a.jpg\tcaption"])
    process = start(tsv, tmp_path / "raw", environment)
    while not (files := [file for file in tmp_path.glob("raw/urls-*/child") if file.read_text()]):
        assert process.poll() is None
        time.sleep(0.02)
    child = int(files[0].read_text())
    assert running(child)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert running(child) == []


def test_overwriting_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = stub(tmp_path / "env", "ls shards lists; mkdir -p shards; touch shards/00000.tar; exit 1")
    monkeypatch.setattr(img2dataset, "environment", lambda _distributor: environment)
    tsv = write_tsv(tmp_path / "a.tsv", ["http://127.0.0.1:1/a.jpg\tcaption"])
    for mode, is_kept in (("incremental", False), ("incremental", True), ("overwrite", False)):
        with pytest.raises(DataError, match=r"urls-00000\.parquet") as error:
            list(UrlsSource(config(tsv, incremental_mode=mode), tmp_path / "raw").shards())
        assert ("  00000.tar" in str(error.value)) == is_kept


def test_an_environment_that_cannot_be_built_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    for _ in range(2):
        with pytest.raises(DataError, match=r"could not be built.*check the network.*same command again"):
            img2dataset.environment("multiprocessing")


def test_the_lock_names_no_index() -> None:
    lock = img2dataset._text("img2dataset.lock")
    assert "://" not in lock
    assert all("==" in line for line in lock.splitlines() if not line.startswith(" "))


# The real thing


@pytest.fixture(scope="session")
def environment() -> Path:
    return img2dataset.environment("multiprocessing")


KINDS = Counter(good=240, missing=20, slow=6, corrupt=12, bomb=4, large=4, endless=2, robots=6, away=3)


def all_kinds(server: ImageServer) -> list[str]:
    rows = [f"{server.url(kind, n)}\t{kind} № {n}" for kind, count in KINDS.items() for n in range(count)]
    return sorted(rows, key=lambda row: row[::-1])


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
def test_every_row_of_a_tsv_is_in_a_shard_or_counted(tmp_path: Path, server: ImageServer) -> None:
    rows = all_kinds(server)
    tsv = write_tsv(tmp_path / "a.tsv", [*rows[:100], *DAMAGED, *rows[100:]])
    source = UrlsSource(config(tsv), tmp_path / "raw")
    found = samples(source)
    kinds = Counter(caption.partition(" ")[0] for caption in found.values())
    assert kinds == Counter(good=240, large=4)
    assert source.losses() == {
        "disallowed": 6, "http_error": 20, "malformed_row": 4, "not_http": 2 + 3, "timeout": 6,
        "too_large": 2, "undecodable": 12 + 4, "unreachable": 1,
    }  # fmt: skip
    assert len(found) + sum(source.losses().values()) == len(rows) + len(DAMAGED)
    (first, *_) = source.shards()
    for sample in read_shard(first):
        assert isinstance(sample, Sample)
        assert sample.caption
        kind, number = sample.caption.decode().split(" № ")
        assert sample.image == (server.large if kind == "large" else picture(int(number)))

    asked = server.asked.total()
    again = UrlsSource(config(tsv, timeout=9), tmp_path / "raw")
    assert samples(again) == found
    assert again.losses() == source.losses()
    assert server.asked.total() == asked


@pytest.mark.slow
def test_nothing_is_asked_of_private_hosts(tmp_path: Path, server: ImageServer) -> None:
    rows = all_kinds(server)
    tsv = write_tsv(tmp_path / "a.tsv", rows)
    source = UrlsSource(config(tsv, allow_private_hosts=False), tmp_path / "raw")
    assert list(source.shards()) == []
    assert source.losses() == {"private_host": len(rows)}
    assert server.asked.total() == 0


def wait_for(process: "subprocess.Popen[bytes]", raw: Path, shards: int) -> set[Path]:
    """The tars that are finished once there are so many; the download must still be going on."""
    while process.poll() is None:
        finished = {file for file in raw.glob("urls-*/shards/*_stats.json") if file.stat().st_size}
        if len(finished) >= shards:
            return {file.with_name(file.name.replace("_stats.json", ".tar")) for file in finished}
        time.sleep(0.02)
    raise AssertionError("the download ended before it could be stopped")


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
def test_a_killed_run_goes_on_and_takes_nothing_twice(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"threads": 4, "urls_per_shard": 50}
    with serving(pause=0.05) as server:
        rows = [f"{server.url('good', n)}\t№ {n}" for n in range(300)]
        tsv = write_tsv(tmp_path / "a.tsv", rows)
        process = start(tsv, tmp_path / "raw", **settings)
        finished = wait_for(process, tmp_path / "raw", 2)
        child = next(
            int(file.parent.name)
            for file in Path("/proc").glob("[0-9]*/cmdline")
            if f"--output_folder={tmp_path}".encode() in file.read_bytes()
        )
        assert len(running(child)) > 1
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        bodies = {tar: tar.read_bytes() for tar in finished}
        source = UrlsSource(config(tsv, **settings), tmp_path / "raw")
        found = samples(source)
        assert running(child) == []
    assert sorted(found.values()) == sorted(row.split("\t")[1] for row in rows)
    assert source.losses() == {}
    assert {tar: tar.read_bytes() for tar in finished} == bodies
    kept = [sample.caption for tar in finished for sample in read_shard(tar) if isinstance(sample, Sample)]
    assert len(kept) == 50 * len(finished)
    for caption in kept:
        assert caption
        assert server.asked[f"/good/{caption.decode().split()[-1]}"] == 1


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
def test_the_next_run_downloads_what_is_damaged_and_what_was_added(
    tmp_path: Path, server: ImageServer
) -> None:
    tsv = tmp_path / "a.tsv"
    rows = [f"{server.url('good', n)}\t№ {n}" for n in range(70)]
    write_tsv(tsv, rows[:35])
    settings: dict[str, Any] = {"incremental_mode": "extend", "urls_per_shard": 10}
    source = UrlsSource(config(str(tsv), **settings), tmp_path / "raw")
    first, identity = samples(source), source.identity()
    folder = shards_folder(tmp_path / "raw")
    (folder / "00000_stats.json").write_text('{"count": 10, "succ')
    os.truncate(folder / "00001.tar", 10_000)
    (folder / "00002.parquet").unlink()
    write_tsv(tsv, rows)
    source = UrlsSource(config(str(tsv), **settings), tmp_path / "raw")
    assert source.identity() != identity
    both = samples(source)
    assert first.items() <= both.items()
    assert sorted(both.values()) == sorted(row.split("\t")[1] for row in rows)
    asked = {n: server.asked[f"/good/{n}"] for n in range(70)}
    assert asked == {n: 2 if n < 30 else 1 for n in range(70)}


@pytest.mark.slow
@pytest.mark.parametrize("distributor", ["ray", "pyspark"])
def test_the_other_distributors(tmp_path: Path, server: ImageServer, distributor: str) -> None:
    if distributor == "pyspark" and shutil.which("java") is None:
        pytest.skip("pyspark needs Java 17, and there is no java here")
    rows = [f"{server.url('good' if n % 4 else 'missing', n)}\t№ {n}" for n in range(40)]
    source = UrlsSource(
        config(write_tsv(tmp_path / "a.tsv", rows), distributor=distributor, urls_per_shard=10),
        tmp_path / "raw",
    )
    assert len(samples(source)) == 30
    assert source.losses() == {"http_error": 10}
    assert server.asked.total() == 40


@pytest.mark.slow
def test_a_package_that_is_not_the_locked_one_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {name: img2dataset._text(name) for name in ("img2dataset.lock", "guard.py", "addresses.py")}
    before, pin, after = texts["img2dataset.lock"].partition("termcolor==")
    texts["img2dataset.lock"] = before + pin + re.sub("sha256:.{8}", "sha256:00000000", after, count=2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(img2dataset, "_text", texts.__getitem__)
    with pytest.raises(DataError, match=r"(?i)termcolor(.|\n)*hash"):
        img2dataset.environment("multiprocessing")
