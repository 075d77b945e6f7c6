"""From a model to its samples and what is measured of them."""

from rglcd_pipelines.pipelines.evaluate.pipeline import create_pipeline, create_teacher_pipeline

__all__ = ["create_pipeline", "create_teacher_pipeline"]
