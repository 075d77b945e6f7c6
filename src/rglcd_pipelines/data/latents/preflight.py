"""What can be told to be impossible about `encode` before hours of `ingest` have gone by."""

import importlib.util

from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.diffusion.vae import check_folder
from rglcd_pipelines.errors import ConfigError


def check_encode(config: EncodeConfig) -> None:
    """Refuse settings that this machine cannot run; imports torch only where a GPU is demanded."""
    if config.vae.source == "folder":
        check_folder(config.vae)
    if config.engine == "ray" and importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "encode.engine: ray needs a package that is not installed: pip install rglcd-pipelines[ray]. "
            "Or set encode.engine to local."
        )
    if config.device == "cuda" and config.engine == "local":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("encode.device: is cuda, but there is no GPU here. Set it to auto or cpu.")
