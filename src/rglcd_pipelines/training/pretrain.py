"""The latent tower's pretraining: CLIP's loss on latents, against captions that a frozen tower read."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.data.latents.stream import LatentStream
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.latent_reward.captions import Captions, text_identity
from rglcd_pipelines.latent_reward.contrastive import Contrast
from rglcd_pipelines.latent_reward.folder import save
from rglcd_pipelines.latent_reward.model import MOST_SCALE, LatentClip
from rglcd_pipelines.latent_reward.text import load_text
from rglcd_pipelines.training.fit import step_seed
from rglcd_pipelines.training.loop import Loop, Training
from rglcd_pipelines.training.lrm_settings import PretrainConfig, check_pretraining
from rglcd_pipelines.training.making import make, standing_already
from rglcd_pipelines.training.pretrain_job import PretrainJob
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.update import Advice, Update, Watch

KIND = "lrm"
FIRST_SCALE = 1 / 0.07
"""Of the logits; it learns."""
ADVICE = Advice(
    "lrm",
    {"contrastive": "the contrastive loss", "gradient": "the gradient's norm"},
    "Lower lrm.pretrain.optimizer.lr, or set lrm.pretrain.precision to fp32.",
)

logger = logging.getLogger(__name__)


def made_from(job: PretrainJob) -> dict[str, Any]:
    """What the job's model depends on."""
    latents, captions = _inputs(job)
    return job.made_from(latents.digest, captions.digest)


def ready(job: PretrainJob) -> Artifact | None:
    """The job's model, if it stands already."""
    return standing_already(Path(job.place), KIND, made_from(job))


def pretrain(job: PretrainJob) -> Artifact:
    """The job's model, trained by this process, or by it and the others that torch elastic started."""
    latents, captions = _inputs(job)
    vae = latents.manifest["vae"]["digest"]

    def learn(ranks: Ranks, folder: Path) -> LatentClip:
        return _learn(job, latents, captions, ranks, folder)

    def finish(model: LatentClip, _: Mapping[str, float], folder: Path) -> dict[str, Any]:
        save(model, vae, text_identity(job.text), folder)
        return {"shape": list(model.shape), "vae": vae}

    return make(
        Path(job.place), KIND, job.made_from(latents.digest, captions.digest), job.settings, learn, finish
    )


def _inputs(job: PretrainJob) -> tuple[Artifact, Artifact]:
    """Latents and captions, which must belong together, and to the text tower."""
    latents = open_artifact(Path(job.latents), "latents")
    captions = open_artifact(Path(job.captions), "captions")
    made = captions.manifest["made_from"]["inputs"]
    for found, expected, what in (
        (made["latents"], latents.digest, f"the captions of other latents than {latents.path}"),
        (made["text"], text_identity(job.text), "read by another text tower than lrm.text"),
    ):
        if found != expected:
            raise DataError(f"{captions.path}: are {what}. Make them anew with: kedro run --pipeline=lrm")
    return latents, captions


def _learn(job: PretrainJob, latents: Artifact, captions: Artifact, ranks: Ranks, folder: Path) -> LatentClip:
    settings, device = job.settings, ranks.device
    check_pretraining(settings, ranks.count)  # torchrun may have started others than the job asks for
    reader = LatentReader(latents, verify=ranks.first)
    reader.expect(kind="mean")
    text, _ = load_text(job.text)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)  # all processes draw the same weights
        scale = torch.tensor(FIRST_SCALE).log()
        model = LatentClip(job.tower, reader.shape, text, scale, _spread(latents)).suit(device)
    if settings.channels_last:
        nn.Module.to(model.visual, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    supply = PairSupply(reader, Captions(captions), settings, ranks)
    learner = TowerLearner(model, settings, ranks)
    Loop(Training("lrm", settings, learner, supply, settings.batch_size, ranks, folder)).run()
    return model.eval()


def _spread(latents: Artifact) -> float:
    """The mean of the channels' standard deviations; one of zeros, or of nothing finite, has none."""
    known = [std for std in latents.manifest["statistics"]["std"] if std]
    return float(np.mean(known)) if known else 1.0


@dataclass(frozen=True)
class Pairs:
    """A step's latents [B, C, H, W], and what the text tower says of their captions [B, D], and of others."""

    latents: Tensor
    texts: Tensor
    others: Tensor | None


class PairSupply:
    """The latents of any step, in the stream's order, and the embeddings of captions."""

    def __init__(
        self, reader: LatentReader, captions: Captions, settings: PretrainConfig, ranks: Ranks
    ) -> None:
        self.stream = LatentStream(reader, settings.batch_size, settings.seed)
        self.captions, self.settings, self.device = captions, settings, ranks.device
        self.rows = ranks.share(settings.batch_size)

    def read(self, step: int) -> Pairs:
        first = step * self.settings.batch_size
        indices = self.stream.taken(first + self.rows.start, first + self.rows.stop)
        batch = self.stream.reader.batch(indices)
        drawn = np.random.PCG64(step_seed(self.settings.seed, step))
        count = min(self.settings.other_captions, len(self.captions))
        others = np.sort(drawn.random_raw(count) % len(self.captions)) if count else None
        read = Pairs(
            torch.from_numpy(batch.latents.astype(np.float32)),
            torch.from_numpy(self.captions.rows(indices)),
            None if others is None else torch.from_numpy(self.captions.rows(others)),
        )
        return _map(read, Tensor.pin_memory) if self.device.type == "cuda" else read

    def take(self, read: Pairs) -> Pairs:
        return _map(read, lambda tensor: tensor.to(self.device, non_blocking=True))


def _map(pairs: Pairs, change: Any) -> Pairs:
    others = None if pairs.others is None else change(pairs.others)
    return Pairs(change(pairs.latents), change(pairs.texts), others)


class TowerLearner:
    """The latent tower and the scale of the logits; the text tower stays as it is."""

    columns: Sequence[str] = ("contrastive", "right", "gradient", "scale")

    def __init__(self, model: LatentClip, settings: PretrainConfig, ranks: Ranks) -> None:
        self.model, self.settings, self.ranks = model, settings, ranks
        self.trained: list[Tensor] = [*model.visual.parameters(), model.logit_scale]
        self.watch = Watch(["contrastive", "gradient"], ranks.device, ADVICE)
        self.update = Update(self.trained, settings.optimizer, settings.steps)
        self.contrast = Contrast(ranks.rank, ranks.count)
        model.visual.train()

    def working(self) -> AbstractContextManager[object]:
        return nullcontext()

    def step(self, step: int, work: Pairs) -> dict[str, Tensor]:
        latents = work.latents
        if self.settings.channels_last:
            latents = latents.contiguous(memory_format=torch.channels_last)
        bf16 = self.settings.precision == "bf16"
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=bf16):
            found = self.model.embed_latents(latents)
        figures = self.contrast(found, work.texts, self.model.logit_scale.exp(), work.others)
        figures.pop("loss").backward()
        self.ranks.average([weight.grad for weight in self.trained if weight.grad is not None])
        figures = {name: value.detach() for name, value in figures.items()}
        self.ranks.average(list(figures.values()))
        figures["gradient"] = self.update.clip()
        self.update.step(step, self.watch.see(step, figures))
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, MOST_SCALE)
        return figures | {"scale": self.model.logit_scale.detach().exp()}

    def lr(self, step: int) -> float:
        return self.update.lr(step)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        scale = {"logit_scale": self.model.logit_scale.detach()}
        return {"visual": self.model.visual.state_dict(), "scale": scale, "optimizer": self.update.tensors()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        try:
            self.model.visual.load_state_dict(tensors["visual"])
            self.model.logit_scale.copy_(tensors["scale"]["logit_scale"])
            self.update.load(tensors["optimizer"])
        except (KeyError, RuntimeError) as error:
            raise DataError(f"the checkpoint is of another latent tower ({error}). Remove it.") from None
