"""Jobs of the smallest size: a narrow Stable Diffusion, a few latents, a reward of a line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import load_teacher
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.training.identity import teacher_identity
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.settings import TrajectoriesConfig
from rglcd_pipelines.training.trajectories import make_trajectories
from tests.data.make_latents import make_latents
from tests.diffusion.tiny_teachers import save_sd
from tests.training.make_lrm import make_lrm, text_of

STEPS, BATCH = 6, 4
VARIANTS: dict[str, dict[str, Any]] = {
    "lcm": {},
    "bright": {"reward": "brightness", "beta": 0.5},
    "bright_lrm": {"reward": "brightness", "lrm": True, "beta": 0.5, "tau_expert": 0.05},
    "frozen": {"reward": "lrm", "beta": 0.5},
}
PROMPTS = ["a red cat on a plain blue background", "a small white leaf, thin style"]


class Bench:
    """A teacher with latents of its own autoencoder, in a folder."""

    def __init__(
        self, folder: Path, prediction: str = "v_prediction", save: Callable[[Path], Path] | None = None
    ) -> None:
        """With the teacher that `save` puts into a folder, or the one that predicts `prediction`."""
        self.folder = folder
        teacher = save(folder / "teacher") if save else save_sd(folder / "teacher", prediction)
        self.teacher = {"source": "folder", "id": str(teacher), "latent_factor": 2}
        self.vae = {"source": "folder", "id": str(teacher / "vae")}
        digest = load_vae(check(VaeConfig, self.vae), "cpu", torch.float32).digest
        self.latents = make_latents(folder / "latents", vae=digest)
        self.lrm = make_lrm(folder / "lrm", digest)

    def answers(self, asked: dict[str, Any]) -> Artifact:
        config = check(TrajectoriesConfig, asked)
        teacher = check(TeacherConfig, self.teacher)
        place = self.folder / ("live" if config.live else f"answers-{config.draws.steps}-{config.dtype}")
        identity = teacher_identity(teacher)
        return make_trajectories(config, self.latents, lambda: load_teacher(teacher), identity, place)

    def job(
        self,
        place: Path,
        variant: str = "lcm",
        live: bool = False,
        matching: dict[str, Any] | None = None,
        chosen: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Job:
        """The job of one variant, with `settings` of `distill` changed, and of the others named."""
        asked = {
            "draws": {"seed": 3, "steps": STEPS, "batch_size": BATCH, "omega_min": 2.0, "omega_max": 6.0},
            "precision": "fp32",
            "live": live,
        }
        distill = {
            "steps": STEPS,
            "optimizer": {"lr": 1e-4},
            "precision": "fp32",
            "report_every": 2,
            "checkpoints": {"every": 2},
            "samples": {"every": 100, "prompts": PROMPTS, "steps": [1, 2]},
        }
        lrm = {
            "folder": str(self.lrm.path),
            "text": text_of(self.lrm),
            "matching": {
                "optimizer": {"lr": 1e-2},
                "batch_size": 2,
                "latent_blocks": 1,
                "text_blocks": 1,
                **(matching or {}),
            },
            "real_rewards": str(place.parent / "real_rewards"),
        }
        told = VARIANTS[variant] | (chosen or {})
        return check(
            Job,
            {
                "variant": variant,
                "chosen": told,
                "settings": distill | settings,
                "lrm": lrm if told.get("lrm") else None,
                "rewards": {
                    "brightness": {"kind": "tests.rewards.own_reward:Brightness"},
                    "lrm": {"kind": "latent", "id": str(self.lrm.path)},
                },
                "teacher": self.teacher,
                "vae": self.vae,
                "asked": asked,
                "latents": str(self.latents.path),
                "answers": str(self.answers(asked).path),
                "place": str(place),
            },
        )


def towards(job: Job, reward: dict[str, Any]) -> Job:
    """The same, but it is this reward that is called brightness."""
    told = job.model_dump()
    return check(Job, told | {"rewards": told["rewards"] | {"brightness": reward}})
