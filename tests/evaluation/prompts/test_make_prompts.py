"""The artifact of prompts: what is drawn from what noise, kept while nothing changes, not used damaged."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.prompts.lines import FILE, read_prompts
from rglcd_pipelines.evaluation.prompts.make import make_prompts
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.prompts.settings import PromptsConfig
from tests.evaluation.prompts.published_sets import coco, partiprompts, write_hpsv2

WORLD = {"kind": "world", "path": "data/06_models/base/world/sets"}
BASE: dict[str, Any] = {
    "hpsv2": {**WORLD, "use": ["benchmark"]},
    "captions": {**WORLD, "part": "captions", "count": 640, "use": ["fid"]},
    "diversity": {**WORLD, "part": "captions", "count": 16, "repeats": 8, "use": ["diversity"]},
}


def make(place: Path, sets: dict[str, Any]) -> Artifact:
    return make_prompts(check(PromptsConfig, {"sets": sets}, "evaluate").sets, place / "prompts")


def prompts_of(artifact: Artifact, name: str) -> list[Prompt]:
    return [prompt for prompt in read_prompts(artifact) if prompt.set == name]


def table(place: Path, rows: list[str]) -> dict[str, Any]:
    file = place / "mine.csv"
    file.write_text("\n".join(["prompt,group", *rows]), encoding="utf-8")
    return {"kind": "file", "path": str(file)}


def test_the_sets_of_the_world(tmp_path: Path) -> None:
    made = make(tmp_path, BASE)
    prompts = read_prompts(made)
    assert [prompt.key for prompt in prompts[:2]] == ["hpsv2/solid/00000", "hpsv2/solid/00001"]
    assert len({prompt.key for prompt in prompts}) == len(prompts) == 640 + 640 + 128
    assert len({prompt.seed for prompt in prompts}) == len(prompts)
    assert all(re.fullmatch(r"[a-z0-9_/-]+", prompt.key) for prompt in prompts)
    told = made.manifest["sets"]
    assert list(told) == ["hpsv2", "captions", "diversity"]
    assert told["hpsv2"]["groups"] == {"solid": 160, "cartoon": 160, "thin": 160, "two-tone": 160}
    assert (told["diversity"]["prompts"], told["diversity"]["repeats"]) == (128, 8)
    assert read_prompts(open_artifact(made.path, "prompts")) == prompts


def test_repeats_are_the_same_text_from_other_noise(tmp_path: Path) -> None:
    prompts = prompts_of(make(tmp_path, BASE), "diversity")
    first = prompts[:8]
    assert [prompt.repeat for prompt in first] == list(range(8))
    assert [prompt.key for prompt in first[:3]] == [
        "diversity/00000",
        "diversity/00000-r1",
        "diversity/00000-r2",
    ]
    assert len({prompt.text for prompt in first}) == 1
    assert len({prompt.text for prompt in prompts}) == 16


def test_nothing_is_made_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = make(tmp_path, BASE)
    with caplog.at_level(logging.INFO):
        again = make(tmp_path, BASE)
    assert again.reused
    assert again == made
    assert "1408 prompts are there already; nothing to do" in caplog.text


def test_what_a_set_is_for_and_where_it_lies_changes_nothing(tmp_path: Path) -> None:
    made = make(tmp_path, {"mine": table(tmp_path, ["a,x", "b,x"])})
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "mine.csv").rename(moved / "mine.csv")
    values = {"kind": "file", "path": str(moved / "mine.csv"), "steps": ["2"], "use": ["fid"]}
    again = make(tmp_path, {"mine": values})
    assert again.reused
    assert again.digest == made.digest


def test_a_changed_file_or_setting_makes_them_anew(tmp_path: Path) -> None:
    sets = {"mine": table(tmp_path, ["a,x", "b,x"])}
    made = make(tmp_path, sets)
    table(tmp_path, ["a,x", "c,x"])
    changed = make(tmp_path, sets)
    assert [prompt.text for prompt in read_prompts(changed)] == ["a", "c"]
    fewer = make(tmp_path, {"mine": sets["mine"] | {"count": 1}})
    assert [prompt.text for prompt in read_prompts(fewer)] == ["a"]
    assert len({made.digest, changed.digest, fewer.digest}) == 3


def test_a_seed_changes_the_noise_and_nothing_else(tmp_path: Path) -> None:
    sets = {"mine": table(tmp_path, ["a,x", "b,x"])}
    first = read_prompts(make(tmp_path, sets))
    other = read_prompts(make(tmp_path, {"mine": sets["mine"] | {"seed": 1}}))
    assert [prompt.key for prompt in first] == [prompt.key for prompt in other]
    assert [prompt.text for prompt in first] == [prompt.text for prompt in other]
    assert not {prompt.seed for prompt in first} & {prompt.seed for prompt in other}


def test_noise_stays_whatever_else_is_drawn(tmp_path: Path) -> None:
    folder = str(write_hpsv2(tmp_path / "benchmark"))
    alone = read_prompts(make(tmp_path / "a", {"one": {"kind": "hpsv2", "path": folder}}))
    sets = {"two": {"kind": "hpsv2", "path": folder}, "one": {"kind": "hpsv2", "path": folder, "count": 40}}
    both = make(tmp_path / "b", sets | {"two": sets["two"] | {"repeats": 2}})
    few = prompts_of(both, "one")
    assert len(few) == 40
    assert set(few) < set(alone)
    assert [prompt.key for prompt in few[:2]] == ["one/anime/00000", "one/anime/00080"]
    # The same text in another set starts from other noise.
    assert not {prompt.seed for prompt in prompts_of(both, "two")} & {prompt.seed for prompt in alone}


def test_groups_lie_together_and_keep_their_order(tmp_path: Path) -> None:
    made = make(tmp_path, {"mine": table(tmp_path, ["a,Y y", "b,X", "c,Y y", "d,X"])})
    assert [(prompt.key, prompt.group, prompt.text) for prompt in read_prompts(made)] == [
        ("mine/y-y/00000", "Y y", "a"),
        ("mine/y-y/00001", "Y y", "c"),
        ("mine/x/00000", "X", "b"),
        ("mine/x/00001", "X", "d"),
    ]


def test_coco_is_drawn_with_the_seed_and_named_by_image(tmp_path: Path) -> None:
    (tmp_path / "captions_val2014.json").write_bytes(coco())
    values = {"kind": "coco", "path": str(tmp_path / "captions_val2014.json"), "use": ["fid"]}
    sets = {f"coco{seed}": values | {"count": 300, "seed": seed} for seed in (0, 1)}
    made = make(tmp_path, sets)
    first, other = ({one.text: one for one in prompts_of(made, name)} for name in sets)
    assert len(first) == len(other) == 300
    assert len(set(first) & set(other)) < 30
    image = int(next(iter(first)).removeprefix("caption ").removesuffix(".0"))
    assert next(iter(first.values())).key == f"coco0/{3 * image + 1:012d}"


def test_a_benchmark_needs_equal_chunks(tmp_path: Path) -> None:
    folder = str(write_hpsv2(tmp_path / "benchmark"))
    values = {"kind": "hpsv2", "path": folder, "count": 100}
    make(tmp_path, {"hpsv2": values})
    for _ in range(2):  # made or standing, they are not fit for it
        with pytest.raises(ConfigError, match=r"evaluate\.sets\.hpsv2: draws 25 prompts of anime.*\.count"):
            make(tmp_path, {"hpsv2": values | {"use": ["benchmark"]}})
    make(tmp_path, {"hpsv2": values | {"use": ["benchmark"], "count": 80}})


def test_a_bad_file_leaves_what_stood(tmp_path: Path) -> None:
    sets = {"mine": table(tmp_path, ["a,x"])}
    made = make(tmp_path, sets)
    table(tmp_path, ["a,x", "a,x"])
    with pytest.raises(DataError, match="line 3: is the same prompt as line 2"):
        make(tmp_path, sets)
    assert open_artifact(made.path, "prompts") == made
    assert not list(tmp_path.glob(".partial/prompts-*"))


def test_partiprompts_in_keys(tmp_path: Path) -> None:
    (tmp_path / "PartiPrompts.tsv").write_bytes(partiprompts())
    values = {"kind": "partiprompts", "path": str(tmp_path / "PartiPrompts.tsv"), "count": 40}
    made = make(tmp_path, {"parti": values})
    assert made.manifest["sets"]["parti"]["groups"]["Produce & Plants"] == 10
    assert read_prompts(made)[0].key == "parti/food-beverage/00000"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: [lines[0], lines[1][:-9], *lines[2:]], "line 2 is damaged"),
        (lambda lines: [*lines[:2], "", *lines[2:]], "line 3 is damaged"),
        (
            lambda lines: [lines[0].replace('"repeat": 0', '"repeat": 0.0'), *lines[1:]],
            "line 1 is damaged (repeat",
        ),
        (lambda lines: [lines[0].replace("mine/x", "mine/../x"), *lines[1:]], "line 1 is damaged (key"),
        (lambda lines: [lines[0].replace('"seed"', '"sed"'), *lines[1:]], "line 1 is damaged (its fields"),
        (lambda lines: [lines[0].replace('"text": "a"', '"text": "b"'), *lines[1:]], "of mine were changed"),
        (lambda lines: lines[:-1], "has 2 prompts of mine, and the manifest says 3"),
        (lambda lines: [*lines, lines[0]], "has a key twice"),
        (
            lambda lines: [*lines, lines[0].replace("mine", "other")],
            "has prompts of 'other', of which the manifest knows nothing",
        ),
        (lambda _: [], "line 1 is damaged"),
    ],
)
def test_damage_is_told(tmp_path: Path, change: Any, told: str) -> None:
    made = make(tmp_path, {"mine": table(tmp_path, ["a,x", "b,x", "c,x"])})
    file = made.path / FILE
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_prompts(made)
    assert told in str(caught.value)
    assert str(file) in str(caught.value)
    assert f"Remove {made.path}" in str(caught.value)


def test_a_line_is_plain_json(tmp_path: Path) -> None:
    made = make(tmp_path, {"mine": table(tmp_path, ["日本 \u2028 café,x"])})
    (line,) = (made.path / FILE).read_bytes().splitlines()
    assert json.loads(line) == {
        "key": "mine/x/00000",
        "set": "mine",
        "group": "x",
        "text": "日本 \u2028 café",
        "seed": read_prompts(made)[0].seed,
        "repeat": 0,
    }


def test_without_the_file(tmp_path: Path) -> None:
    made = make(tmp_path, {"mine": table(tmp_path, ["a,x"])})
    (made.path / FILE).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_prompts(made)
