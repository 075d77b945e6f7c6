"""The miniature stand-ins for HPSv2.1, PickScore and ImageReward, by the originals' recipes.

The first two are a CLIP fine-tuned on preferences; the third first learns from scratch what pictures show and
which captions belong to them, as BLIP did, and then which picture is preferred. All see pictures well below
the world's resolution.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator

from rglcd_pipelines.artifacts import Artifact, Draft, digest_files, draft, publish, standing
from rglcd_pipelines.config import Config
from rglcd_pipelines.rewards.clip import ClipReward, context, image_size, load_clip
from rglcd_pipelines.rewards.image_reward import (
    ImageReward,
    ImageRewardModel,
    ImageRewardModelConfig,
    TextConfig,
    VisionConfig,
)
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, save_seen
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.training.fit import CHECKPOINT, FitConfig, Task, fit, pick_device
from rglcd_pipelines.world.naming import FOLDER, learn_names
from rglcd_pipelines.world.preferences.batches import PairBatches
from rglcd_pipelines.world.preferences.learning import (
    calibrate,
    clip_loss,
    image_reward_loss,
    standardise,
    thaw,
)
from rglcd_pipelines.world.preferences.load import load_preferences
from rglcd_pipelines.world.preferences.matching import Matching, draw_captioned
from rglcd_pipelines.world.preferences.measure import measure
from rglcd_pipelines.world.preferences.split import HELD_OUT, NAMING, TRAIN
from rglcd_pipelines.world.tokenizer import CONTEXT, build_tokenizer

FORMAT = 1
MATCHING = "matching"
"""Where the second phase of the small ImageReward keeps its checkpoint."""


class ClipRewardConfig(Config):
    """How a CLIP learns what people prefer."""

    frozen_blocks: int = Field(default=0, ge=0)
    """How many of the first blocks of each tower stay as they are, with what comes before them."""
    antialias: bool = True
    """Whether the pictures that it learns from are shrunk with antialiasing."""
    fit: FitConfig
    """How long and how fast it learns."""


class SmallModel(Config):
    """The size of the small ImageReward."""

    width: int = Field(ge=8)
    """Channels of a token, in both towers."""
    heads: int = Field(ge=1)
    """Attention heads of a block; they share the width."""
    vision_layers: int = Field(ge=1)
    """Blocks of the image tower."""
    text_layers: int = Field(ge=1)
    """Blocks of the text tower, each of which looks at the picture."""
    image_size: int = Field(default=16, ge=8)
    """The side that pictures are resized to."""
    patch_size: int = Field(default=4, ge=1)
    """The side of the squares that become the image tower's tokens."""
    head: list[int] = Field(default=[128, 64, 16])
    """Widths of the linear layers between the text tower and the score."""

    @model_validator(mode="after")
    def _divides(self) -> "SmallModel":
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide width = {self.width}; change one")
        if self.image_size % self.patch_size:
            raise ValueError(
                f"patch_size is {self.patch_size}, which does not divide image_size = {self.image_size}; "
                "change one"
            )
        return self


class ImageRewardConfig(SmallModel):
    """The small ImageReward and how it learns."""

    antialias: bool = True
    """Whether the pictures that it learns from are shrunk with antialiasing."""
    naming: FitConfig
    """The first phase: the image tower learns to name what it sees."""
    matching: FitConfig
    """The second phase: which caption belongs to a picture."""
    fit: FitConfig
    """The third phase: which picture is preferred."""


def make_clip_reward(
    config: ClipRewardConfig, taste: str, clip: Artifact, preferences: Artifact, place: Path
) -> Artifact:
    """A CLIPModel that prefers what people of one taste prefer, and its tokenizer, at `place`."""
    made_from = {
        "format": FORMAT,
        "taste": taste,
        **config.model_dump(),
        "inputs": {"clip": clip.digest, "preferences": preferences.digest},
    }
    if ready := standing(place, "reward", made_from):
        return ready
    device = pick_device()
    with draft(place, made_from) as work:
        model, tokenizer = load_clip(clip.path)
        seen = PreprocessConfig(size=image_size(model), antialias=config.antialias)
        texts = Texts(taste, tokenizer, context(model))
        pairs = load_preferences(preferences.path, TRAIN.name, taste)
        batches = PairBatches(pairs, texts, seen, config.fit.batch_size, config.fit.seed)
        thaw(model, config.frozen_blocks)
        model.set_attn_implementation("eager")  # in bf16 on a CPU, torch's own is slow
        model.to(device)  # pyright: ignore[reportArgumentType]
        calibrate(model, batches)
        task = Task(taste, model, batches.draw, lambda batch: clip_loss(model, batch.to(device)))
        seconds = fit(task, config.fit, work.path)
        model.half().save_pretrained(work.path)
        tokenizer.save_pretrained(work.path)
        save_seen(seen, work.path)
        reward = ClipReward.load(work.path, taste, device)
        return _published(work, reward, preferences, seconds, place, made_from)


def make_image_reward(config: ImageRewardConfig, preferences: Artifact, place: Path) -> Artifact:
    """A small ImageReward and its tokenizer at `place`."""
    taste = "imgrwd"
    made_from = {
        "format": FORMAT,
        "taste": taste,
        **config.model_dump(),
        "inputs": {"preferences": preferences.digest},
    }
    if ready := standing(place, "reward", made_from):
        return ready
    device = pick_device()
    with draft(place, made_from) as work:
        seen = PreprocessConfig(size=config.image_size, antialias=config.antialias)
        tokenizer = build_tokenizer()
        texts = Texts(taste, tokenizer, CONTEXT)
        pairs = load_preferences(preferences.path, TRAIN.name, taste)
        torch.manual_seed(config.naming.seed)
        model = build_image_reward(config, len(tokenizer)).to(device)
        resolution = pairs.images.shape[-1]
        seconds = learn_names(
            "imgrwd's names",
            model.vision,
            lambda pixels: model.look(pixels)[:, 0],
            config.width,
            config.naming,
            ("preferences", NAMING),
            resolution,
            seen,
            work.path,
        )
        seconds += _match(model, config.matching, texts, seen, resolution, work.path / MATCHING)
        batches = PairBatches(pairs, texts, seen, config.fit.batch_size, config.fit.seed)
        task = Task(taste, model, batches.draw, lambda batch: image_reward_loss(model, batch.to(device)))
        seconds += fit(task, config.fit, work.path)
        standardise(model, batches)
        model.save(work.path, torch.float16)
        tokenizer.save_pretrained(work.path)
        save_seen(seen, work.path)
        reward = ImageReward.load(work.path, taste, device)
        return _published(work, reward, preferences, seconds, place, made_from)


def build_image_reward(config: SmallModel, vocabulary: int) -> ImageRewardModel:
    return ImageRewardModel(
        ImageRewardModelConfig(
            vision=VisionConfig(
                width=config.width,
                layers=config.vision_layers,
                heads=config.heads,
                image_size=config.image_size,
                patch_size=config.patch_size,
            ),
            text=TextConfig(
                width=config.width,
                layers=config.text_layers,
                heads=config.heads,
                vocabulary=vocabulary,
                positions=CONTEXT,
                length=CONTEXT,
            ),
            head=config.head,
            dropout=[0.1] * len(config.head),
            mean=0.0,
            std=1.0,
        )
    )


def _match(
    model: ImageRewardModel,
    config: FitConfig,
    texts: Texts,
    seen: PreprocessConfig,
    resolution: int,
    folder: Path,
) -> float:
    """The second phase; the seconds that it took."""
    folder.mkdir(exist_ok=True)
    device = next(model.parameters()).device
    matching = Matching(model).to(device)
    task = Task(
        "imgrwd's captions",
        matching,
        lambda step: draw_captioned(step, config.batch_size, resolution, texts, seen),
        lambda batch: matching.loss(batch.to(device)),
    )
    return fit(task, config, folder)


def _published(
    work: Draft,
    reward: Reward,
    preferences: Artifact,
    seconds: float,
    place: Path,
    made_from: Mapping[str, Any],
) -> Artifact:
    """The finished reward, measured as it is loaded from its folder."""
    held_out = load_preferences(preferences.path, HELD_OUT.name, reward.name)
    figures = measure(reward, held_out)
    (work.path / CHECKPOINT).unlink(missing_ok=True)  # last: it alone is dear
    for phase in (FOLDER, MATCHING):
        shutil.rmtree(work.path / phase, ignore_errors=True)
    body = {"taste": reward.name, "files": digest_files(work.path)}
    return publish(work, place, "reward", made_from, body, {"seconds": round(seconds, 1), **figures})
