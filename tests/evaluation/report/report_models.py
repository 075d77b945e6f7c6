"""Models whose scores are made up, so that every ordering is known; their pictures are drawn by hand."""

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rglcd_pipelines.artifacts import Artifact, draft, publish, write_json
from rglcd_pipelines.evaluation.distances.reference import Reference
from rglcd_pipelines.evaluation.generate.column import Column
from rglcd_pipelines.evaluation.intervals import mean_interval
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.report.models import Model
from rglcd_pipelines.evaluation.scores.distances import with_distances
from rglcd_pipelines.evaluation.scores.table import Figure, Measure, Scores, write_scores

STYLES = ("cartoon", "solid", "thin", "two-tone")
PER_STYLE, CAPTIONS, DIMENSIONS = 20, 160, 6
STUDENT = {"2": Column(2, 2, "lcm"), "4": Column(4, 4, "lcm")}
TEACHER = {
    "ddim-50": Column(50, 100, "DDIM"),
    "dpm-4": Column(4, 8, "DPM-Solver++"),
    "dpm-25": Column(25, 50, "DPM-Solver++"),
}
MEASURES = {
    "hps": Measure("hps-mini", "high", "What hps-mini says of a picture.", "held_out", 100.0),
    "pick": Measure("pick-mini", "high", "What pick-mini says of a picture.", "held_out", 100.0),
    "gold": Measure("gold", "high", "What the rule of taste says of a picture.", "gold", digits=3),
    "gold_noun": Measure("gold: noun", "high", "Whether the object is right.", "gold", digits=3),
    "high_frequency": Measure(
        "high-frequency energy",
        "reference",
        "Mean power above a quarter of a cycle a pixel, ×1000.",
        "watch",
        1e3,
    ),
    "saturation": Measure("saturation", "reference", "Mean chroma in CIELAB.", "watch", digits=1),
    "hps_jpeg_drop": Measure(
        "hps-mini, lost by JPEG 75", "low", "Lost by a way through JPEG.", "watch", 100.0
    ),
    "fid": Measure("fid-mini", "low", "Fréchet distance of features to those of real pictures.", "distance"),
    "kid": Measure("kid-mini", "low", "Kernel distance of the same features, ×1000.", "distance", 1e3),
    "precision": Measure("precision", "high", "Share that lies among the real.", "distance", digits=3),
    "recall": Measure("recall", "high", "Share of the real that lie among these.", "distance", digits=3),
}
# Of each model: reward, shift of its features, high-frequency energy. The paper's orderings hold, but for
# pick_lrm, whose shift is the LCM's.
LEVELS: dict[str, tuple[float, float, float]] = {
    "teacher": (0.25, 0.3, 0.0020),
    "lcm": (0.20, 0.8, 0.0018),
    "clip": (0.26, 0.8, 0.0019),
    "pick": (0.28, 1.1, 0.0024),
    "pick_lrm": (0.23, 0.8, 0.0016),
    "imgrwd": (0.30, 1.5, 0.0050),
    "imgrwd_lrm": (0.25, 0.6, 0.0015),
    "hps": (0.33, 1.2, 0.0030),
    "hps_lrm": (0.27, 0.6, 0.0016),
}
REWARD = {name: name.removesuffix("_lrm") for name in LEVELS if name not in ("teacher", "lcm")}
BETAS = {"clip": 5.0, "pick": 5.0, "imgrwd": 0.3, "hps": 1.0}


def prompts() -> list[Prompt]:
    things = ("heart", "diamond", "moon", "house", "star")
    found = []
    for style in STYLES:
        for number in range(PER_STYLE):
            thing, ground = f"{COLOURS[number % 5]} {things[number % 4]}", COLOURS[number % 3 + 5]
            text = f"a large {thing} on a plain {ground} background, drawn in {style} style"
            found.append(Prompt(f"hpsv2/{style}/{number:05}", "hpsv2", style, text, number))
    captions = [
        Prompt(f"coco/{number:05}", "coco", "", f"a caption {number}", number) for number in range(CAPTIONS)
    ]
    return found + captions


COLOURS = ("red", "orange", "purple", "teal", "navy", "white", "lightyellow", "black")


def real_features() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(400, DIMENSIONS)).astype(np.float32)


class DrawnPictures:
    """What `Samples` is to a report, with pictures drawn when they are asked for."""

    def __init__(self, name: str, columns: dict[str, Column], side: int = 32) -> None:
        self.name, self.columns, self.side = name, columns, side
        self.noise = LEVELS[name.split("-")[0]][2] ** 0.5

    def prompts(self, column: str, set: str | None = None) -> list[Prompt]:
        assert column in self.columns
        return [prompt for prompt in prompts() if set in (None, prompt.set)]

    def pngs(self, column: str, set: str | None = None) -> Iterator[tuple[Prompt, bytes]]:
        for prompt in self.prompts(column, set):
            yield prompt, picture(prompt, self.noise, self.side, soft=column == "2")


@cache
def picture(prompt: Prompt, noise: float, side: int, soft: bool) -> bytes:
    """A plain shape on a plain ground, with white noise of a standard deviation."""
    words = prompt.text.split()
    ground = words[-6] if "background," in words else "white"
    image = Image.new("RGB", (side * 4, side * 4), ground if ground in COLOURS else "white")
    pen, box = ImageDraw.Draw(image), (side * 0.6, side * 0.6, side * 3.4, side * 3.4)
    colour = words[2] if words[2] in COLOURS else "teal"
    shape = words[3]
    if shape == "heart":
        pen.ellipse(box, fill=colour)
    elif shape == "diamond":
        corners = [(2.0, 0.4), (3.5, 2.0), (2.0, 3.6), (0.5, 2.0)]
        pen.polygon([(side * x, side * y) for x, y in corners], fill=colour)
    elif shape == "house":
        pen.rectangle(box, fill=colour)
    else:
        pen.pieslice(box, 40, 320, fill=colour)
    if soft:
        image = image.filter(ImageFilter.GaussianBlur(side / 16))
    pixels = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), np.float64)
    drawn = np.random.default_rng(prompt.seed)
    noisy = pixels + 255 * noise * drawn.normal(size=pixels.shape)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def scores_of(
    place: Path, name: str, levels: tuple[float, float, float], columns: dict[str, Column], seed: int = 0
) -> Scores:
    """Scores with a spread over prompts that all models share."""
    reward, shift, noise = levels
    drawn = np.random.default_rng([seed, sum(name.encode())])
    asked = prompts()
    common = np.random.default_rng(3).normal(size=len(asked))
    tables, features, figures = [], {}, []
    real, facts = Reference(real_features()), {"teacher": "the small teacher", "seconds_per_image": {}}
    base = np.random.default_rng(11).normal(size=(CAPTIONS, DIMENSIONS))
    for column, told in columns.items():
        # More steps are a little better, whatever is measured.
        better = {"2": -0.012, "4": 0.0, "dpm-4": -0.05}.get(column, 0.0)
        own = {
            "hps": reward + better + 0.02 * common + 0.004 * drawn.normal(size=len(asked)),
            "pick": 0.2 + reward / 4 + 0.02 * common + 0.004 * drawn.normal(size=len(asked)),
            "gold": 0.5 + reward - 40 * noise + better + 0.1 * common + 0.02 * drawn.normal(size=len(asked)),
            "gold_noun": (drawn.random(len(asked)) < 0.4 + reward).astype(float),
            "high_frequency": noise * np.exp(0.2 * common + 0.05 * drawn.normal(size=len(asked))),
            "saturation": 30 + 60 * reward + 4 * common,
            "hps_jpeg_drop": noise * 4 + 0.001 * drawn.normal(size=len(asked)),
        }
        own["gold"][[prompt.set == "coco" for prompt in asked]] = np.nan
        tables.append(rows_of(column, asked, own))
        made = base + shift / DIMENSIONS**0.5 + 0.05 * drawn.normal(size=base.shape)
        features[column, "coco"] = made.astype(np.float32)
        figures += figures_of(column, asked, own)
        figures.append(Figure(column, "coco", "", "precision", 0.9 - shift / 4, None, None, CAPTIONS))
        figures.append(Figure(column, "coco", "", "recall", 0.7 - shift / 5, None, None, CAPTIONS))
        facts["seconds_per_image"][column] = told.nfe * 0.004 + 0.003
    rows = with_distances(pa.concat_tables(tables), features, real)
    figures += distances_of(rows, columns)
    with draft(place / name, {"name": name, "seed": seed}) as work:
        write_scores(work.path, name, columns, MEASURES, rows, features, figures, facts)
        return Scores.open(publish(work, place / name, "scores", {"name": name}, {}, {}))


def rows_of(column: str, asked: list[Prompt], own: dict[str, NDArray[np.float64]]) -> pa.Table:
    keys = {
        "column": [column] * len(asked),
        "set": [prompt.set for prompt in asked],
        "group": [prompt.group for prompt in asked],
        "key": [prompt.key for prompt in asked],
        "repeat": pa.array([prompt.repeat for prompt in asked], pa.int32()),
    }
    scores = {name: pa.array(values, pa.float32(), from_pandas=True) for name, values in own.items()}
    return pa.table(keys | scores)


def figures_of(column: str, asked: list[Prompt], own: dict[str, NDArray[np.float64]]) -> list[Figure]:
    found = []
    for measure, values in own.items():
        for group in ("", *STYLES):
            some = np.array([v for p, v in zip(asked, values, strict=True)
                             if p.set == "hpsv2" and group in ("", p.group)])  # fmt: skip
            half = 1.96 * some.std() / len(some) ** 0.5
            mean = float(some.mean())
            deviation = float(some.std() / 4) if measure == "hps" and group else None
            found.append(
                Figure(column, "hpsv2", group, measure, mean, mean - half, mean + half, len(some), deviation)
            )
    return found


def distances_of(rows: pa.Table, columns: dict[str, Column]) -> list[Figure]:
    """From the value that each sample adds."""
    found = []
    for column in columns:
        inside = np.array([one == column for one in rows["column"].to_pylist()])
        for measure in ("fid", "kid"):
            values = rows[measure].to_numpy(zero_copy_only=False).astype(float)[inside]
            told = mean_interval(values[~np.isnan(values)])
            found.append(Figure(column, "coco", "", measure, told.value, told.low, told.high, CAPTIONS))
    return found


def student_folder(place: Path, parting: bool) -> Path:
    """What a student keeps of its training: looks, and sheets of pictures."""
    (place / "progress").mkdir(parents=True)
    rows = ["step,hps,pick,imgrwd,imgrwd_error,gold,gold_error,high_frequency"]
    for look, step in enumerate((0, 60, 120, 180, 240)):
        gold = 0.5 + 0.05 * look - (0.03 * look**2 if parting else 0)
        rows.append(
            f"{step},{0.2 + 0.03 * look},{0.2 + 0.01 * look},{look},0.2,{gold},0.01,{0.0018 + 0.0003 * look}"
        )
        if step:
            sheet = Image.new("RGB", (602, 300), "white")
            pen = ImageDraw.Draw(sheet)
            pen.text((20, 20), f"a prompt, after {step} steps", "black")
            pen.ellipse((340, 30, 340 + step // 2, 30 + step // 2), fill="teal")
            sheet.save(place / "progress" / f"{step}.png")
    (place / "watch.csv").write_text("\n".join(rows) + "\n")
    return place


def make_models(place: Path, seeds: int = 1, sweep: bool = True, **changes: Any) -> list[Model]:
    """Teacher, LCM and every variant; with `sweep`, hps and imgrwd at other β and without antialiasing."""
    levels = LEVELS | changes
    found = [
        _model(place, name, own, seed)
        for name, own in levels.items()
        for seed in range(seeds if name != "teacher" else 1)
    ]
    if sweep:
        for beta, extra in ((0.1, -0.5), (10.0, 0.7)):
            for family in ("hps", "imgrwd"):
                reward, shift, noise = levels[family]
                own = (reward + 0.05 * extra, shift * (1 + extra / 3), noise * (1 + extra / 2))
                found.append(
                    _model(place, family, own, 0, name=f"{family}-beta{beta:g}".replace(".", "_"), beta=beta)
                )
        for family in ("hps", "imgrwd"):
            reward, shift, noise = levels[family]
            found.append(
                _model(
                    place, family, (reward, shift, noise * 2), 0, name=f"{family}-aliased", antialias=False
                )
            )
    return found


def _model(
    place: Path, family: str, levels: tuple[float, float, float], seed: int, name: str | None = None,
    beta: float | None = None, antialias: bool = True,
) -> Model:  # fmt: skip
    teacher, reward = family == "teacher", REWARD.get(family, "")
    name = name or (f"{family}-seed{seed}" if seed else family)
    columns = TEACHER if teacher else STUDENT
    student = None if teacher else student_folder(place / "students" / name, parting=reward == "imgrwd")
    usual = 0.0 if not reward else 0.5 if family.endswith("_lrm") else BETAS[reward]
    return Model(
        name=name,
        kind="teacher" if teacher else "student",
        family=family,
        seed=seed,
        beta=usual if beta is None else beta,
        reward=reward,
        lrm=family.endswith("_lrm"),
        scores=scores_of(place / "scores", name, levels, columns, seed),
        samples=DrawnPictures(name, columns),
        student=student,
        run_url=None if teacher else f"http://127.0.0.1:5000/#/experiments/1/runs/{sum(name.encode()):032x}",
        antialias=antialias,
    )


def other_artifact(place: Path) -> Artifact:
    with draft(place, {}) as work:
        write_json(work.path / "nothing.json", {})
        return publish(work, place, "scores", {}, {}, {})
