"""Prompts of a dataset on a hub on loopback: which files are fetched, and what is told if not."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.hub_server import REPOSITORY, REVISION, Hub, serve
from tests.evaluation.prompts.published_sets import HPSV2, partiprompts

pytestmark = pytest.mark.slow

CLIENT = """
    import json, sys
    from pathlib import Path
    from rglcd_pipelines.config import check
    from rglcd_pipelines.errors import DataError
    from rglcd_pipelines.evaluation.prompts.lines import read_prompts
    from rglcd_pipelines.evaluation.prompts.make import make_prompts
    from rglcd_pipelines.evaluation.prompts.settings import PromptsConfig
    sets, place = json.loads(sys.argv[1]), Path(sys.argv[2])
    try:
        made = make_prompts(check(PromptsConfig, {"sets": sets}).sets, place / "prompts")
        told = {name: [one["prompts"], one["source"]] for name, one in made.manifest["sets"].items()}
        print(json.dumps({"sets": told, "reused": made.reused, "text": read_prompts(made)[0].text}))
    except DataError as error:
        sys.exit(str(error))
"""
FILES = {
    **{f"benchmark/{name}": content for name, content in HPSV2.items()},
    "benchmark/drawbench.json": json.dumps([f"A car, number {number}." for number in range(200)]).encode(),
    "benchmark/benchmark_imgs/CM.tar.gz": b"gigabytes",
    "PartiPrompts.tsv": partiprompts(),
    "mine.txt": b"a cat\na dog\n",
}
PLACE = {"source": "hub", "id": REPOSITORY, "revision": REVISION}
HPS = {"kind": "hpsv2", **PLACE}


def run(url: str, place: Path, sets: dict[str, Any], **settings: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, as the hub's library reads HF_ENDPOINT when it is imported."""
    names = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in names if name in os.environ} | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(place / "hf-home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": ".",
        **settings,
    }
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), json.dumps(sets), str(place)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_the_files_of_each_set_alone_are_fetched_and_once(tmp_path: Path) -> None:
    sets = {
        "hpsv2": HPS,
        "parti": {"kind": "partiprompts", **PLACE},
        "drawbench": {"kind": "drawbench", **PLACE},
        "mine": {"kind": "file", **PLACE, "file": "mine.txt"},
    }
    with serve(Hub(FILES)) as hub:
        done = run(hub.url, tmp_path, sets)
        assert done.returncode == 0, done.stderr
        assert sorted(hub.fetched()) == sorted([*HPSV2, "PartiPrompts.tsv", "drawbench.json", "mine.txt"])
    told = json.loads(done.stdout)
    assert {name: count for name, (count, _) in told["sets"].items()} == {
        "hpsv2": 3_200,
        "parti": 1_632,
        "drawbench": 200,
        "mine": 2,
    }
    assert told["text"] == "anime 0"
    assert told["sets"]["parti"][1] == f"PartiPrompts: PartiPrompts.tsv of {REPOSITORY} at {REVISION}"
    again = run(hub.url, tmp_path, sets)  # nobody listens any more
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {**told, "reused": True}


@pytest.mark.parametrize(
    ("values", "gated", "words"),
    [
        ({"id": "tester/none"}, False, ["tester/none", "evaluate.sets.hpsv2.id", "HF_TOKEN"]),
        ({"revision": "f" * 40}, False, ["no such commit", "evaluate.sets.hpsv2.revision"]),
        (
            {"file": "other"},
            False,
            [f"{REPOSITORY} at {REVISION}", "holds no other/anime.json", "hpsv2.file"],
        ),
        ({}, True, ["gated", "HF_TOKEN"]),
    ],
)
def test_what_the_hub_refuses_is_told(
    tmp_path: Path, values: dict[str, str], gated: bool, words: list[str]
) -> None:
    with serve(Hub(FILES, gated=gated)) as hub:
        done = run(hub.url, tmp_path, {"hpsv2": HPS | values})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "prompts").exists()


def test_offline(tmp_path: Path) -> None:
    # Without a network it is told alike, after half a minute of the library's own attempts.
    done = run("http://127.0.0.1:1", tmp_path, {"hpsv2": HPS}, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{REPOSITORY} at {REVISION}: cannot be reached" in done.stderr
    assert "evaluate.sets.hpsv2.source to folder" in done.stderr
