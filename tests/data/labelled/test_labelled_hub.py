"""Labelled shards of a hub on loopback: only what the pattern names is fetched, and fetched once."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.data.labelled.labelled_sets import labelled
from tests.data.make_shards import tar_bytes
from tests.data.sources.hub_server import REPOSITORY, REVISION, Hub, serve

pytestmark = pytest.mark.slow

CLIENT = """
    import json, sys
    from pathlib import Path
    from rglcd_pipelines.config import check
    from rglcd_pipelines.data.labelled.make import make_labelled
    from rglcd_pipelines.data.labelled.settings import LabelledConfig
    from rglcd_pipelines.data.labelled.source import open_source
    from rglcd_pipelines.errors import DataError
    from tests.data.labelled.labelled_sets import labels_of
    values, place = json.loads(sys.argv[1]), Path(sys.argv[2])
    config = check(LabelledConfig, {"source": "shards", "shards": values}, "lrm.zero_shot.set")
    try:
        made = make_labelled(open_source(config, place / "hub"), 3, place / "labelled", progress=False)
        told = {"labels": labels_of(made), "reused": made.reused, "from": made.manifest["made_from"]}
        print(json.dumps(told))
    except DataError as error:
        sys.exit(str(error))
"""

FILES = {
    "README.md": b"# ImageNet",
    "imagenet1k-train-0000.tar": b"hundreds of gigabytes",
    **{
        f"imagenet1k-validation-{shard:02d}.tar": tar_bytes(
            [member for n in range(3 * shard, 3 * shard + 3) for member in labelled(n, n % 3)]
        )
        for shard in range(2)
    },
}
VALIDATION = {"repository": REPOSITORY, "pattern": "imagenet1k-validation-*.tar"}


def run(url: str, place: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as the hub's library reads HF_ENDPOINT when it is imported."""
    names = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in names if name in os.environ} | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(place / "hf-home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": ".",
    }
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), json.dumps(values), str(place)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("revision", [REVISION, None])
def test_the_validation_shards_alone_are_fetched_and_once(tmp_path: Path, revision: str | None) -> None:
    values = {**VALIDATION, "revision": revision}
    with serve(Hub(FILES)) as hub:
        done = run(hub.url, tmp_path, values)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["labels"], told["reused"]) == ([0, 1, 2] * 2, False)
        assert told["from"]["inputs"]["revision"] == REVISION
        assert hub.fetched() == ["imagenet1k-validation-00.tar", "imagenet1k-validation-01.tar"]
    again = run(hub.url, tmp_path, values)  # nobody listens any more
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {**told, "reused": True}


def test_a_gated_set_says_what_to_do(tmp_path: Path) -> None:
    with serve(Hub(FILES, gated=True)) as hub:
        done = run(hub.url, tmp_path, VALIDATION)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "gated" in done.stderr
    assert "HF_TOKEN" in done.stderr
