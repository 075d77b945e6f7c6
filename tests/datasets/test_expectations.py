"""Great Expectations guards what stages leave: the good passes once, the rest is told by column."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.datasets.expectations import LatentsExpectations, PairsExpectations
from rglcd_pipelines.errors import DataError


def latents(path: Path, **changed: Any) -> Artifact:
    statistics = {
        "mean": [0.1, -0.2],
        "std": [1.0, 2.0],
        "min": [-3.0, -4.0],
        "max": [3.0, 4.0],
        "nonfinite": 0,
    }
    return Artifact(
        path, {"kind": "latents", "latent": {"shape": [2, 8, 8]}, "statistics": statistics | changed}
    )


def pairs(path: Path, **changed: Any) -> Artifact:
    table = {
        "key": ["a", "b", "c"],
        "output_key": ["000000000", "000000001", None],
        "caption": ["a red fish", "a tree", None],
        "width": [32, 32, 32],
        "height": [32, 48, 32],
        "digest": ["0" * 64, "1" * 64, "2" * 64],
        "kept": [True, True, False],
        "reason": [None, None, "empty_caption"],
    }
    path.mkdir(exist_ok=True)
    pd.DataFrame(table | changed).to_parquet(path / "table.parquet")
    counts = {"seen": 3, "kept": 2, "rejected": 1, "reasons": {"empty_caption": 1}}
    return Artifact(path, {"kind": "pairs", "counts": counts, "table": {"name": "table.parquet"}})


def test_good_ones_pass_and_leave_data_docs(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    LatentsExpectations(str(docs)).validate(latents(tmp_path))
    PairsExpectations(str(docs)).validate(pairs(tmp_path / "pairs"))
    index = docs / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"
    assert "latents" in index.read_text()
    assert "pairs" in index.read_text()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"nonfinite": 3}, "nonfinite"),
        ({"std": [1.0, 0.0]}, "std"),
        ({"std": [1.0, None]}, "std"),
        ({"std": [1.0, 300.0]}, "std"),
        ({"mean": [0.0, 99.0]}, "mean"),
        ({"mean": [0.0, None]}, "mean"),
        ({"max": [1.0, float("inf")]}, "max"),
    ],
)
def test_implausible_latents_are_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)does not hold.*\n  {told}: "):
        LatentsExpectations(str(tmp_path / "docs")).validate(latents(tmp_path, **changed))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"output_key": ["000000000", "000000000", None]}, "output_key"),
        ({"caption": ["a", None, None]}, "caption"),
        ({"caption": ["a", "", None]}, "caption"),
        ({"kept": [True, True, True]}, "kept"),
        ({"reason": [None, None, None]}, "reason"),
        ({"reason": [None, None, "bad luck"]}, "reason"),
        ({"width": [32, 0, 32]}, "width"),
        ({"digest": ["0" * 64, "short", None]}, "digest"),
        ({"key": ["a", None, "c"]}, "key"),
    ],
)
def test_a_table_that_does_not_add_up_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)does not hold.*\n  {told}: "):
        PairsExpectations(str(tmp_path / "docs")).validate(pairs(tmp_path / "pairs", **changed))


def test_what_passed_once_is_not_checked_again_but_a_change_is(tmp_path: Path) -> None:
    guard = PairsExpectations(str(tmp_path / "docs"))
    good = pairs(tmp_path / "pairs")
    guard.validate(good)
    (tmp_path / "pairs" / "table.parquet").unlink()
    guard.validate(good)
    changed = Artifact(good.path, {**good.manifest, "counts": {**good.manifest["counts"], "seen": 4}})
    with pytest.raises(FileNotFoundError):
        guard.validate(changed)
