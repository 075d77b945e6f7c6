"""The world's parts at their smallest: the real classes, a few steps."""

from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.training.fit import FitConfig
from rglcd_pipelines.world.autoencoder import AutoencoderConfig, make_autoencoder
from rglcd_pipelines.world.clip import ClipConfig, TowerConfig, make_clip
from rglcd_pipelines.world.teacher import TeacherConfig, make_teacher

SIDE = 32
FEW = FitConfig(steps=3, batch_size=8, lr=1e-3, warmup_steps=1)
AUTOENCODER = AutoencoderConfig(block_out_channels=[8, 16, 16], fit=FEW)
CLIP = ClipConfig(
    text=TowerConfig(width=32, layers=1),
    image=TowerConfig(width=32, layers=1),
    patch_size=4,
    embedding=32,
    naming=FEW,
    fit=FEW,
)
TEACHER = TeacherConfig(
    block_out_channels=[32, 32], attention=[False, True], renders=64, caption_dropout=0.5, early=[2], fit=FEW
)


def tiny_autoencoder(place: Path) -> Artifact:
    return make_autoencoder(AUTOENCODER, SIDE, place / "autoencoder")


def tiny_clip(place: Path) -> Artifact:
    return make_clip(CLIP, SIDE, place / "clip")


def tiny_teacher(place: Path) -> Artifact:
    return make_teacher(TEACHER, tiny_autoencoder(place), tiny_clip(place), SIDE, place / "teacher")
