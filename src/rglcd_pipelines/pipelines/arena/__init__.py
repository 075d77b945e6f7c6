"""From samples to a page for human votes, and from votes to figures."""

from rglcd_pipelines.pipelines.arena.pipeline import create_pipeline, create_votes_pipeline

__all__ = ["create_pipeline", "create_votes_pipeline"]
