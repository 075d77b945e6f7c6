"""From the teacher's answers to a student that needs 2 to 4 steps."""

from rglcd_pipelines.pipelines.distill.pipeline import create_pipeline

__all__ = ["create_pipeline"]
