"""Rewards as parameters: what can be said of one, and what is refused before anything is loaded."""

import subprocess
import sys
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.settings import RewardConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"source": "hub", "id": "somebody/model", "revision": COMMIT}


def test_the_settings_bring_no_torch() -> None:
    code = """if True:
        import sys
        import rglcd_pipelines.rewards.settings, rglcd_pipelines.rewards.hub
        print("torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "clip", "id": "folder", "scaled": True, "antialias": False, "cap": 2.0},
        {"kind": "clip", **HUB, "tokenizer": HUB},
        {"kind": "open_clip", **HUB, "file": "weights.pt", "architecture": "ViT-L-14"},
        {"kind": "imgrwd", "id": "folder"},
        {"kind": "imgrwd", **HUB, "file": "deep/weights.pt", "tokenizer": {"id": "folder"}},
        {"kind": "aesthetic", **HUB, "file": "weights.pth", "clip": HUB},
        {"kind": "module:Class", "options": {"a": 1}},
    ],
)
def test_what_can_be_said(values: dict[str, Any]) -> None:
    config = check(RewardConfig, values)
    # As a run's resolved parameters, with every default written out, it is the same.
    assert check(RewardConfig, config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "clip", "source": "hub", "id": "a/b"}, r"revision is missing; pin a/b to a commit"),
        ({"kind": "clip", **HUB, "revision": "main"}, r"revision 'main' pins nothing"),
        ({"kind": "clip", **HUB, "revision": COMMIT[:12]}, r"pins nothing"),
        ({"kind": "clip", **HUB, "source": "folder"}, r"revision means nothing for a folder"),
        ({"kind": "clip", **HUB, "source": "hug"}, r"source: .*did you mean hub\?"),
        ({"kind": "clip", "id": "a", "file": "b.pt"}, r"file means nothing for clip, only for open_clip and"),
        ({"kind": "open_clip", **HUB}, r"file is missing; name the file in somebody/model"),
        ({"kind": "open_clip", **HUB, "file": "../b.pt"}, r"file is '\.\./b\.pt'; give the name of a file"),
        ({"kind": "open_clip", **HUB, "file": "/b.pt"}, r"give the name of a file"),
        ({"kind": "aesthetic", **HUB, "file": "a.pth"}, r"clip is missing; say where the CLIP is"),
        ({"kind": "aesthetic", "id": "a", "file": "b", "clip": {"idd": "c"}}, r"did you mean .*clip\.id\?"),
        (
            {"kind": "clip", "id": "a", "tokenizer": {"id": "b", "file": "c"}},
            r"tokenizer\.file means nothing",
        ),
        ({"kind": "imgrwd", "id": "a", "scaled": True}, r"scaled means nothing for imgrwd"),
        ({"kind": "imgrwd", "id": "a", "options": {"b": 1}}, r"options means nothing .* a class of your own"),
        ({"kind": "module:Class", "id": "a"}, r"id means nothing for module:Class"),
        ({"kind": "openclip", "id": "a"}, r"kind: is 'openclip'; .*did you mean open_clip\?"),
        ({"kind": "clip", "id": "a", "antialiasing": True}, r"did you mean rewards\.x\.antialias\?"),
    ],
)
def test_what_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        check(RewardConfig, values, "rewards.x")
    assert "rewards.x" in str(caught.value)
