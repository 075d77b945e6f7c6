"""A latent reward model that nobody trained: a folder of the smallest size."""

from pathlib import Path
from typing import Any

import torch

from rglcd_pipelines.artifacts import Artifact, digest_files, draft, publish
from rglcd_pipelines.latent_reward.captions import text_identity
from rglcd_pipelines.latent_reward.folder import save
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.settings import TextConfig, TowerConfig
from rglcd_pipelines.latent_reward.text import load_text
from tests.rewards.tiny_models import save_clip

TOWER = TowerConfig(kind="vit", width=32, layers=2, patch_size=2, head_width=16)


def make_lrm(place: Path, vae: str, shape: tuple[int, int, int] = (4, 8, 8)) -> Artifact:
    """For latents of `shape` of the autoencoder of digest `vae`; its CLIP lies beside it."""
    config = TextConfig(id=str(save_clip(place.with_name(f"{place.name}-clip"))))
    made_from = {"vae": vae, "shape": list(shape)}
    with draft(place, made_from) as work:
        text, scale = load_text(config)
        torch.manual_seed(0)
        model = LatentClip(TOWER, shape, text, scale)
        with torch.no_grad():  # at its first weights, all that it sees is much the same
            for weight in model.visual.parameters():
                weight.mul_(3 if weight.ndim > 1 else 1)
        save(model, vae, text_identity(config), work.path)
        body = {"shape": list(shape), "vae": vae, "files": digest_files(work.path)}
        return publish(work, place, "lrm", made_from, body, {})


def text_of(lrm: Artifact) -> dict[str, Any]:
    """The settings of its text tower."""
    return {"id": str(lrm.path.with_name(f"{lrm.path.name}-clip"))}
