"""The world's sets and the published ones: groups, order, totals; and what is told of a missing file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.coco import read_coco
from rglcd_pipelines.evaluation.prompts.entry import Entry
from rglcd_pipelines.evaluation.prompts.settings import Kind, Part, PromptSetConfig
from rglcd_pipelines.evaluation.prompts.sources import files_of, read_entries
from tests.evaluation.prompts.published_sets import CATEGORIES, coco, drawbench, partiprompts, write_hpsv2

WORLD = Path("data/06_models/base/world/sets")


def read(kind: Kind, path: Path, part: Part | None = None) -> list[Entry]:
    config = PromptSetConfig(kind=kind, path=str(path), part=part)
    return read_entries(config, files_of(config, "evaluate.sets.one"))


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def test_the_worlds_styles_and_captions() -> None:
    styles = read("world", WORLD)
    groups = Counter(entry.group for entry in styles)
    assert groups == {"solid": 160, "cartoon": 160, "thin": 160, "two-tone": 160}
    assert all(entry.group in entry.text for entry in styles)
    assert read("world", WORLD, "styles") == styles
    captions = read("world", WORLD, "captions")
    assert len(captions) == 5_000
    assert {entry.group for entry in captions} == {""}


def test_hpsv2(tmp_path: Path) -> None:
    entries = read("hpsv2", write_hpsv2(tmp_path / "benchmark"))
    assert list(Counter(entry.group for entry in entries).items()) == [
        ("anime", 800),
        ("concept-art", 800),
        ("paintings", 800),
        ("photo", 800),
    ]
    assert [entry.text for entry in entries[799:802]] == ["anime 799", "concept-art 0", "concept-art 1"]


def test_partiprompts_keeps_quotes_and_what_is_there_twice(tmp_path: Path) -> None:
    entries = read("partiprompts", written(tmp_path / "PartiPrompts.tsv", partiprompts()))
    assert Counter(entry.group for entry in entries) == dict.fromkeys(CATEGORIES, 408)
    assert entries[0].text == "a thing, number 0"
    assert [entry.text for entry in entries].count('"G I G G L E" painted on a wall') == 5


def test_drawbench_as_a_table_and_as_a_list(tmp_path: Path) -> None:
    table = read("drawbench", written(tmp_path / "DrawBench.csv", drawbench()))
    assert Counter(entry.group for entry in table) == {"Colors": 100, "Counting": 100}
    assert table[3].text == "A car, number 3."
    listed = json.dumps([entry.text for entry in table]).encode()
    plain = read("drawbench", written(tmp_path / "drawbench.json", listed))
    assert [(entry.group, entry.text) for entry in plain] == [("", entry.text) for entry in table]


def test_of_coco_the_first_caption_of_each_image(tmp_path: Path) -> None:
    entries = read("coco", written(tmp_path / "captions_val2014.json", coco()))
    assert len(entries) == 40_504
    assert [(entry.name, entry.text) for entry in entries[:2]] == [
        ("000000000001", "caption 0.0"),
        ("000000000004", "caption 1.0"),
    ]


def test_a_blank_caption_gives_way_to_the_next(tmp_path: Path) -> None:
    captions = [(7, 2, "second"), (7, 1, " "), (7, 3, "third"), (5, 9, "other")]
    annotations = [{"image_id": image, "id": one, "caption": text} for image, one, text in captions]
    file = written(tmp_path / "a.json", json.dumps({"annotations": annotations}).encode())
    found = [(entry.name, entry.text) for entry in read_coco(file, images=2)]
    assert found == [("000000000005", "other"), ("000000000007", "second")]


def test_published_prompts_lose_control_characters_alone(tmp_path: Path) -> None:
    folder = write_hpsv2(tmp_path / "benchmark")
    texts = ["a\tcat \u200b\r\n", "twice", "twice", *(f"photo {number}" for number in range(797))]
    written(folder / "photo.json", json.dumps(texts).encode())
    photos = [entry.text for entry in read("hpsv2", folder) if entry.group == "photo"]
    assert photos[:3] == ["a cat \u200b", "twice", "twice"]


@pytest.mark.parametrize(
    ("kind", "name", "content", "told"),
    [
        ("partiprompts", "a.tsv", partiprompts(1_631), "has 1,631 prompts, not the 1,632"),
        ("partiprompts", "a.tsv", b"Prompt\tChallenge\na\tb\n", "names no column Category"),
        ("partiprompts", "a.tsv", b"Prompt\tCategory\na\tb\tc\n", "line 2: has 3 fields"),
        ("drawbench", "a.csv", drawbench(199), "has 199 prompts, not the 200"),
        ("drawbench", "a.csv", b"Prompt,Category\na,b\n", "names no column Prompts; did you mean prompt?"),
        ("coco", "a.json", coco(40_503), "has captions of 40,503 images, and val2014 of 40,504"),
        ("coco", "a.json", b"[]", "has no list `annotations`"),
        ("coco", "a.json", b'{"annotations": {}}', "has no list `annotations`"),
        (
            "coco",
            "a.json",
            b'{"annotations": [{"image_id": 1, "id": 2, "caption": "a"}, {"image_id": "1"}, 3]}',
            "annotation 2: lacks image_id, id or caption",
        ),
    ],
)
def test_published_files_that_are_not_what_they_should_be(
    tmp_path: Path, kind: Kind, name: str, content: bytes, told: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(kind, written(tmp_path / name, content))
    assert told in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["a"] * 799, "photo.json: has 799 prompts, not the 800"),
        (["a"] * 799 + [" \n"], "entry 800: is blank"),
        (["a"] * 799 + ["x" * 2_001], "entry 800: has 2,001 characters"),
        (["a"] * 799 + [{"prompt": "a"}], "entry 800: is an object"),
    ],
)
def test_a_style_that_is_not_whole(tmp_path: Path, texts: list[Any], told: str) -> None:
    folder = write_hpsv2(tmp_path / "benchmark")
    written(folder / "photo.json", json.dumps(texts).encode())
    with pytest.raises(DataError) as caught:
        read("hpsv2", folder)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("world", "kedro run --pipeline=world"),
        ("hpsv2", "folder benchmark of the hub's dataset zhwang/HPDv2"),
        ("partiprompts", "nateraw/parti-prompts"),
        ("coco", "annotations_trainval2014.zip"),
        ("drawbench", "benchmark/drawbench.json of the hub's dataset zhwang/HPDv2"),
    ],
)
def test_a_missing_file_says_where_it_is_from(tmp_path: Path, kind: Kind, told: str) -> None:
    with pytest.raises(DataError) as caught:
        read(kind, tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert told in str(caught.value)
    assert "Check evaluate.sets.one.path." in str(caught.value)
