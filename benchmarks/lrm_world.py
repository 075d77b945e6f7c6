"""What the latent reward model's benchmark works with: the stages' files, or stand-ins of the same sizes."""

from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from benchmarks.distill import CPU, WORLD
from rglcd_pipelines.artifacts import MANIFEST, Artifact, draft, open_artifact, publish
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.file import Statistics, write_latents
from rglcd_pipelines.latent_reward.captions import make_captions, text_identity
from rglcd_pipelines.latent_reward.folder import load
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.latent_reward.text import load_text
from rglcd_pipelines.training.lrm_settings import LrmConfig, MatchingConfig
from rglcd_pipelines.training.pretrain import FIRST_SCALE
from rglcd_pipelines.training.settings import DrawsConfig
from rglcd_pipelines.world.sets import read_strings

LATENTS = Path("data/04_feature/base/latents")
CAPTIONS = Path("data/05_model_input/base/captions")
LRM = Path("data/06_models/base/lrm")
STAND_INS = 16_384
"""Latents that are drawn where there are none: as many as the pretraining has other captions."""


def read_settings() -> tuple[LrmConfig, MatchingConfig]:
    told = yaml.safe_load(Path("conf/base/parameters_lrm.yml").read_text(encoding="utf-8"))
    return check(LrmConfig, told["lrm"], "lrm"), check(MatchingConfig, told["matching"], "matching")


def read_draws(batch: int) -> DrawsConfig:
    file = Path("conf/base/parameters_trajectories.yml")
    told = yaml.safe_load(file.read_text(encoding="utf-8"))["trajectories"]["draws"]
    return check(DrawsConfig, told | {"batch_size": batch}, "trajectories.draws")


def find_latents(folder: Path) -> Artifact:
    """Those that `encode` left; or random ones in `folder`, with the world's prompts as captions."""
    if (LATENTS / MANIFEST).is_file():
        return open_artifact(LATENTS, "latents")
    draws, prompts = np.random.default_rng(0), read_strings(WORLD / "sets/prompts/captions.json")
    captions = [prompts[number] for number in draws.integers(0, len(prompts), STAND_INS)]
    latents = draws.standard_normal((STAND_INS, 4, 8, 8), np.float32).astype(np.float16)
    none = np.zeros((STAND_INS, 2), np.int32)
    with draft(folder / "latents", {}) as work:
        file = write_latents(
            work.path / "latents-00000.arrow",
            keys=[f"{number:06d}" for number in range(STAND_INS)],
            captions=captions,
            metas=[""] * STAND_INS,
            sizes=none,
            crops=none,
            latents=latents,
        )
        body = {
            "vae": {"id": "none", "revision": None, "digest": "", "scaling_factor": 1.0},
            "latent": {"shape": [4, 8, 8], "dtype": "float16", "kind": "mean"},
            "resolution": 32,
            "samples": STAND_INS,
            "statistics": Statistics.merge([file.statistics]).summary(),
            "files": [file.listed()],
        }
        return publish(work, folder / "latents", "latents", {}, body, {})


def find_captions(config: TextConfig, latents: Artifact, folder: Path) -> Artifact:
    """What the text tower says of the latents' captions; in a fresh clone, 20 seconds of work."""
    if (CAPTIONS / MANIFEST).is_file():
        found = open_artifact(CAPTIONS, "captions")
        made_from = {"latents": latents.digest, "text": text_identity(config)}
        if found.manifest["made_from"]["inputs"] == made_from:
            return found
    return make_captions(config, latents, folder / "captions")


def fresh_model(config: LrmConfig) -> LatentClip:
    """A latent tower with random weights beside the pretrained text tower, as the pretraining begins."""
    text, _ = load_text(config.text)
    torch.manual_seed(0)
    model = LatentClip(config.tower, (4, 8, 8), text, torch.tensor(FIRST_SCALE).log()).suit(CPU)
    if config.pretrain.channels_last:
        nn.Module.to(model.visual, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return model


def matched_model(config: LrmConfig) -> LatentClip:
    """The model as the distillation gets it: the one that was pretrained, or one with random weights."""
    if (LRM / MANIFEST).is_file():
        return load(LRM)[0].suit(CPU)
    text, _ = load_text(config.text)
    torch.manual_seed(0)
    model = LatentClip(config.tower, (4, 8, 8), text, torch.tensor(FIRST_SCALE).log())
    return model.eval().requires_grad_(False).suit(CPU)
