"""Impossible rules are refused in words; sizes are judged at the edge."""

from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.data.images import BadImage, ImageFacts
from rglcd_pipelines.data.pairs.rules import Rules, check_size
from rglcd_pipelines.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"caption_min_length": 20, "caption_max_length": 10}, "caption_min_length (20) is above"),
        ({"min_side": 512, "max_pixels": 512 * 512 - 1}, "no image can be kept"),
        ({"max_aspect_ratio": 0.5}, "max_aspect_ratio"),
        ({"max_aspect_ratio": float("nan")}, "max_aspect_ratio"),
        ({"max_rejected_share": 1.1}, "max_rejected_share"),
        ({"max_pixels": 10**9}, "max_pixels"),
        ({"person": "replce"}, "did you mean replace?"),
        ({"min_sides": 1}, "did you mean rules.min_side?"),
        ({"min_side": "256"}, "min_side"),
        ({"person_word": ""}, "is no word for a caption"),
        ({"person_word": " person"}, "is no word for a caption"),
        ({"person_word": "PERSON"}, "is no word for a caption"),
        ({"person_word": "<he>"}, "is no word for a caption"),
        ({"person_word": "per\u200bson"}, "is no word for a caption"),
    ],
)
def test_impossible_rules_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Rules, values, "rules")
    assert words in str(caught.value)


def test_every_rule_is_explained() -> None:
    assert all(field.description for field in Rules.model_fields.values())


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (256, 256, None),
        (768, 256, None),
        (256, 768, None),
        (255, 256, "too_small"),
        (256, 255, "too_small"),
        (769, 256, "aspect_ratio"),
        (256, 769, "aspect_ratio"),
    ],
)
def test_sizes_at_the_edge(width: int, height: int, reason: str | None) -> None:
    facts = ImageFacts(width, height, "RGB", "PNG")
    if reason is None:
        check_size(facts, Rules())
    else:
        with pytest.raises(BadImage) as caught:
            check_size(facts, Rules())
        assert caught.value.reason == reason
