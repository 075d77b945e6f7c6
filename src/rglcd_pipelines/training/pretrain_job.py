"""Everything that the pretraining of a latent reward model needs to know, in one file."""

from typing import Any, Literal

from rglcd_pipelines.latent_reward.settings import TextConfig, TowerConfig
from rglcd_pipelines.training.job import OF_NO_CONSEQUENCE, JobFile
from rglcd_pipelines.training.lrm_settings import PretrainConfig

FORMAT = 1


class PretrainJob(JobFile):
    """A latent reward model to be pretrained; parameters of `lrm` and what it builds on."""

    kind: Literal["lrm"] = "lrm"
    """What is trained."""
    text: TextConfig
    """The pretrained text tower."""
    tower: TowerConfig
    """The other tower, which is trained from scratch."""
    settings: PretrainConfig
    """How."""
    latents: str
    """The folder with the latents of real images."""
    captions: str
    """The folder with the embeddings of their captions."""
    place: str
    """Where the model will stand."""

    def made_from(self, latents: str, captions: str) -> dict[str, Any]:
        """What the model depends on; the inputs by their digests, so that places do not matter."""
        # Each process normalises its own share of a batch, in the one kind of tower that does so.
        shares = {"processes": self.settings.processes} if self.tower.kind == "resnet" else {}
        return {
            "format": FORMAT,
            **shares,
            "tower": self.tower.model_dump(),
            "settings": self.settings.model_dump(exclude=OF_NO_CONSEQUENCE),
            "inputs": {"latents": latents, "captions": captions},
        }
