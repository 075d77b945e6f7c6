"""The model card that lies in the finished world's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rglcd_pipelines.world.figures import BARS

TITLES = {
    "autoencoder": "AutoencoderKL",
    "clip": "CLIP",
    "judge": "the gold judge",
    "teacher": "the teacher",
    "preferences": "preference pairs",
    "hps": "`hps-mini`",
    "pick": "`pick-mini`",
    "imgrwd": "`imgrwd-mini`",
    "sets": "the sets",
}

TEMPLATE = Path(__file__).with_name("card.md")


def write_card(body: Mapping[str, Any]) -> str:
    """The card of a world whose manifest will hold `body`."""
    from rglcd_pipelines.world.vocabulary import NOUNS, STYLES

    parts = body["parts"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        nouns=len(NOUNS),
        styles=len(STYLES),
        resolution=parts["sets"]["manifest"]["made_from"]["resolution"],
        times="\n".join(_times(parts)),
        figures="\n".join(_figure(name, value) for name, value in body["figures"].items()),
    )


def _times(parts: Mapping[str, Any]) -> list[str]:
    seconds = {name: part["metrics"].get("seconds", 0.0) for name, part in parts.items()}
    lines = [f"| {TITLES[name]} | {_told(value)} |" for name, value in seconds.items() if value]
    return [*lines, f"| all of it | {_told(sum(seconds.values()))} |"]


def _told(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _figure(name: str, value: float) -> str:
    bar = BARS.get(name)
    missed = " (**missed**)" if bar is not None and value < bar else ""
    return f"| {name} | {value:.4g} | {'' if bar is None else f'≥ {bar:g}'}{missed} |"
