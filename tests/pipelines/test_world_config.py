"""Settings of the world that cannot be, each refused before hours of training."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.pipelines.world.config import WorldConfig

ROOT = Path(__file__).resolve().parents[2]


def settings() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((ROOT / "conf/base/parameters_world.yml").read_text("utf-8"))
    return told["world"]


def test_the_default_world_can_be_made() -> None:
    config = check(WorldConfig, settings(), "world")
    assert config.model_dump()["teacher"]["fit"]["steps"] == settings()["teacher"]["fit"]["steps"]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("resolution", 36, "world: resolution is 36, no multiple of 8; change it"),
        ("figures.prompts", 641, "figures.prompts is 641, but sets.prompts_per_style = 160 makes 640"),
        ("clip.rivals", 43, "world.clip.rivals: should be less than or equal to 42, not 43"),
        ("clip.patch_size", 5, "patch_size is 5, which does not divide image_size = 16"),
        ("imgrwd.heads", 3, "heads is 3, which does not divide width = 128"),
        ("clip.naming.warmup_steps", 10_000, "warmup_steps is 10000, more than steps"),
        ("teacher.early", [20_000], "early holds 20000, not between 1 and fit.steps = 12000"),
    ],
)
def test_a_world_that_cannot_be_is_refused(path: str, value: object, told: str) -> None:
    content = settings()
    *above, name = path.split(".")
    place = content
    for key in above:
        place = place[key]
    place[name] = value
    with pytest.raises(ConfigError) as error:
        check(WorldConfig, content, "world")
    assert told in str(error.value)
