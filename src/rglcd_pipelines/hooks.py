"""What happens around every run: parameters are checked first, and results are recorded in DVC."""

import logging
import os
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from rglcd_pipelines.config import check
from rglcd_pipelines.pipelines.stages import ALL_STUDENTS, stage_of


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
        from rglcd_pipelines.evaluation.preflight import check_arena, check_evaluation, check_report
        from rglcd_pipelines.training.preflight import check_lrm, check_student, check_teacher
        from rglcd_pipelines.training.publishing import repository_of
        from rglcd_pipelines.training.settings import choose

        stages = {stage_of(node) for node in pipeline.nodes}
        if "world" in stages:
            self._check_recipe()
        self._check_worlds(stages - {"world"})
        asked = self._parameters
        if "encode" in stages:
            check_encode(asked.encode)
        if "trajectories" in stages or "distill" in stages:
            check_teacher(asked.teacher)
        if "publish" in stages:
            repository_of(asked.publish)
        known = asked.students
        for student in sorted(
            {str(node.namespace) for node in pipeline.nodes if stage_of(node) == "distill"}
        ):
            chosen = choose(student, known)
            check_student(chosen, asked.rewards, asked.distill, asked.trajectories, asked.matching)
        if "evaluate" in stages:
            check_evaluation(asked.evaluate, asked.rewards)
        if "report" in stages:
            check_report(asked.report, asked.evaluate, asked.rewards)
        if "arena" in stages:
            check_arena(asked.arena, asked.evaluate)
        if "lrm" in stages:
            check_lrm(asked.lrm)

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
        # The variant is: each is a stage of its own. And who is in a report changes nothing before it.
        others = set(run_params["runtime_params"] or {}) - {"variant"}
        ran = {tag for node in pipeline.nodes for tag in node.tags}
        if run_params["env"] in (None, "base") and others <= ALL_STUDENTS:
            record(ran - others, self._raw_parameters)
