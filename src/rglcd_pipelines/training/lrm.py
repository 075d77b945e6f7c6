"""The latent reward model of a student: whether it belongs to the latents, and how it is loaded."""

from pathlib import Path

import torch

from rglcd_pipelines.artifacts import open_artifact
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.vae import Vae
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.latent_reward.captions import text_identity
from rglcd_pipelines.latent_reward.folder import About, load, read_about
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.rewards.catalog import load_mix
from rglcd_pipelines.rewards.hub import folder_of
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.expert import Expert
from rglcd_pipelines.training.job import Job, LrmInJob
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.real_rewards import RealRewards

FILES = ("open_clip_config.json", "open_clip_model.safetensors", "tokenizer*", "vocab.json", "merges.txt")
"""What a latent reward model on the hub consists of."""
AGAIN = "Pretrain one for these latents: kedro run --pipeline=lrm"


def load_lrm(told: LrmInJob, reader: LatentReader, vae: Vae, device: torch.device) -> LatentClip:
    """The model as it was pretrained, which must belong to the latents."""
    folder = open_artifact(Path(told.folder), "lrm").path
    about = read_about(folder)
    if about.text != text_identity(told.text):
        raise DataError(f"{folder}: was pretrained with another text tower than lrm.text says. {AGAIN}")
    check_latents(about, folder, reader, vae, told.matching.resample, "matching.resample")
    return load(folder, reader.shape[1])[0].suit(device)


def load_latent_reward(
    name: str, config: RewardConfig, reader: LatentReader, vae: Vae, device: torch.device
) -> LatentReward:
    """A latent reward model that somebody asks for by name, as a reward that stays as it is."""
    where = f"rewards.{name}"
    folder = folder_of(config, FILES, where)
    check_latents(read_about(folder), folder, reader, vae, config.resample, f"{where}.resample")
    return LatentReward.load(folder, name, device, reader.shape[1])


def check_latents(
    about: About, folder: Path, reader: LatentReader, vae: Vae, resample: bool, setting: str
) -> None:
    """Refuse a model of another autoencoder or, unless it may be resampled, of another size."""
    latents = reader.artifact.path
    if about.vae != vae.digest:
        raise DataError(
            f"{folder}: reads latents of another autoencoder (digest {about.vae[:12]}) than {latents} "
            f"({vae.id}, digest {vae.digest[:12]}). {AGAIN}"
        )
    if about.shape[0] != reader.shape[0] or (about.shape != list(reader.shape) and not resample):
        raise DataError(
            f"{folder}: reads latents of {about.shape}, and those of {latents} are {list(reader.shape)}. "
            f"{AGAIN}. Or, where the sides differ alone, set {setting} to true: its positions are resampled."
        )


def make_matcher(
    job: Job, told: LrmInJob, reader: LatentReader, vae: Vae, samples: int, ranks: Ranks
) -> Matcher:
    """The model, which follows the variant's reward from now on; a step has so many samples."""
    model = load_lrm(told, reader, vae, ranks.device)
    expert = make_expert(job, told, reader, vae, ranks)
    tau = job.chosen.tau_expert or told.matching.tau_expert or temperature(job, expert)
    matching = told.matching.model_copy(update={"real_bonus": job.real_bonus})
    # Evenly spaced, and not the first ones: so they are the same however many processes share the step.
    rows = slice(None, None, samples // matching.batch_size)
    return Matcher(model, expert, tau, matching, job.settings.steps, rows, ranks)


def make_expert(job: Job, told: LrmInJob, reader: LatentReader, vae: Vae, ranks: Ranks) -> Expert:
    """The variant's reward, with what it is known to say of real images."""
    settings = job.settings
    reward = load_mix(job.chosen.rewards, job.guiding, ranks.device)
    file = Path(told.real_rewards, f"{job.expert_digest(reader.artifact.digest, vae.digest)[:16]}.f32")
    if ranks.first:
        RealRewards(file, len(reader))  # makes it, if it is not there
    ranks.wait()
    kept = RealRewards(file, len(reader))
    return Expert(reward, vae, settings.reward_part, settings.precision == "bf16", kept)


def temperature(job: Job, expert: Expert) -> float:
    """The reward's own."""
    own = getattr(expert.reward, "temperature", None)
    if own is None:
        raise ConfigError(
            f"variants.{job.variant}.tau_expert: {expert.reward.name} has no temperature of its own. Say "
            "how many of its points make a clear preference; of a cosine, 0.01."
        )
    return float(own)
