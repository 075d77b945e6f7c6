"""Real downloads by img2dataset, from a server that misbehaves."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.data.sources.urls.source import UrlsSource
from tests.data.sources.urls.image_server import ImageServer, picture, serving
from tests.data.sources.urls.url_runs import DAMAGED, config, running, samples, start, write_tsv

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


def shards_folder(raw: Path) -> Path:
    (folder,) = raw.glob("urls-*/shards")
    return folder


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
