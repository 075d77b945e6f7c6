"""The recipe of the miniature world: every model and set that other stages build on."""

from rglcd_pipelines.pipelines.world.pipeline import create_pipeline

__all__ = ["create_pipeline"]
