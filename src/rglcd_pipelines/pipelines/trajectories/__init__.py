"""From latents to the teacher's answers, computed once for every variant."""

from rglcd_pipelines.pipelines.trajectories.pipeline import create_pipeline

__all__ = ["create_pipeline"]
