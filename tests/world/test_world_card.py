"""The card tells every figure, and which bar is missed."""

from typing import Any

from rglcd_pipelines.world.card import write_card
from rglcd_pipelines.world.figures import BARS


def body(**figures: float) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "autoencoder": {"manifest": {}, "metrics": {"seconds": 2100.0}},
        "sets": {"manifest": {"made_from": {"resolution": 32}}, "metrics": {}},
        "hps": {"manifest": {}, "metrics": {"seconds": 42.0}},
    }
    return {"parts": parts, "figures": figures}


def test_every_figure_stands_beside_its_bar() -> None:
    card = write_card(body(**BARS))
    for name, bar in BARS.items():
        assert f"| {name} | {bar:.4g} | ≥ {bar:g} |" in card
    assert "missed" not in card


def test_a_missed_bar_is_not_hidden() -> None:
    card = write_card(body(teacher_noun=0.7412, clip_tells_nouns=0.5))
    assert "| teacher_noun | 0.7412 | ≥ 0.75 (**missed**) |" in card
    assert "| clip_tells_nouns | 0.5 |  |" in card


def test_the_time_of_each_part_and_of_all_is_told() -> None:
    card = write_card(body())
    assert "| AutoencoderKL | 35 min |" in card
    assert "| `hps-mini` | 42 s |" in card
    assert "| all of it | 36 min |" in card
    assert "48 nouns in\n4 styles, 32 by 32 pixels" in card
