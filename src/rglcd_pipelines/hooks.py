"""What happens around every run: parameters checked first, figures tracked, results recorded in DVC."""

import atexit
import logging
import os
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro_mlflow.framework.hooks import MlflowHook
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import Config, check

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

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        from rglcd_pipelines.data.latents.preflight import check_encode

        if any("encode" in node.tags for node in pipeline.nodes):
            check_encode(self._parameters.encode)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        from rglcd_pipelines.dvc_record import record

        # What other parameters than those of conf/base made is no result of the stages that DVC knows.
        if run_params["env"] in (None, "base") and not run_params["runtime_params"]:
            record({tag for node in pipeline.nodes for tag in node.tags}, self._raw_parameters)


class TrackingHooks(MlflowHook):
    """kedro-mlflow's hook; typed parameters are logged field by field, and stages log their figures."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        # Ctrl-C reaches no hook of Kedro's, and MLflow would call the run finished when the process ends.
        atexit.register(_end_interrupted_run)

    def _log_param(self, name: str, value: Any) -> None:
        if isinstance(value, Config):
            for field, inner in value.model_dump(exclude_none=True).items():
                self._log_param(f"{name}.{field}", inner)
        elif isinstance(value, dict):
            for field, inner in value.items():
                self._log_param(f"{name}.{field}", inner)
        else:
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


def _end_interrupted_run() -> None:
    import mlflow

    if mlflow.active_run() is not None:
        mlflow.end_run("KILLED")
