"""Reward models from a hub on loopback: what is fetched, what is not, and what is told when it cannot be."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from rglcd_pipelines.rewards.catalog import load_reward
from rglcd_pipelines.rewards.settings import RewardConfig
from scripts.golden import recipe
from tests.rewards.model_hub import REVISION, Hub, serve
from tests.rewards.tiny_models import CAPTIONS, pictures, save_clip

pytestmark = pytest.mark.slow

PLACE = """
    from rglcd_pipelines.rewards.hub import file_of
    print(file_of(Place(**values), "rewards.hps"))
"""
SCORES = """
    import torch
    from rglcd_pipelines.rewards.catalog import load_reward
    from rglcd_pipelines.rewards.settings import RewardConfig
    from tests.rewards.tiny_models import CAPTIONS, pictures
    reward = load_reward("r", {"r": RewardConfig.model_validate(values)}, torch.device("cpu"))
    print(json.dumps(reward.score(pictures(), CAPTIONS).tolist()))
"""


def run(code: str, url: str, home: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as the hub's library reads HF_ENDPOINT when it is imported."""
    start = """
        import json, sys
        from rglcd_pipelines.errors import DataError
        from rglcd_pipelines.rewards.settings import Place
        values = json.loads(sys.argv[1])
    """
    lines = textwrap.dedent(start) + "try:\n" + textwrap.indent(textwrap.dedent(code), "    ")
    lines += "except DataError as error:\n    sys.exit(str(error))\n"
    names = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in names if name in os.environ} | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": ".",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", lines, json.dumps(values)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


HPS = {"source": "hub", "id": "tester/hps", "revision": REVISION, "file": "HPS_v2.1_compressed.pt"}
FILES = {"HPS_v2.1_compressed.pt": b"weights", "HPS_v2_compressed.pt": b"others", "README.md": b"# HPS"}


def test_only_what_is_needed_is_fetched_and_only_once(tmp_path: Path) -> None:
    with serve(Hub({"tester/hps": FILES})) as hub:
        done = run(PLACE, hub.url, tmp_path, HPS)
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).read_bytes() == b"weights"
        assert hub.fetched() == ["HPS_v2.1_compressed.pt"]
        again = run(PLACE, hub.url, tmp_path, HPS)
        assert again.stdout == done.stdout
        assert hub.fetched() == ["HPS_v2.1_compressed.pt"]
    # Nobody listens any more, and nobody needs to.
    assert run(PLACE, hub.url, tmp_path, HPS).stdout == done.stdout


@pytest.mark.parametrize(
    ("values", "gated", "words"),
    [
        ({"id": "tester/none"}, False, ["tester/none", "rewards.hps.id", "HF_TOKEN"]),
        ({"revision": "f" * 40}, False, ["no such commit", "rewards.hps.revision", "f" * 40]),
        ({}, True, ["gated", "HF_TOKEN"]),
        ({"file": "HPS_v2.1.pt"}, False, ["holds no HPS_v2.1.pt", "did you mean HPS_v2.1_compressed.pt?"]),
        ({"id": "not a name"}, False, ["not a name", "rewards.hps.id"]),
    ],
)
def test_what_the_hub_refuses_is_told(
    tmp_path: Path, values: dict[str, str], gated: bool, words: list[str]
) -> None:
    with serve(Hub({"tester/hps": FILES}, gated=gated)) as hub:
        done = run(PLACE, hub.url, tmp_path, HPS | values)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_without_a_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run(PLACE, f"http://127.0.0.1:{free.getsockname()[1]}", tmp_path, HPS)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "network" in done.stderr
    assert "rewards.hps.source to folder" in done.stderr


def test_a_clip_of_the_hub_scores_as_one_in_a_folder(tmp_path: Path) -> None:
    folder = save_clip(tmp_path / "clip")
    (folder / "pytorch_model.bin").write_bytes(b"never fetched")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    values = {"kind": "clip", "source": "hub", "id": "tester/clip", "revision": REVISION}
    with serve(Hub({"tester/clip": files})) as hub:
        done = run(SCORES, hub.url, tmp_path / "hf", values)
    assert done.returncode == 0, done.stderr
    local = load_reward("r", {"r": RewardConfig(kind="clip", id=str(folder))}, torch.device("cpu"))
    expected = local.score(pictures(), CAPTIONS)
    torch.testing.assert_close(torch.tensor(json.loads(done.stdout)), expected, atol=1e-6, rtol=0)
    assert "pytorch_model.bin" not in hub.fetched()
    assert "model.safetensors" in hub.fetched()


def test_image_reward_and_the_words_of_another_repository(tmp_path: Path) -> None:
    state = {
        name: torch.from_numpy(values)
        for name, values in recipe.state(recipe.image_reward(recipe.IMAGE_REWARD))
    }
    torch.save(state, tmp_path / "ImageReward.pt")
    published = {
        "ImageReward.pt": (tmp_path / "ImageReward.pt").read_bytes(),
        "med_config.json": json.dumps(recipe.IMAGE_REWARD["text"]).encode(),
        "config.json": b"{}",
    }
    words = {
        "vocab.txt": ("\n".join(recipe.bert_tokens()) + "\n").encode(),
        "model.safetensors": b"never fetched",
    }
    hub_place = {"source": "hub", "revision": REVISION}
    values: dict[str, Any] = {
        "kind": "imgrwd",
        "id": "tester/ImageReward",
        "file": "ImageReward.pt",
        **hub_place,
    }
    values["tokenizer"] = {"id": "tester/bert-base", **hub_place}
    with serve(Hub({"tester/ImageReward": published, "tester/bert-base": words})) as hub:
        done = run(SCORES, hub.url, tmp_path / "hf", values)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == len(CAPTIONS)
    assert hub.fetched() == ["ImageReward.pt", "med_config.json", "vocab.txt"]
