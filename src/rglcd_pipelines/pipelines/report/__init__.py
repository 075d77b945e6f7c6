"""From the scores of many models to tables, figures and one page."""

from rglcd_pipelines.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
