"""The settings of a download: what is refused, what the identity follows, what img2dataset is told."""

import json
import os
from pathlib import Path

import pytest

from rglcd_pipelines.data.sources.urls import img2dataset
from rglcd_pipelines.data.sources.urls import source as urls
from rglcd_pipelines.data.sources.urls.source import UrlsSource
from rglcd_pipelines.errors import ConfigError, DataError
from tests.data.sources.urls.url_runs import config, write_tsv


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
