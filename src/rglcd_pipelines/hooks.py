"""What happens around every run: parameters checked first, figures tracked, results recorded in DVC."""

import atexit
import logging
import os
import sys
from types import TracebackType
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro_mlflow.framework.hooks import MlflowHook
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import RglcdError

logger = logging.getLogger(__name__)


class ProjectHooks:
    """Checks the whole parameter tree before anything runs, and records in DVC what a run has made."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        from rglcd_pipelines.pipelines.parameters import Parameters

        sys.excepthook = _tell_without_traceback(sys.excepthook)
        os.chdir(
            context.project_path
        )  # paths in parameters are relative to the project, wherever it is run from
        for chatty in ("mlflow", "kedro_mlflow"):  # they set their own levels when they are imported
            logging.getLogger(chatty).setLevel(logging.WARNING)
        check(Parameters, context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self) -> None:
        self._made: dict[str, bool] = {}

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any]) -> None:
        self._made |= {
            name: not artifact.reused for name, artifact in outputs.items() if isinstance(artifact, Artifact)
        }

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any]) -> None:
        from rglcd_pipelines.dvc_graph import record

        # What other parameters than those of conf/base made is no result of the stages that DVC knows.
        if run_params["env"] in (None, "base") and not run_params["runtime_params"]:
            record(self._made)


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
                mlflow.log_metrics({f"{name}/{key}": value for key, value in output.metrics.items()})
                how = "already there" if output.reused else "made"
                mlflow.set_tags({name: how, f"{name}.digest": output.digest})
            elif isinstance(output, Image.Image):
                mlflow.log_image(output, f"{name}.png")


def _end_interrupted_run() -> None:
    import mlflow

    if mlflow.active_run() is not None:
        mlflow.end_run("KILLED")


def _tell_without_traceback(otherwise: Any) -> Any:
    """An excepthook that prints an error meant for the user as it stands, and gives others to `otherwise`."""

    def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, RglcdError):
            cause = cause.__cause__
        if cause is None:
            otherwise(kind, error, traceback)
        else:
            print(f"\nerror: {cause}", file=sys.stderr)

    return tell
