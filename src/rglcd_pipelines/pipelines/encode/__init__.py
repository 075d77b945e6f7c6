"""From pairs to the autoencoder's latents."""

from rglcd_pipelines.pipelines.encode.pipeline import create_pipeline

__all__ = ["create_pipeline"]
