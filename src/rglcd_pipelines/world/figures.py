"""Every figure of a finished world, measured from its folder alone."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.config import Config
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.rewards.clip import ClipReward, embed_images, embed_texts
from rglcd_pipelines.rewards.image_reward import ImageReward
from rglcd_pipelines.rewards.preprocess import preprocess
from rglcd_pipelines.rewards.protocol import Reward
from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world.autoencoder import load_autoencoder, quality, reconstruct
from rglcd_pipelines.world.batches import Batch, draw_batch, draw_unseen, draw_wrong_nouns, unit
from rglcd_pipelines.world.captions import parse_caption
from rglcd_pipelines.world.judge import Judge, accuracy
from rglcd_pipelines.world.judge.degrade import degrade
from rglcd_pipelines.world.kept_pairs import read_pairs
from rglcd_pipelines.world.preferences.labels import accuracy as agreement
from rglcd_pipelines.world.preferences.measure import score_pairs
from rglcd_pipelines.world.preferences.pairs import PEOPLE
from rglcd_pipelines.world.sampling import load_teacher, sample
from rglcd_pipelines.world.scenes import Scene
from rglcd_pipelines.world.sets import CLASSES, PROMPTS, TEMPLATES, read_strings, read_zero_shot
from rglcd_pipelines.world.vocabulary import STYLES

BATCH = 256
READ = ("noun", "colour", "background_colour", "style")
"""What is told of the judge's reading; it reads more."""

BARS = {
    "autoencoder_psnr": 26,
    "autoencoder_high_frequency_kept": 0.6,
    "judge_noun": 0.97,
    "judge_noun_reconstructed": 0.97,
    "judge_colour_reconstructed": 0.97,
    "judge_background_colour_reconstructed": 0.97,
    "clip_zero_shot": 0.6,
    "hps_share_of_ceiling": 0.8,
    "pick_share_of_ceiling": 0.8,
    "imgrwd_share_of_ceiling": 0.8,
    "teacher_noun": 0.75,
    "teacher_colour": 0.9,
    "teacher_background_colour": 0.95,
}
"""The least that each figure of the world that comes with the project must be."""


class FiguresConfig(Config):
    """How many pictures the figures come from."""

    renders: int = Field(default=1_024, ge=1)
    """Held-out renders for the autoencoder and the judge."""
    prompts: int = Field(default=512, ge=1)
    """Prompts that the teacher is judged on, equally many of each style."""
    steps: int = Field(default=50, ge=1)
    """The teacher's DDIM steps."""
    omega: float = Field(default=7.5, ge=1)
    """The teacher's scale of classifier-free guidance."""
    seed: int = Field(default=0, ge=0)
    """The seed of the teacher's noise."""


def measure(world: Path, config: FiguresConfig) -> dict[str, float]:
    """All figures, by names that say whose they are."""
    hide_library_bars()
    device = pick_device()
    judge = Judge.load(world / "judge", device)
    batch = draw_batch("figures", 0, config.renders, judge.resolution, held_out=True)
    figures = autoencoder_figures(world, judge, batch, device) | judge_figures(judge, config.renders)
    figures["clip_zero_shot"] = zero_shot(world, device)
    figures |= noun_figures(world, judge.resolution, config.renders, device)
    for name in PEOPLE:
        figures |= stand_in_figures(world, name, device)
    figures |= teacher_figures(world, judge, config, device)
    return {name: round(value, 4) for name, value in figures.items()}


def autoencoder_figures(world: Path, judge: Judge, batch: Batch, device: torch.device) -> dict[str, float]:
    """How sharp reconstructions are, and how well the judge reads them."""
    model = load_autoencoder(world / "teacher" / "vae", device)
    images = batch.images.to(device)
    figures = {f"autoencoder_{name}": value for name, value in quality(model, images).items()}
    decoded = unit(reconstruct(model, images))
    return figures | _judged("judge_{}_reconstructed", judge, decoded, batch.scenes)


def judge_figures(judge: Judge, count: int) -> dict[str, float]:
    """How well the judge reads renders that it never saw, as they are and degraded."""
    batch = draw_unseen(count, judge.resolution)
    images = unit(batch.images)
    with torch.random.fork_rng([]):  # on the CPU: what is drawn is the same wherever it is judged
        torch.manual_seed(0)
        worse = degrade(images, share=1.0)
    figures = _judged("judge_{}", judge, images.to(judge.device), batch.scenes)
    return figures | _judged("judge_{}_degraded", judge, worse.to(judge.device), batch.scenes)


def _judged(name: str, judge: Judge, images: Tensor, scenes: list[Scene]) -> dict[str, float]:
    right = accuracy(judge, images, scenes)
    return {name.format(attribute): right[attribute] for attribute in READ}


@torch.no_grad()
def zero_shot(world: Path, device: torch.device) -> float:
    """How often CLIP finds a picture's noun among all nouns, from texts alone (top-1)."""
    pixels, scenes = read_zero_shot(world / "sets")
    classes, templates = (read_strings(world / "sets" / name) for name in (CLASSES, TEMPLATES))
    reward = ClipReward.load(world / "clip", "clip", device)
    weights = []
    for noun in classes:
        ids, _ = reward.texts.ids([template.format(noun) for template in templates])
        weights.append(F.normalize(embed_texts(reward.model, ids.to(device)).mean(0), dim=-1))
    images = unit(torch.from_numpy(pixels).permute(0, 3, 1, 2)).to(device)
    parts = [embed_images(reward.model, preprocess(part, reward.seen)) for part in images.split(BATCH)]
    guessed = (torch.cat(parts) @ torch.stack(weights).T).argmax(1).tolist()
    right = [classes[index] == scene.noun for index, scene in zip(guessed, scenes, strict=True)]
    return sum(right) / len(right)


def load_reward(world: Path, name: str, device: torch.device) -> Reward:
    """The world's reward model of that name."""
    if name == "imgrwd":
        return ImageReward.load(world / name, name, device)
    return ClipReward.load(world / name, name, device)


def noun_figures(world: Path, resolution: int, count: int, device: torch.device) -> dict[str, float]:
    """How often each reward prefers a caption's picture to the same scene with another noun."""
    batch, wrong = draw_wrong_nouns(count, resolution)
    pairs = torch.stack([batch.images, wrong], 1)
    figures: dict[str, float] = {}
    for name in ("clip", *PEOPLE):
        ahead = score_pairs(load_reward(world, name, device), pairs, batch.captions, device)
        figures[f"{name}_tells_nouns"] = float((ahead > 0).float().mean())
    return figures


@torch.no_grad()
def stand_in_figures(world: Path, name: str, device: torch.device) -> dict[str, float]:
    """How often a stand-in says what people said of held-out pairs, and how near that is to the ceiling."""
    reward, pairs = load_reward(world, name, device), read_pairs(world / "preferences", name)
    differences = score_pairs(reward, pairs.images, pairs.captions, device)
    right, ceiling = (agreement(found, pairs.first) for found in (differences, pairs.differences))
    return {
        f"{name}_accuracy": right,
        f"{name}_ceiling": ceiling,
        f"{name}_share_of_ceiling": right / ceiling,
    }


def teacher_figures(
    world: Path, judge: Judge, config: FiguresConfig, device: torch.device
) -> dict[str, float]:
    """What the judge reads in samples of captions that no training picture had."""
    each = -(-config.prompts // len(STYLES))
    captions = [
        caption
        for style in STYLES
        for caption in read_strings(world / "sets" / PROMPTS / f"{style}.json")[:each]
    ]
    seeds = [config.seed * len(captions) + index for index in range(len(captions))]
    images = sample(load_teacher(world / "teacher", device), captions, seeds, config.steps, config.omega)
    return _judged("teacher_{}", judge, images, [parse_caption(caption) for caption in captions])
