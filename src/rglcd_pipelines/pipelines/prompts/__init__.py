"""What is drawn by every model that is evaluated."""

from rglcd_pipelines.pipelines.prompts.pipeline import create_pipeline

__all__ = ["create_pipeline"]
