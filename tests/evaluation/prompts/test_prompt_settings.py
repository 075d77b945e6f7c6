"""Sets of prompts as parameters: what can be said of one, and what is refused before anything is read."""

import subprocess
import sys
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.evaluation.prompts.settings import PromptsConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"source": "hub", "id": "somebody/prompts", "revision": COMMIT}
FILE = {"kind": "file", "path": "prompts.txt"}


def checked(values: dict[str, Any]) -> PromptsConfig:
    return check(PromptsConfig, {"sets": {"mine": values}}, "evaluate")


def test_the_settings_bring_nothing_heavy() -> None:
    code = """if True:
        import sys
        import rglcd_pipelines.evaluation.prompts.settings
        print([name for name in ("torch", "pandas", "PIL", "huggingface_hub") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "values",
    [
        FILE,
        {"kind": "world", "path": "sets", "part": "captions", "repeats": 8, "use": ["fid", "diversity"]},
        {"kind": "hpsv2", "path": "folder", "use": ["benchmark"], "count": 400},
        {"kind": "hpsv2", **HUB},
        {"kind": "hpsv2", **HUB, "file": "elsewhere"},
        {"kind": "partiprompts", **HUB, "steps": ["2", "ddim-50"], "seed": 3},
        {"kind": "drawbench", **HUB, "file": "DrawBench.csv"},
        {"kind": "coco", **HUB, "file": "annotations/captions_val2014.json"},
    ],
)
def test_what_can_be_said(values: dict[str, Any]) -> None:
    config = checked(values)
    # As a run's resolved parameters, with every default written out, it is the same.
    assert check(PromptsConfig, config.model_dump()) == config


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "files", "path": "a"}, r"evaluate\.sets\.mine\.kind: .*'files'; did you mean file\?"),
        ({"path": "a"}, r"evaluate\.sets\.mine\.kind: is missing"),
        ({"kind": "world"}, r"path is missing; say where the prompts of kind world are"),
        ({**FILE, "id": "a/b"}, r"id is for source: hub"),
        ({**FILE, "file": "b.txt"}, r"file is for source: hub"),
        ({**FILE, "revision": COMMIT}, r"revision means nothing for a folder"),
        ({"kind": "hpsv2", **HUB, "path": "folder"}, r"path is for what lies on this machine"),
        ({"kind": "hpsv2", **HUB, "id": ""}, r"id is missing"),
        ({"kind": "hpsv2", **HUB, "revision": None}, r"revision is missing; pin somebody/prompts"),
        ({"kind": "hpsv2", **HUB, "revision": "main"}, r"revision 'main' pins nothing"),
        ({"kind": "hpsv2", **HUB, "file": "../secret"}, r"file is '\.\./secret'"),
        ({"kind": "file", **HUB}, r"file is missing; name the file in somebody/prompts"),
        ({"kind": "coco", **HUB}, r"file is missing"),
        ({"kind": "world", **HUB}, r"the world is made here"),
        ({**FILE, "part": "styles"}, r"part means nothing for file, only for world"),
        ({**FILE, "count": 0}, r"count: .*greater than or equal to 1, not 0"),
        ({**FILE, "repeats": 0}, r"repeats: .*not 0"),
        ({**FILE, "seed": -1}, r"seed: .*not -1"),
        ({**FILE, "steps": []}, r"steps is empty"),
        ({**FILE, "steps": ["2", "2"]}, r"steps is 2, 2; name each once"),
        ({**FILE, "steps": [2]}, r"steps\.0: .*string, not 2"),
        ({**FILE, "use": ["fid", "fid"]}, r"use is fid, fid; name each once"),
        ({**FILE, "use": ["kid"]}, r"use\.0: .*not 'kid'"),
        ({**FILE, "use": ["diversity"]}, r"set repeats to 2 or more"),
        ({**FILE, "use": ["benchmark"], "repeats": 2}, r"set repeats to 1"),
    ],
)
def test_what_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        checked(values)


def test_a_set_that_is_null_is_left_out() -> None:
    config = check(PromptsConfig, {"sets": {"mine": FILE, "captions": None}})
    assert list(config.sets) == ["mine"]


@pytest.mark.parametrize("name", ["Mine", "my set", "a/b", "é", ""])
def test_a_name_is_part_of_keys(name: str) -> None:
    with pytest.raises(ConfigError, match=r"sets: .* is no name of a set; use a-z"):
        check(PromptsConfig, {"sets": {name: FILE}})


@pytest.mark.parametrize("sets", [{}, {"captions": None}])
def test_no_set_at_all(sets: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="sets: there are no sets"):
        check(PromptsConfig, {"sets": sets})
