"""What MLflow hears of every run, while it runs and after it."""

import atexit
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks import MlflowHook
from mlflow.exceptions import MlflowException
from mlflow.tracking.fluent import _active_run_stack
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH
from PIL import Image

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.evaluation.settings import TEACHER
from rglcd_pipelines.live_curves import SECONDS_TO_CLOSE, SECONDS_TO_INTERRUPT, LiveCurves
from rglcd_pipelines.pipelines.report.runs import ROW
from rglcd_pipelines.pipelines.stages import ALL_STUDENTS, stage_of
from rglcd_pipelines.student_runs import Session, StudentRuns
from rglcd_pipelines.tracker import limit_waits, quiet, reason
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.pretrain_job import PretrainJob

logger = logging.getLogger(__name__)

SPEEDS = {"images_per_second", "seconds", "vae_share"}
"""Figures that a run which found the work done must not claim as its own."""

MANY = {"variants", "rewards", "series"}
"""Parameters of all students there are; a run is of one, and its job says which."""

OF_STUDENT = {"distill", "evaluate"}
"""Stages that there are once for each student."""


class TrackingHooks(MlflowHook):
    """kedro-mlflow's hook; typed parameters are logged field by field, and stages log their figures.

    A run does not begin without MLflow. From then on it only tells `LiveCurves` what there is to log, curves
    of trainings too, and succeeds whether MLflow answers or not.
    """

    def __init__(self) -> None:
        super().__init__()
        self._listening = ExitStack()
        self._curves: LiveCurves | None = None
        self._students: StudentRuns | None = None
        self._node: Node | None = None
        """The one that runs now."""
        self._jobs: dict[str, Job] = {}
        self._logged: set[str] = set()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        limit_waits()
        self._unsent = Path(context.config_loader["globals"]["places"]["reporting"], "unsent")
        with self._must_answer():
            super().after_context_created(context)
        self._variant = str(context.config_loader["parameters"].get("variant"))

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        with self._must_answer():
            super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        self._logged, self._curves, self._students, self._node, self._jobs = set(), None, None, None, {}
        self._scale = run_params["env"] or "base"
        run = mlflow.active_run()
        if self._is_mlflow_enabled and self.run_id is not None and run is not None:
            self._curves = LiveCurves(self.run_id, self._unsent)
            session = Session(
                curves=self._curves,
                run_id=self.run_id,
                experiment=run.info.experiment_id,
                student=self._own_student(pipeline),
                scale=self._scale,
                unsent=self._unsent,
            )
            self._students = StudentRuns(session)
            self._listening.enter_context(curves.listening(self._hear, self._see))
        # Ctrl-C reaches no hook of Kedro's, and MLflow would call the run finished when the process ends.
        atexit.register(self._end_interrupted_run)

    @contextmanager
    def _must_answer(self) -> Iterator[None]:
        """An MLflow that is not there is told without a traceback."""
        try:
            with quiet():
                yield
        except Exception as error:
            from sqlalchemy.exc import SQLAlchemyError

            if not isinstance(error, MlflowException | SQLAlchemyError):
                raise
            raise RglcdError(
                f"MLflow does not take this run ({reason(error)}). Start the server that conf/*/mlflow.yml "
                "names, or name another one there, or a file, such as sqlite:///mlflow.db."
            ) from None

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: DataCatalog, inputs: dict[str, Any], is_async: bool
    ) -> None:
        try:
            super().before_node_run(node=node, catalog=catalog, inputs=inputs, is_async=is_async)
        except MlflowException as error:  # of a nested run, or of a parameter too long to be one
            logger.warning("MLflow was not told all parameters of %s: %s", node.name, reason(error))
        self._node = node
        if self._curves is not None:
            self._curves.stage = stage_of(node)

    @property
    def _is_of_student(self) -> bool:
        return self._students is not None and self._students.session.student is not None

    def _own_student(self, pipeline: Pipeline) -> str | None:
        """The student that a session is about, which may bring others beside it."""
        if any(stage_of(node) in ALL_STUDENTS for node in pipeline.nodes):
            return None
        students = {node.namespace for node in pipeline.nodes if stage_of(node) in OF_STUDENT}
        return self._variant if self._variant in students else None

    def _run_of(self, node: Node | None) -> LiveCurves | None:
        """Who hears what a node says while it runs: the student's run, or the session's."""
        if node is None or self._students is None or stage_of(node) not in OF_STUDENT or not node.namespace:
            return self._curves
        found = self._students.of(node.namespace)
        found.stage = stage_of(node)
        return found

    def _hear(self, name: str, step: int, figures: Mapping[str, float]) -> None:
        if hearing := self._run_of(self._node):
            hearing(name, step, figures)

    def _see(self, name: str, step: int, picture: Image.Image) -> None:
        if seeing := self._run_of(self._node):
            seeing.show(name, step, picture)

    def _log_param(self, name: str, value: Any) -> None:
        for field, inner in flattened(name, value).items():
            if field.partition(".")[0] in MANY or field in self._logged:
                continue  # nodes of one stage share its parameters
            if field.startswith(("distill.", "trajectories.")) and self._is_of_student:
                continue  # its job says them, with what is the student's own
            self._logged.add(field)
            if self._curves is not None and len(inner) <= MAX_PARAM_VAL_LENGTH:
                self._curves.note(params={field: inner})
            else:
                super()._log_param(field, inner)

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        if self._curves is None or self._students is None:
            return
        student = node.namespace if node.namespace and stage_of(node) in OF_STUDENT else None
        for full_name, output in outputs.items():
            name = full_name.removeprefix(f"{student}/")
            if isinstance(output, Job):
                self._note_job(output)
            elif isinstance(output, PretrainJob):  # a student's job comes later, if there is one
                self._curves.note(tags=self._whose_run("lrm"))
            elif isinstance(output, Artifact) and output.manifest.get("kind") == "student":
                self._note_student(str(student), output)
            elif student != TEACHER:
                self._note(self._students.where(student), name, output)
            elif not output.reused:  # what it drew for another session, that one has told
                self._note(self._students.teacher(), name, output)
                self._students.finish(TEACHER)

    def _note(self, run: LiveCurves, name: str, output: Any) -> None:
        """What has come of a node."""
        if isinstance(output, Artifact):
            known = output.metrics
            own = {key: known[key] for key in known if not output.reused or key not in SPEEDS}
            how = "already there" if output.reused else "made"
            run.note(
                figures={f"{name}/{key}": value for key, value in own.items()},
                tags={name: how, f"{name}.digest": output.digest},
            )
        elif isinstance(output, Image.Image):
            run.attach(name, output)
        elif isinstance(output, dict):  # figures that are kept nowhere else
            run.note(figures={f"{name}/{key}": value for key, value in output.items()})

    def _note_job(self, job: Job) -> None:
        """At once, if the session's run is the student's: one that fails bears its name too."""
        assert self._curves is not None
        assert self._students is not None
        self._jobs[job.variant] = job
        if job.variant == self._students.session.student:
            self._tell_job(self._curves, job.variant)

    def _tell_job(self, run: LiveCurves, name: str) -> None:
        """What the student called `name` is made with, on its row."""
        job = self._jobs.get(name)
        if job is None:  # its node was left out of this session
            return
        told = flattened("distill", job.settings) | flattened("trajectories", job.asked)
        own = {"seed": str(job.asked.draws.seed), "antialias": str(job.chosen.antialias is not False)}
        if job.lrm is not None:
            own["real_bonus"] = f"{job.real_bonus:g}"
        run.note(params=job.facts() | told | own, tags=job.facts() | self._whose_run(name))

    def _note_student(self, name: str, student: Artifact) -> None:
        """A student that was just made, or one that has a row already, which hears the rest."""
        assert self._students is not None
        fresh = not student.reused
        if student.reused:
            run, fresh = self._students.known(name, student.digest)
        else:
            run = self._students.of(name)
        if fresh:
            self._note(run, "student", student)
            run.note(tags={ROW: name})
            if run is not self._curves:
                self._tell_job(run, name)
        elif run is not self._curves and self._curves is not None and name == self._students.session.student:
            self._note(self._curves, "student", student)
        if why := student.manifest.get("watch", {}).get("why"):
            run.note(tags={"student.ended": str(why)})
        self._students.finish(name)

    def _whose_run(self, name: str) -> dict[str, str]:
        """The run bears the name of what it makes in MLflow's tables."""
        return {"mlflow.runName": name, "scale": self._scale}

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        end = super().after_pipeline_run
        self._end("FINISHED", lambda: end(run_params=run_params, pipeline=pipeline, catalog=catalog))

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        end = super().on_pipeline_error
        self._end("FAILED", lambda: end(error, run_params, pipeline, catalog))

    def _end_interrupted_run(self) -> None:
        if mlflow.active_run() is not None:
            self._end("KILLED", lambda: mlflow.end_run("KILLED"), SECONDS_TO_INTERRUPT)

    def _end(self, status: str, end: Callable[[], None], seconds: float = SECONDS_TO_CLOSE) -> None:
        """Send what is still to be sent, then `end` the run; where MLflow is gone, leave that for later."""
        self._listening.close()
        told, self._curves = self._curves, None
        if self._students is not None:
            failed = self._node.namespace if self._node is not None and status != "FINISHED" else None
            self._students.close(status, seconds, failed)
        status = "" if self._already_active_mlflow else status  # somebody else began it and will end it
        if told is None or told.close(status, seconds):
            try:
                with quiet():
                    end()
            except Exception:  # whatever the store raises: the work is done
                if told is not None:
                    told.leave(status)
        elif not self._already_active_mlflow:
            # As `end_run` does, without asking a server that is gone to take the status: that is in the file.
            _active_run_stack.get().clear()


def flattened(name: str, value: Any) -> dict[str, str]:
    """A parameter field by field, as MLflow takes them."""
    if isinstance(value, Config):
        value = value.model_dump(exclude_none=True)
    if not isinstance(value, dict):
        return {name: str(value)}
    return {
        key: said
        for field, inner in value.items()
        for key, said in flattened(f"{name}.{field}", inner).items()
    }
