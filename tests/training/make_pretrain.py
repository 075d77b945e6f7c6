"""Pretrainings of the smallest size: latents that say what their captions say, and a narrow CLIP."""

from pathlib import Path
from typing import Any

import numpy as np

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.latent_reward.captions import make_captions
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.training.pretrain_job import PretrainJob
from tests.data.make_latents import columns, make_latents
from tests.rewards.tiny_models import save_clip

STEPS, BATCH = 6, 8
COLOURS, NOUNS = ("red", "blue", "green", "black"), ("cat", "fish", "leaf", "star", "house", "key")
VIT: dict[str, Any] = {"kind": "vit", "width": 32, "layers": 2, "patch_size": 4, "head_width": 16}
RESNET: dict[str, Any] = {"kind": "resnet", "width": 8, "layers": [1, 1, 1, 1], "head_width": 16}


def told_latents() -> dict[str, Any]:
    """A latent for each thing in each colour, of which a half says which thing and the other which colour."""
    made = columns(len(COLOURS) * len(NOUNS))
    things, colours = (columns(len(each), seed=seed)["latents"] for seed, each in ((1, NOUNS), (2, COLOURS)))
    pairs = [(thing, colour) for thing in range(len(NOUNS)) for colour in range(len(COLOURS))]
    made["captions"] = [f"a {COLOURS[colour]} {NOUNS[thing]}" for thing, colour in pairs]
    made["latents"] = np.stack([np.concatenate([things[t][:2], colours[c][2:]]) for t, c in pairs])
    return made


class Pretraining:
    """A text tower, latents and what the tower says of their captions, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = {"id": str(save_clip(folder / "clip"))}
        self.latents = make_latents(folder / "latents", made=told_latents())
        self.captions = self.captions_of(self.latents)

    def captions_of(self, latents: Artifact) -> Artifact:
        place = self.folder / f"captions-of-{latents.path.name}"
        return make_captions(check(TextConfig, self.text), latents, place)

    def job(self, place: Path, tower: dict[str, Any] = VIT, **settings: Any) -> PretrainJob:
        """With `settings` of `lrm.pretrain` changed."""
        pretrain = {
            "steps": STEPS,
            "batch_size": BATCH,
            "optimizer": {"lr": 1e-3, "weight_decay": 0.1},
            "precision": "fp32",
            "report_every": 2,
            "checkpoints": {"every": 2},
        }
        return check(
            PretrainJob,
            {
                "text": self.text,
                "tower": tower,
                "settings": pretrain | settings,
                "latents": str(self.latents.path),
                "captions": str(self.captions.path),
                "place": str(place),
            },
        )
