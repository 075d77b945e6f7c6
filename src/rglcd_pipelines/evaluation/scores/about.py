"""What each measure means: its name for readers, which way is good, and a sentence."""

from collections.abc import Iterable, Mapping, Sequence

from rglcd_pipelines.evaluation.scores.measuring import (
    ALIASED,
    ANTIALIASED,
    JPEG,
    LOOKS,
    RECONSTRUCTION,
    SHIFT,
)
from rglcd_pipelines.evaluation.scores.table import Measure
from rglcd_pipelines.evaluation.settings import EvaluateConfig
from rglcd_pipelines.rewards.settings import RewardConfig

COSINES = ("clip", "open_clip")
"""Kinds whose score is a cosine, which the HPSv2 benchmark multiplies by 100."""

CHANGES = {
    ALIASED: ("without antialiasing", "high", "The same, of pictures that are shrunk without antialiasing."),
    ANTIALIASED: ("with antialiasing", "high", "The same, of pictures that are shrunk with antialiasing."),
    JPEG: ("lost by JPEG 75", "low", "How much of it a picture loses by a way through a JPEG file."),
    SHIFT: ("lost by a shift", "low", "How much of it a picture loses when it is moved by two pixels."),
}

DISTANCES = {
    "fid": Measure("fid", "low", "Fréchet distance of features to those of real pictures.", "distance"),
    "kid": Measure("kid", "low", "Kernel distance of the same features, ×1000.", "distance", scale=1e3),
    "precision": Measure(
        "precision",
        "high",
        "Share of pictures that lie among the real ones; its interval is over these pictures.",
        "distance",
        digits=3,
    ),
    "recall": Measure(
        "recall",
        "high",
        "Share of real pictures that lie among these; its interval is over the real ones.",
        "distance",
        digits=3,
    ),
}
DIVERSITIES = {
    "diversity": Measure(
        "diversity",
        "high",
        "How far apart the features of one prompt's pictures are: the mean cosine distance.",
        "diversity",
        digits=3,
    ),
    "pixel_diversity": Measure(
        "pixel diversity",
        "high",
        "How far apart one prompt's pictures are: the root mean squared difference.",
        "diversity",
        digits=3,
    ),
}


def measures_of(
    config: EvaluateConfig,
    judges: Mapping[str, RewardConfig],
    columns: Iterable[str],
    optimised: Sequence[str],
) -> dict[str, Measure]:
    """Every measure of a table, and the distances; `optimised` are the rewards that the model learnt from."""
    there = set(columns)
    found = {name: measure for name, (_, measure) in LOOKS.items() if name in there}
    if "reconstruction" in there:
        found["reconstruction"] = RECONSTRUCTION
    for name, judge in judges.items():
        role = "gold" if name == config.gold else "optimised" if name in optimised else "held_out"
        found |= {
            measure: about
            for measure, about in _of_judge(name, judge, role, config.suffix, there).items()
            if measure in there
        }
    for name, measure in DISTANCES.items():
        label = f"{measure.label}{config.suffix}" if name in ("fid", "kid") else measure.label
        found[name] = Measure(
            label, measure.better, measure.about, measure.role, measure.scale, measure.digits
        )
    return found | DIVERSITIES


def _of_judge(name: str, judge: RewardConfig, role: str, suffix: str, there: set[str]) -> dict[str, Measure]:
    if judge.kind == "judge":
        return _of_viescore(name)
    scale = 100.0 if judge.kind in COSINES and not judge.scaled else 1.0
    digits = 2 if scale == 100 or role != "gold" else 3
    label = name if role == "gold" else f"{name}{suffix}"
    found = {name: Measure(label, "high", f"What {label} says of a picture.", role, scale, digits)}
    for change, (words, better, about) in CHANGES.items():
        found[f"{name}_{change}"] = Measure(f"{label}, {words}", better, about, "watch", scale, digits)  # pyright: ignore[reportArgumentType]
    for measure in sorted(there):
        if measure.startswith(f"{name}_") and measure not in found:
            term = measure.removeprefix(f"{name}_").replace("_", " ")
            found[measure] = Measure(f"{label}: {term}", "high", f"The part of {label}.", role, 1.0, 3)
    return found


def _of_viescore(name: str) -> dict[str, Measure]:
    told = {
        "semantic": ("semantic score", "Whether the picture is what the caption says, from 0 to 10."),
        "quality": ("quality score", "How well the picture is made, from 0 to 10."),
        "overall": ("overall score", "The root of the product of both (VIEScore)."),
    }
    return {f"{name}_{part}": Measure(label, "high", about, "judge") for part, (label, about) in told.items()}
