"""The file of what MLflow was not told: whole after a crash, held by one alone, and without passwords."""

import json
from pathlib import Path

import pytest
from PIL import Image

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.unsent import Record, UnsentFile, opened

URI = "http://127.0.0.1:5000"


def test_what_is_kept_is_what_was_told(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path, "run", URI)
    told = [
        Record(1, 0, {"loss": float("inf")}, tags={"a": "\u2028"}),
        Record(2, params={"beta": ""}, status="FINISHED"),
        Record(3, 5, picture="samples", image=Image.new("RGB", (2, 1), (7, 8, 9))),
    ]
    kept = file.append(told)
    file.release()
    with opened(tmp_path / "run.jsonl") as unsent:
        assert (unsent.run_id, unsent.tracking_uri) == ("run", URI)
        assert unsent.records == kept
        assert unsent.records[:2] == told[:2]
        assert isinstance(kept[2].image, Path)
        assert Image.open(kept[2].image).getpixel((0, 0)) == (7, 8, 9)


def test_half_a_line_loses_no_other(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path, "run", URI)
    file.append([Record(1, 1, {"loss": 1.0}), Record(2, 2, {"loss": 2.0})])
    file.release()
    path = tmp_path / "run.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    with opened(path) as unsent:
        assert [record.step for record in unsent.records] == [1]


def test_a_run_under_way_keeps_its_file(tmp_path: Path) -> None:
    file = UnsentFile(tmp_path, "run", URI)
    file.append([Record(1, 1, {"loss": 1.0})])
    with pytest.raises(DataError, match="under way"), opened(tmp_path / "run.jsonl"):
        pass
    file.release()
    with opened(tmp_path / "run.jsonl"):
        pass


def test_a_run_that_went_on_leaves_its_first_file_alone(tmp_path: Path) -> None:
    first = UnsentFile(tmp_path, "run", URI)
    first.append([Record(1, 1, picture="samples", image=Image.new("RGB", (1, 1)))])
    first.release()
    second = UnsentFile(tmp_path, "run", URI)
    second.append([Record(2, 2, picture="samples", image=Image.new("RGB", (1, 1)))])
    assert second.path.name == "run.2.jsonl"
    second.remove()
    with opened(tmp_path / "run.jsonl") as unsent:
        (record,) = unsent.records
        assert isinstance(record.image, Path)
        assert record.image.is_file()


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"), opened(tmp_path / "run.jsonl"):
        pass
    (tmp_path / "run.jsonl").write_text('{"time": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match="which run"), opened(tmp_path / "run.jsonl"):
        pass


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("postgresql://me:secret@host:5432/db?x=1", "postgresql://me@host:5432/db?x=1"),
        ("https://host/mlflow", "https://host/mlflow"),
        ("sqlite:////there/mlflow.db", "sqlite:////there/mlflow.db"),
        ("sqlite:///mlflow.db", f"sqlite:///{Path.cwd() / 'mlflow.db'}"),
    ],
)
def test_the_address_is_good_anywhere_and_holds_no_password(tmp_path: Path, uri: str, kept: str) -> None:
    UnsentFile(tmp_path, "run", uri).append([])
    header = json.loads((tmp_path / "run.jsonl").read_text(encoding="utf-8"))
    assert header == {"run": "run", "tracking_uri": kept}
