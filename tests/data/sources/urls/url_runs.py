"""What the tests of downloads share: lists, settings, and programs that are started and watched."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rglcd_pipelines.config import check
from rglcd_pipelines.data.shards import Sample, read_shard
from rglcd_pipelines.data.sources.urls.source import UrlsConfig, UrlsSource

DAMAGED = [
    "file:///etc/hostname\ta file of this machine",
    "pipe:cat /etc/hostname\ta program of this machine",
    "http://127.0.0.1:1/a.jpg\ta port of this machine where nobody listens",
    "no tab in this row",
    "\tno URL",
    "http://example.com/a.jpg\t ",
    "",
]


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


def ended(child: int) -> bool:
    """Whether nothing of the child's group is left; on a busy machine the dead take a moment to go."""
    end = time.monotonic() + 10
    while running(child) and time.monotonic() < end:
        time.sleep(0.02)
    return not running(child)


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
