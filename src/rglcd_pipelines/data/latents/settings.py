"""The settings of `encode`."""

from typing import Literal

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.diffusion.vae import VaeConfig


class EncodeConfig(Config):
    """How pairs become latents."""

    vae: VaeConfig
    """The autoencoder."""
    resolution: int = Field(ge=8)
    """The side of the square, in pixels, that an image is resized and cropped to."""
    batch_size: int = Field(ge=1)
    """Images that go through the autoencoder at once."""
    dtype: Literal["float16", "float32"] = "float16"
    """How latents are stored."""
    keep: Literal["mean", "moments"] = "mean"
    """The mean of each latent, or its mean and its log-variance after each other on the channels."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the autoencoder computes in; auto is bfloat16 on a GPU and float32 on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it computes; auto is the GPU if there is one."""
    engine: Literal["local", "ray"] = "local"
    """Processes of this machine, or the actors of a Ray cluster whose machines all see the same folders."""
    workers: int | None = Field(default=None, ge=1)
    """Processes, each with an autoencoder; null is one per GPU, or 1 without."""
    decode_threads: int = Field(default=2, ge=1)
    """Threads of a worker that decode and resize images; a GPU may want 8."""
    torch_threads: int = Field(default=2, ge=1)
    """CPU threads of a worker's autoencoder. The last bits of latents made on a CPU depend on it."""
    progress: bool = True
    """Whether a progress bar is shown."""

    @model_validator(mode="after")
    def _resolution_fits(self) -> "EncodeConfig":
        random = self.vae.untrained if self.vae.source == "untrained" else None
        factor = random.factor if random else 8
        if self.resolution % factor:
            raise ValueError(f"resolution {self.resolution} is no multiple of {factor}; set it to one")
        return self
