"""Of whom a report is."""

from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.pipelines.report.config import ReportStageConfig


def config(lists: dict[str, Any], students: str = "few") -> ReportStageConfig:
    return check(ReportStageConfig, {"students": students, "lists": lists}, "report")


def test_a_list_may_hold_others() -> None:
    found = config({"few": ["lcm", "hps"], "many": [["lcm", "hps"], "clip", ["pick"]], "none": None})
    assert found.lists == {"few": ["lcm", "hps"], "many": ["lcm", "hps", "clip", "pick"]}


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"fwe": ["lcm"]}, "report: students is 'few'; there is fwe"),
        ({"few": ["lcm", ["hps", "lcm"]]}, "report: lists.few has lcm more than once"),
        ({"few": ["hps"]}, "report: lists.few is without lcm, with which others are compared"),
        ({"few": "lcm"}, "report.lists.few: should be a valid list"),
        ({"few": [[["lcm"]]]}, "report.lists.few.0: should be a valid string"),
        ({}, "report.lists: "),
    ],
)
def test_what_is_no_list(lists: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        config(lists)
