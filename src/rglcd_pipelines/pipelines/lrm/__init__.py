"""From latents to a latent reward model, and what it knows of labelled pictures."""

from rglcd_pipelines.pipelines.lrm.pipeline import create_pipeline

__all__ = ["create_pipeline"]
