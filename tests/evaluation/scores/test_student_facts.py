"""What a report is told of a student."""

from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.pipelines.evaluate.nodes import facts_of
from tests.training.make_job import Bench, towards


@pytest.mark.parametrize(
    ("variant", "reward", "expected"),
    [
        ({}, {}, True),
        ({}, {"antialias": False}, False),
        ({}, {"antialias": True}, True),
        ({"antialias": False}, {}, False),
        ({"antialias": True}, {"antialias": False}, True),
    ],
)
def test_antialiasing_is_that_of_the_rewards_it_follows(
    tmp_path: Path,
    variant: dict[str, Any],
    reward: dict[str, Any],
    expected: bool,
) -> None:
    job = Bench(tmp_path / "bench").job(tmp_path / "bright", "bright", chosen=variant)
    followed = towards(job, {"kind": "clip", "id": "somewhere", **reward})
    assert facts_of(followed)["antialias"] is expected
