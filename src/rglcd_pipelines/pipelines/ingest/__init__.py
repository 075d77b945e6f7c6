"""From a source of pairs to clean shards."""

from rglcd_pipelines.pipelines.ingest.pipeline import create_pipeline

__all__ = ["create_pipeline"]
