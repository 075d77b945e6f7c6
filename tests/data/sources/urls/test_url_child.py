"""The environment of img2dataset, and a child that goes wrong."""

import re
import signal
import time
from pathlib import Path

import pytest

from rglcd_pipelines.data.sources.urls import img2dataset
from rglcd_pipelines.data.sources.urls import source as urls
from rglcd_pipelines.data.sources.urls.source import UrlsSource
from rglcd_pipelines.errors import DataError
from tests.data.sources.urls.url_runs import config, ended, running, start, stub, write_tsv


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
        assert ended(int(file.read_text()))


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
    assert ended(child)


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
