"""When a run stops: too many rejected pairs, nothing kept, or a worker that dies."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from rglcd_pipelines.data.pairs.clean import clean
from rglcd_pipelines.errors import DataError
from tests.data.make_shards import pair, png, write_good_shards, write_tar
from tests.data.pairs.ingest_runs import Listed, config, files


def many(folder: Path, good: int, bad: int) -> Path:
    """`bad` pairs without a caption, then `good` ones."""
    image = png(0)
    write_tar(folder / "0.tar", [(f"bad{n}.png", image) for n in range(bad)])
    write_tar(folder / "1.tar", (member for n in range(good) for member in pair(f"good{n}", n)))
    return folder


def test_too_many_rejected_stops_the_run_with_the_counts(tmp_path: Path) -> None:
    source = Listed(many(tmp_path / "in", good=3, bad=1001))
    with pytest.raises(DataError) as caught:
        clean(source, config(), tmp_path / "pairs")
    told = str(caught.value)
    assert "1001 of 1001 pairs (100.0%)" in told
    assert "1,001 missing_caption" in told
    assert "clean.rules.max_rejected_share" in told
    assert source.given == ["0.tar"]  # it did not wait for the end
    assert not (tmp_path / "pairs").exists()


def test_few_rejected_pairs_stop_it_only_at_the_end(tmp_path: Path) -> None:
    folder = many(tmp_path / "in", good=25, bad=30)
    source = Listed(folder)
    with pytest.raises(DataError, match=r"30 of 55 pairs \(54\.5%\)"):
        clean(source, config(), tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()
    # The share is no part of what the pairs are made from: raised, the run goes on where it stopped.
    source.given.clear()
    artifact = clean(source, config({"max_rejected_share": 0.6}), tmp_path / "pairs")
    assert source.given == []
    fresh = clean(Listed(folder), config({"max_rejected_share": 0.6}), tmp_path / "fresh")
    assert files(artifact.path) == files(fresh.path)
    with pytest.raises(DataError, match="30 of 55"):
        clean(source, config(), tmp_path / "pairs")


def test_nothing_kept_and_nothing_there(tmp_path: Path) -> None:
    everything = config({"max_rejected_share": 1.0})
    with pytest.raises(DataError, match=r"none of 6 pairs was kept:\n +5 missing_caption\n +1 empty_shard"):
        clean(Listed(many(tmp_path / "in", good=0, bad=5)), everything, tmp_path / "pairs")

    class Empty(Listed):
        def shards(self) -> Iterator[Path]:
            return iter(())

    with pytest.raises(DataError, match="no pairs at all"):
        clean(Empty(tmp_path / "in"), everything, tmp_path / "empty")
    assert not (tmp_path / "pairs").exists()
    assert not (tmp_path / "empty").exists()


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    class Deadly(Listed):
        def shards(self) -> Iterator[Path]:
            for number, path in enumerate(super().shards()):
                if number == 3:
                    for worker in multiprocessing.active_children():
                        worker.kill()
                        worker.join()
                yield path

    folder = write_good_shards(tmp_path / "in", shards=5, samples=9)
    with pytest.raises(DataError, match=r"lower clean\.workers"):
        clean(Deadly(folder), config(workers=2), tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()
    artifact = clean(Listed(folder), config(), tmp_path / "pairs")
    assert files(artifact.path) == files(clean(Listed(folder), config(), tmp_path / "fresh").path)
