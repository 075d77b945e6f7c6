"""The model card of a student: what it is, what it was made from, and how to sample it."""

from collections.abc import Mapping
from pathlib import Path

from rglcd_pipelines.artifacts import atomic_file
from rglcd_pipelines.diffusion.guidance import DIMENSIONS
from rglcd_pipelines.training.export import LORA as LORA_WEIGHTS
from rglcd_pipelines.training.export import OMEGA, pipeline_class
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.overseer import Ending

CARD = "README.md"
LATENT_REWARD = "latent_reward"
"""Where in a student's folder the latent reward model is that learnt beside it."""

TEXT = """\
---
library_name: diffusers
pipeline_tag: text-to-image
{base}tags:
{tags}
---

# {variant}: {title}

Made by {method} ([Li et al.](https://openreview.net/forum?id=z116T04LDT)) with
rglcd_pipelines; it needs 2 to 4 steps.

```python
{code}
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
{lrm}| beta | {beta:g} |
{ending}| steps | {steps:,} at a learning rate of {lr:g}, target network {mu:g}, {distance} distance |
| learns | {learns} |
| weights | the {weights} network, {saved_as} |

Means of the last 50 steps:

| | |
|---|---|
{figures}

Every step's figures are in `losses.csv`.
"""


WHOLE = """\
from diffusers import {pipeline}

pipe = {pipeline}.from_pretrained("PATH_OF_THIS_FOLDER")"""

LORA = """\
from diffusers import AutoencoderKL, {pipeline}, LCMScheduler, UNet2DConditionModel
from safetensors.torch import load_file

here = "PATH_OF_THIS_FOLDER"
base = {base}
# The teacher's UNet, told omega too; diffusers warns that the projection is new, and it is loaded next.
unet = UNet2DConditionModel.from_pretrained(
    **base, subfolder="unet", time_cond_proj_dim={dimensions}, low_cpu_mem_usage=False
)
unet.time_embedding.cond_proj.load_state_dict(load_file(f"{{here}}/{omega}"))
vae = AutoencoderKL.from_pretrained({vae})
scheduler = LCMScheduler.from_pretrained(here, subfolder="scheduler")
pipe = {pipeline}.from_pretrained(**base, unet=unet, vae=vae, scheduler=scheduler{beside})
pipe.load_lora_weights(here, weight_name="{weights}")"""


def write_card(
    job: Job,
    kind: str,
    figures: Mapping[str, float],
    agreement: Mapping[str, float],
    folder: Path,
    ending: Ending | None = None,
) -> None:
    """README.md in `folder`; `agreement` is what is known of a latent reward model and its expert."""
    chosen, settings, draws = job.chosen, job.settings, job.asked.draws
    guided = bool(chosen.rewards)
    method = "reward guided latent consistency distillation" if guided else "latent consistency distillation"
    batch = chosen.batch_size or draws.batch_size
    text = TEXT.format(
        variant=job.variant,
        title=f"a {'reward guided ' if guided else ''}latent consistency model",
        method=method,
        tags="\n".join(f"- {tag}" for tag in _tags(job)),
        # The hub refuses a card whose base model is a folder.
        base=f"base_model: {job.teacher.id}\n" if job.teacher.source == "hub" else "",
        code=_code(job, kind),
        prompt=settings.samples.prompts[0],
        scale=settings.samples.omega + 1,
        low=draws.omega_min,
        high=draws.omega_max,
        first=draws.omega_min + 1,
        last=draws.omega_max + 1,
        teacher=f"{_called(job.teacher.id)}{f' at {job.teacher.revision}' if job.teacher.revision else ''}",
        samples=(ending.best if ending else settings.steps) * batch,
        latents=_called(job.latents),
        batch=batch,
        reward=_rewards(job) or "none",
        lrm=_lrm(agreement),
        beta=chosen.beta,
        ending=_ended(ending),
        steps=settings.steps,
        lr=settings.optimizer.lr,
        mu=settings.mu,
        distance="pseudo-Huber" if settings.distance == "huber" else "squared",
        learns=_learns(job),
        weights=settings.weights,
        saved_as=settings.saved_as,
        figures="\n".join(f"| {name} | {value:g} |" for name, value in figures.items() if name != "lr"),
    )
    with atomic_file(folder / CARD) as file:
        file.write(text.encode())


def _tags(job: Job) -> list[str]:
    tags = ["latent-consistency-model", "rg-lcd" if job.chosen.rewards else "lcd"]
    return [*tags, "lora"] if job.settings.lora else tags


def _learns(job: Job) -> str:
    if job.settings.lora is None:
        return "all of a copy of the teacher"
    rank, alpha = job.settings.lora.rank, job.settings.lora.alpha
    return f"LoRA of rank {rank} and alpha {alpha:g}, and the projection of omega"


def _code(job: Job, kind: str) -> str:
    """How the pipeline is loaded, with diffusers alone."""
    name = pipeline_class(kind).__name__
    if job.settings.lora is None:
        return WHOLE.format(pipeline=name)
    teacher, vae = job.teacher, job.vae
    base = {
        "pretrained_model_name_or_path": teacher.id,
        "revision": teacher.revision,
        "variant": teacher.variant,
    }
    where = {"revision": vae.revision, "subfolder": vae.subfolder}
    named = [f"{name}={value!r}" for name, value in where.items() if value]
    return LORA.format(
        pipeline=name,
        base={name: value for name, value in base.items() if value},
        dimensions=DIMENSIONS,
        omega=OMEGA,
        vae=", ".join([repr(vae.id), *named]),
        beside="" if kind == "sdxl" else ", safety_checker=None",
        weights=LORA_WEIGHTS,
    )


def _lrm(agreement: Mapping[str, float]) -> str:
    """How the student came by the reward, if not directly."""
    if not agreement:
        return ""
    before, after = (agreement[f"correlation_{when}"] for when in ("before", "after"))
    return (
        f"| through | a latent reward model in `{LATENT_REWARD}`, which learnt to prefer as the reward does; "
        f"the correlation of their preferences in fresh pairs went from {before:.2f} to {after:.2f} |\n"
    )


def _ended(ending: Ending | None) -> str:
    """Why it is not what it was after its last step."""
    if ending is None:
        return ""
    return f"| kept | as it was after step {ending.best:,}, for it went too far: {ending.why} |\n"


def _rewards(job: Job) -> str:
    """Every reward with its weight, and where it was read from."""
    parts = []
    for name, weight in job.chosen.rewards.items():
        config = job.rewards[name]
        where = _called(config.id) or config.kind
        parts.append(f"{f'{weight:g} × ' if weight != 1 else ''}`{name}` ({where})")
    return " + ".join(parts)


def _called(place: str) -> str:
    """A hub's name or a path inside the project as it is; of a path of this machine its last part."""
    return Path(place).name if Path(place).is_absolute() else place
