"""What happens around every run: parameters checked first, figures tracked, results recorded in DVC."""

import atexit
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks import MlflowHook
from PIL import Image

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import Config, check
from rglcd_pipelines.live_curves import LiveCurves

logger = logging.getLogger(__name__)


SPEEDS = {"images_per_second", "seconds", "vae_share"}
"""Figures that a run which found the work done must not claim as its own."""


class ProjectHooks:
    """Checks all parameters before anything runs, and records in DVC what a run has made."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        from rglcd_pipelines.pipelines.parameters import Globals, Parameters

        os.chdir(context.project_path)  # what paths in parameters are relative to
        for chatty in ("mlflow", "kedro_mlflow"):  # they set their own levels when they are imported
            logging.getLogger(chatty).setLevel(logging.WARNING)
        check(Globals, context.config_loader["globals"])
        self._raw_parameters = context.config_loader["parameters"]
        self._parameters = check(Parameters, self._raw_parameters)
        if "world" in (context.config_loader.runtime_params or {}):
            self._check_recipe()

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        from rglcd_pipelines.data.latents.preflight import check_encode

        stages = {tag for node in pipeline.nodes for tag in node.tags}
        if "world" in stages:
            self._check_recipe()
        self._check_worlds(stages - {"world"})
        if "encode" in stages:
            check_encode(self._parameters.encode)

    def _check_recipe(self) -> None:
        from rglcd_pipelines.pipelines.world.config import WorldConfig  # imports torch

        check(WorldConfig, self._parameters.world, "world")

    def _check_worlds(self, stages: set[str]) -> None:
        """Refuse to begin where the parameters of a stage point into a world that is missing or damaged."""
        from rglcd_pipelines.pipelines.parameters import data_paths
        from rglcd_pipelines.world.folder import COMMITTED, open_world

        asked = [Path(path) for stage in stages for path in data_paths(self._raw_parameters.get(stage))]
        for world in (COMMITTED, Path(self._parameters.places.world)):
            if any(path.is_relative_to(world) for path in asked):
                open_world(world)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        from rglcd_pipelines.dvc_record import record

        # What other parameters than those of conf/base made is no result of the stages that DVC knows.
        if run_params["env"] in (None, "base") and not run_params["runtime_params"]:
            record({tag for node in pipeline.nodes for tag in node.tags}, self._raw_parameters)


class TrackingHooks(MlflowHook):
    """kedro-mlflow's hook; typed parameters are logged field by field, and stages log their figures.

    Curves of trainings are logged while they are drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._listening = ExitStack()
        self._curves: LiveCurves | None = None
        self._logged: set[str] = set()

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        self._logged, self._curves = set(), None
        if self._is_mlflow_enabled and self.run_id is not None:
            self._curves = LiveCurves(self.run_id)
            self._listening.enter_context(curves.listening(self._curves))
            self._listening.callback(self._curves.flush)
        # Ctrl-C reaches no hook of Kedro's, and MLflow would call the run finished when the process ends.
        atexit.register(self._end_interrupted_run)

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: DataCatalog, inputs: dict[str, Any], is_async: bool
    ) -> None:
        super().before_node_run(node=node, catalog=catalog, inputs=inputs, is_async=is_async)
        if self._curves is not None:
            (self._curves.stage,) = node.tags

    def _log_param(self, name: str, value: Any) -> None:
        if isinstance(value, Config):
            for field, inner in value.model_dump(exclude_none=True).items():
                self._log_param(f"{name}.{field}", inner)
        elif isinstance(value, dict):
            for field, inner in value.items():
                self._log_param(f"{name}.{field}", inner)
        elif name not in self._logged:  # nodes of one stage share its parameters
            self._logged.add(name)
            super()._log_param(name, value)

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        import mlflow

        if not self._is_mlflow_enabled:
            return
        for name, output in outputs.items():
            if isinstance(output, Artifact):
                known = output.metrics
                own = {key: known[key] for key in known if not output.reused or key not in SPEEDS}
                mlflow.log_metrics({f"{name}/{key}": value for key, value in own.items()})
                how = "already there" if output.reused else "made"
                mlflow.set_tags({name: how, f"{name}.digest": output.digest})
            elif isinstance(output, Image.Image):
                mlflow.log_image(output, f"{name}.png")

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        self._listening.close()
        super().after_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        self._listening.close()
        super().on_pipeline_error(error=error, run_params=run_params, pipeline=pipeline, catalog=catalog)

    def _end_interrupted_run(self) -> None:
        import mlflow

        self._listening.close()
        if mlflow.active_run() is not None:
            mlflow.end_run("KILLED")
