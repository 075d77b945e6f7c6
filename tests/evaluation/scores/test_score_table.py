"""The scores of a model: written, read again, and told by file where they are damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rglcd_pipelines.artifacts import Artifact, draft, publish
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.scores.table import Figure, Measure, Scores, write_scores

COLUMNS = {"2": Column(2, 2, "lcm"), "4": Column(4, 4, "lcm")}
MEASURES = {
    "hps": Measure("hps-mini", "high", "A cosine.", "held_out", 100.0),
    "fid": Measure("fid-mini", "low", "A distance.", "distance"),
}
FIGURES = [
    Figure("4", "hpsv2", "anime", "hps", 0.25, 0.24, 0.26, 2, 0.01),
    Figure("4", "coco", "", "fid", 19.0, None, None, 3),
]


def rows() -> pa.Table:
    return pa.table(
        {
            "hps": pa.array([0.1, 0.2, 0.3, None, 0.5], pa.float64()),
            "column": ["4", "4", "4", "2", "4"],
            "set": ["hpsv2", "hpsv2", "coco", "hpsv2", "coco"],
            "group": ["photo", "anime", "", "photo", ""],
            "key": ["h/0", "h/1", "c/0", "h/0", "c/1"],
            "repeat": [0, 0, 0, 0, 0],
        }
    )


def write(place: Path, **changes: Any) -> Artifact:
    parts: dict[str, Any] = {
        "name": "hps",
        "columns": COLUMNS,
        "measures": MEASURES,
        "rows": rows(),
        "features": {("4", "coco"): np.arange(8.0).reshape(2, 4)},
        "figures": FIGURES,
        "facts": {"seconds_per_image": {"4": 0.1}},
    }
    with draft(place, {}) as work:
        write_scores(work.path, **parts | changes)
        return publish(work, place, "scores", {}, {}, {})


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    scores = Scores.open(write(tmp_path / "hps"))
    assert (scores.name, scores.columns, scores.measures) == ("hps", COLUMNS, MEASURES)
    assert scores.figures == FIGURES
    assert scores.facts == {"seconds_per_image": {"4": 0.1}}
    assert scores.figure("4", "hpsv2", "hps", "anime") == FIGURES[0]
    assert scores.figure("4", "hpsv2", "hps") is None


def test_values_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    scores = Scores.open(write(tmp_path / "hps"))
    assert scores.values("4", "hpsv2", "hps") == pytest.approx([0.1, 0.2])
    assert scores.values("4", "hpsv2", "hps", "anime") == pytest.approx([0.2])
    assert np.isnan(scores.values("2", "hpsv2", "hps")).all()
    assert scores.groups("4", "hpsv2") == ["photo", "anime"]
    assert len(scores.values("2", "coco", "hps")) == 0
    assert (scores.measured("4", "hpsv2", "hps"), scores.measured("2", "hpsv2", "hps")) == (True, False)


def test_features_come_as_they_were(tmp_path: Path) -> None:
    scores = Scores.open(write(tmp_path / "hps"))
    features = scores.features("4", "coco")
    assert features is not None
    assert features.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert scores.features("2", "coco") is None


@settings(deadline=None, max_examples=30)
@given(value=st.floats(allow_nan=False, allow_infinity=False), text=st.text(max_size=20))
def test_any_number_and_any_name_survive(
    tmp_path_factory: pytest.TempPathFactory, value: float, text: str
) -> None:
    figure = Figure("4", "coco", text, "fid", value, value, None, 1)
    place = tmp_path_factory.mktemp("scores") / "hps"
    assert Scores.open(write(place, figures=[figure])).figures == [figure]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _other_shape(file: Path) -> None:
    np.save(file, np.zeros((3, 4), np.float32))


def _pickled(file: Path) -> None:
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)


def _misspelt(file: Path) -> None:
    told = json.loads(file.read_text())
    told["figures"][0]["value"] = "high"
    file.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("scores.json", _cut, "scores.json: is damaged"),
        ("scores.json", _misspelt, r"scores.json: is damaged \(figures.0.value"),
        ("scores.json", Path.unlink, "scores.json: is missing"),
        ("scores.parquet", _cut, "scores.parquet: is damaged"),
        ("scores.parquet", Path.unlink, "scores.parquet: is missing"),
        ("features/4-coco.npy", _cut, "4-coco.npy: is damaged"),
        (
            "features/4-coco.npy",
            _other_shape,
            r"4-coco.npy: features of shape \(3, 4\), but .* has 2 samples",
        ),
        ("features/4-coco.npy", _pickled, "4-coco.npy: is damaged"),
    ],
)
def test_damage_is_told_by_file(
    tmp_path: Path, name: str, damage: Callable[[Path], object], says: str
) -> None:
    artifact = write(tmp_path / "hps")
    damage(artifact.path / name)
    with pytest.raises(DataError, match=says) as caught:
        scores = Scores.open(artifact)
        scores.values("4", "hpsv2", "hps")
        scores.features("4", "coco")
    assert "kedro run --pipeline=evaluate" in str(caught.value)


def test_scores_that_nobody_tells_of_are_damage(tmp_path: Path) -> None:
    artifact = write(tmp_path / "hps")
    told = json.loads((artifact.path / "scores.json").read_text())
    del told["measures"]["hps"]
    (artifact.path / "scores.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"has scores of hps, which scores\.json does not tell of"):
        Scores.open(artifact).values("4", "hpsv2", "hps")


def _with(name: str, values: list[Any]) -> pa.Table:
    table = rows()
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": pa.concat_tables([rows(), rows()])}, "h/0 of column 4 twice"),
        ({"rows": _with("hps", [0.1, float("nan"), 0.3, 0.4, 0.5])}, "that are not numbers"),
        ({"rows": _with("column", ["4", "4", "4", "8", "4"])}, "samples of column 8"),
        ({"features": {("4", "coco"): np.zeros((5, 4))}}, r"features \(5, 4\) of 2 samples"),
        ({"figures": [Figure("4", "coco", "", "fid", float("inf"), None, None, 3)]}, "is not a number"),
        ({"figures": [Figure("4", "coco", "", "kid", 1.0, None, None, 3)]}, "not told of"),
    ],
)
def test_what_nobody_could_read_is_not_written(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write(tmp_path / "hps", **change)


def test_two_features_never_share_a_file(tmp_path: Path) -> None:
    columns = {"a-b": COLUMNS["4"], "a": COLUMNS["2"]}
    table = pa.table(
        {"column": ["a-b", "a"], "set": ["c", "b-c"], "group": ["", ""], "key": ["x", "y"], "repeat": [0, 0]}
    )
    features = {("a-b", "c"): np.zeros((1, 2)), ("a", "b-c"): np.zeros((1, 2))}
    with pytest.raises(ValueError, match="one file"):
        write(tmp_path / "hps", columns=columns, rows=table, features=features, figures=[])
