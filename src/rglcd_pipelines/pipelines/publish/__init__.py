"""The finished student, sent to the hub."""

from rglcd_pipelines.pipelines.publish.pipeline import create_pipeline

__all__ = ["create_pipeline"]
