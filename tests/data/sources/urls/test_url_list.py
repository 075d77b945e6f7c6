"""Every row of a list is kept for the download or counted."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.data.sources.urls.list import UrlList, update_list
from rglcd_pipelines.data.sources.urls.source import UrlsSource
from rglcd_pipelines.errors import DataError
from tests.data.sources.urls.url_runs import DAMAGED, config, write_tsv


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
