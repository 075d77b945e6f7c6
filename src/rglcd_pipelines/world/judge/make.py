"""Making the judge: its members learn one after another, then it is measured on what it never saw."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from rglcd_pipelines.artifacts import Artifact, digest_files, draft, publish, standing, write_json
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.batches import draw_unseen, unit
from rglcd_pipelines.world.judge.degrade import degrade
from rglcd_pipelines.world.judge.judge import SETTINGS, Judge, accuracy, weights_file
from rglcd_pipelines.world.judge.train import JudgeConfig, train_member

FORMAT = 1


def make_judge(config: JudgeConfig, resolution: int, place: Path) -> Artifact:
    """A trained judge at `place`: each member's weights in float16, and figures on held-out renders."""
    made_from = {
        "format": FORMAT,
        "resolution": resolution,
        "vocabulary": vocabulary.digest(),
        **config.model_dump(),
    }
    if ready := standing(place, "judge", made_from):
        return ready
    with draft(place, made_from) as work:
        scratch = work.path / "scratch"
        seconds = 0.0
        for index in range(config.members):
            # The checkpoint of a member that is finished lets it through at once.
            folder = scratch / f"member-{index + 1}"
            folder.mkdir(parents=True, exist_ok=True)
            member, took = train_member(config, index, resolution, folder)
            seconds += took
            weights = {name: value.half().cpu().contiguous() for name, value in member.state_dict().items()}
            save_file(weights, work.path / weights_file(index))
        write_json(
            work.path / SETTINGS,
            {"members": config.members, "width": config.width, "resolution": resolution},
        )
        metrics = {
            "seconds": round(seconds, 1),
            **figures(Judge.load(work.path, pick_device()), config.measured),
        }
        shutil.rmtree(scratch)
        return publish(work, place, "judge", made_from, {"files": digest_files(work.path)}, metrics)


def figures(judge: Judge, count: int) -> dict[str, float]:
    """How well the judge reads renders it never saw, clean and degraded, and what the rule gives them."""
    drawn = draw_unseen(count, judge.resolution)
    clean = unit(drawn.images)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        worse = degrade(clean, share=1.0)
    told: dict[str, float] = {}
    for prefix, images in (("", clean), ("degraded_", worse)):
        read = accuracy(judge, images, drawn.scenes)
        told |= {f"{prefix}{name}_accuracy": round(value, 4) for name, value in read.items()}
        told[f"{prefix}gold"] = round(float(judge.score(images, drawn.captions).mean()), 4)
    return told
