"""What can be told to be impossible about an evaluation before hours of other stages have gone by."""

from collections.abc import Collection, Mapping
from pathlib import Path

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig
from rglcd_pipelines.evaluation.prompts.make import check_sets
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.settings import TEACHER, WATCHED, EvaluateConfig, judges_of, measures_of_judge
from rglcd_pipelines.rewards.judge.client import read_key
from rglcd_pipelines.rewards.settings import RewardConfig


def check_evaluation(config: EvaluateConfig, rewards: Mapping[str, RewardConfig]) -> None:
    """Refuse judges, prompts and pictures that are not there, and judges without a key."""
    for name, judge in judges_of(config.judges, rewards).items():
        if judge.judge is not None:
            read_key(name, judge.judge)
        if judge.source == "folder" and judge.id and not Path(judge.id).is_dir():
            raise DataError(f"{judge.id}: there is no such folder. Set rewards.{name}.id to one.")
    check_sets(config.sets)
    real, seen = config.reference, config.features
    if real is not None and not Path(real.path).is_dir():
        raise DataError(f"{real.path}: there is no such folder. Set evaluate.reference.path to one.")
    if seen is not None and seen.source == "folder" and seen.id and not Path(seen.id).is_dir():
        raise DataError(f"{seen.id}: there is no such folder. Set evaluate.features.id to one.")
    if seen is not None and seen.source == "folder" and seen.file and not Path(seen.id, seen.file).is_file():
        raise DataError(
            f"{Path(seen.id, seen.file)}: there is no such file. Put it there, or set evaluate.features.file."
        )
    known = [*map(str, config.draw.steps), *config.draw.teacher]
    for name, asked in config.sets.items():
        for column in asked.steps or []:
            if column not in known:
                raise ConfigError(
                    f"evaluate.sets.{name}.steps: there is no column {column!r}; there is {', '.join(known)}"
                )


def check_report(
    config: ReportConfig, evaluation: EvaluateConfig, rewards: Mapping[str, RewardConfig]
) -> None:
    """Refuse a report of columns, prompts or measures that no evaluation has."""
    sets = [*evaluation.sets]
    _among(config.benchmark, sets, "report.benchmark", "prompt set")
    used = [config.benchmark]
    if evaluation.features is not None:
        _among(config.distance_set, sets, "report.distance_set", "prompt set")
        used.append(config.distance_set)
    for name in used:
        students, teacher = _columns(evaluation, name)
        where = f"of students with the prompts of {name}"
        for column in config.columns:
            _among(column, students, "report.columns", f"column {where}")
        _among(config.baseline_column, students, "report.baseline_column", f"column {where}")
        where = f"of the teacher with the prompts of {name}"
        _among(config.teacher_column, teacher, "report.teacher_column", f"column {where}")
    for column in config.fast_columns:
        _among(column, [*evaluation.draw.teacher], "report.fast_columns", "column of the teacher")
    measures = [name for judge in evaluation.judges for name in measures_of_judge(judge, rewards[judge])]
    _among(config.score, measures, "report.score", "measure of a judge")
    if config.gold is not None:
        _among(config.gold, measures, "report.gold", "measure of a judge")
    for name in (config.noise, *config.traces):
        _among(name, WATCHED, "report.noise or traces", "measure of pictures")


def check_arena(config: ArenaConfig, evaluation: EvaluateConfig) -> None:
    """Refuse a page of pictures that nobody draws."""
    _among(config.set, [*evaluation.sets], "arena.set", "prompt set")
    students, teacher = _columns(evaluation, config.set)
    for entrant in config.entrants:
        known = teacher if entrant.model == TEACHER else students
        kind = f"column of {entrant.model} with the prompts of {config.set}"
        _among(entrant.column, known, "arena.pairings", kind)


def _columns(evaluation: EvaluateConfig, name: str) -> tuple[list[str], list[str]]:
    """Those of students and of the teacher in which a set's prompts are drawn."""
    asked = evaluation.sets[name].steps
    both = [*map(str, evaluation.draw.steps)], [*evaluation.draw.teacher]
    students, teacher = ([one for one in own if asked is None or one in asked] for own in both)
    return students, teacher


def _among(name: str, known: Collection[str], where: str, kind: str) -> None:
    if name not in known:
        raise ConfigError(f"{where}: there is no {kind} {name!r}; there is {', '.join(known) or 'none'}")
