"""The model card of a student: what it is, what it was made from, and how to sample it."""

from collections.abc import Mapping
from pathlib import Path

from rglcd_pipelines.artifacts import atomic_file
from rglcd_pipelines.training.job import Job

CARD = "README.md"

TEXT = """\
---
library_name: diffusers
pipeline_tag: text-to-image
base_model: {base}
tags:
- latent-consistency-model
- {tag}
---

# {variant}: {title}

Made by {method} ([Li et al.](https://openreview.net/forum?id=z116T04LDT)) with
rglcd_pipelines; it needs 2 to 4 steps.

```python
from diffusers import {pipeline}

pipe = {pipeline}.from_pretrained("PATH_OF_THIS_FOLDER")
prompt = "{prompt}"
image = pipe(prompt, num_inference_steps=4, guidance_scale={scale:g}).images[0]
```

`guidance_scale` is omega + 1, as diffusers counts: omega was drawn from {low:g} to {high:g}, so give
{first:g} to {last:g}. The student guides itself, so a negative prompt does nothing.

| | |
|---|---|
| teacher | {teacher} |
| data | {samples:,} latents of `{latents}`, {batch} a step |
| reward | {reward} |
| beta | {beta:g} |
| steps | {steps:,} at a learning rate of {lr:g}, target network {mu:g}, {distance} distance |
| weights | the {weights} network, {saved_as} |

Means of the last 50 steps:

| | |
|---|---|
{figures}

Every step's figures are in `losses.csv`.
"""


def write_card(job: Job, kind: str, figures: Mapping[str, float], folder: Path) -> None:
    """README.md in `folder`."""
    chosen, settings, draws = job.chosen, job.settings, job.asked.draws
    guided = bool(chosen.rewards)
    method = "reward guided latent consistency distillation" if guided else "latent consistency distillation"
    batch = chosen.batch_size or draws.batch_size
    text = TEXT.format(
        variant=job.variant,
        title=f"a {'reward guided ' if guided else ''}latent consistency model",
        method=method,
        tag="rg-lcd" if guided else "lcd",
        base=job.teacher.id,
        pipeline="StableDiffusionXLPipeline" if kind == "sdxl" else "LatentConsistencyModelPipeline",
        prompt=settings.samples.prompts[0],
        scale=settings.samples.omega + 1,
        low=draws.omega_min,
        high=draws.omega_max,
        first=draws.omega_min + 1,
        last=draws.omega_max + 1,
        teacher=f"{job.teacher.id}{f' at {job.teacher.revision}' if job.teacher.revision else ''}",
        samples=settings.steps * batch,
        latents=job.latents,
        batch=batch,
        reward=_rewards(job) or "none",
        beta=chosen.beta,
        steps=settings.steps,
        lr=settings.optimizer.lr,
        mu=settings.mu,
        distance="pseudo-Huber" if settings.distance == "huber" else "squared",
        weights=settings.weights,
        saved_as=settings.saved_as,
        figures="\n".join(f"| {name} | {value:g} |" for name, value in figures.items() if name != "lr"),
    )
    with atomic_file(folder / CARD) as file:
        file.write(text.encode())


def _rewards(job: Job) -> str:
    """Every reward with its weight, and where it was read from."""
    parts = []
    for name, weight in job.chosen.rewards.items():
        config = job.rewards[name]
        where = config.id or config.kind
        parts.append(f"{f'{weight:g} × ' if weight != 1 else ''}`{name}` ({where})")
    return " + ".join(parts)
