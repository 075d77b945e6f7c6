"""Small samples of models, as `evaluate` leaves them: each picture says by its colours whose it is."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rglcd_pipelines.artifacts import Artifact, draft, publish, write_json
from rglcd_pipelines.data.shards import Sample, write_shard
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig
from rglcd_pipelines.evaluation.generate.samples import PROMPTS, Samples
from rglcd_pipelines.evaluation.prompts.prompt import Prompt

GROUPS = ("anime", "photo")
TINTS = {"hps": (200, 30, 30), "lcm": (30, 200, 30), "teacher": (30, 30, 200)}
COLUMNS = {"hps": ("2", "4"), "lcm": ("4",), "teacher": ("ddim-50",)}
ARENA = {
    "set": "styles",
    "prompts": 4,
    "pairings": [
        {"ours": {"model": "hps", "column": "2"}, "theirs": {"model": "teacher", "column": "ddim-50"}},
        {"ours": {"model": "hps", "column": "4"}, "theirs": {"model": "lcm", "column": "4"}},
    ],
}


def arena_config(**changes: Any) -> ArenaConfig:
    return ArenaConfig.model_validate(ARENA | changes)


def make_prompts(each: int = 4, repeats: int = 1) -> list[Prompt]:
    """Some of each group, one text twice where there are repeats."""
    return [
        Prompt(f"styles/{group}/{index:05d}" + (f"-r{repeat}" if repeat else ""), "styles", group,
               f"a {group} of thing {index}", 100 * index + repeat, repeat)
        for group in GROUPS
        for index in range(each)
        for repeat in range(repeats)
    ]  # fmt: skip


def picture(model: str, prompt: Prompt, side: int = 16) -> bytes:
    """Noise in the model's colour, with a text chunk that gives it away."""
    noise = np.random.default_rng(prompt.seed).integers(0, 50, (side, side, 3))
    file, told = io.BytesIO(), PngInfo()
    told.add_text("parameters", f"drawn by {model}")
    pixels = Image.fromarray((noise + TINTS[model]).astype(np.uint8))
    pixels.save(file, "PNG", pnginfo=told)
    return file.getvalue()


def make_samples(
    folder: Path, model: str, prompts: Sequence[Prompt], side: int = 16, content: bytes | None = None
) -> Samples:
    """A finished folder of all columns of `model`; `content` stands for every picture, if it is given."""
    place = folder / model
    with draft(place, {"model": model}) as work:
        shards: list[dict[str, Any]] = []
        for column in COLUMNS[model]:
            (work.path / column).mkdir()
            name = f"{column}/00000.tar"
            samples = [
                Sample(
                    prompt.key,
                    content or picture(model, prompt, side),
                    caption=prompt.text.encode(),
                    meta=json.dumps({"column": column}).encode(),
                )
                for prompt in prompts
            ]
            write_shard(work.path / name, samples)
            shards.append({"name": name, "column": column, "sets": ["styles"], "samples": len(samples)})
        write_json(work.path / PROMPTS, [asdict(prompt) for prompt in prompts])
        columns = {c: {"steps": 2, "nfe": 2, "sampler": "lcm"} for c in COLUMNS[model]}
        body = {"name": model, "columns": columns, "sets": {"styles": list(columns)}, "shards": shards}
        return Samples(publish(work, place, "samples", {"model": model}, body, {}))


def all_samples(folder: Path, prompts: Sequence[Prompt] | None = None, side: int = 16) -> dict[str, Samples]:
    return {model: make_samples(folder, model, prompts or make_prompts(), side) for model in TINTS}


def write_votes(
    file: Path,
    arena: Artifact,
    rater: str,
    answers: Mapping[tuple[str, str], str],
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """A vote file as the page exports it, or with some of it changed."""
    votes = [{"comparison": c, "question": q, "answer": answer} for (c, q), answer in answers.items()]
    told = {"version": 1, "arena": arena.manifest["arena"], "rater": rater, "votes": votes}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told | dict(changes or {})))
    return file
