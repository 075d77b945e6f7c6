"""What can be told to be impossible about an evaluation before hours of other stages have gone by."""

from collections.abc import Collection, Mapping
from pathlib import Path

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig
from rglcd_pipelines.evaluation.prompts.make import check_sets
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.settings import TEACHER, EvaluateConfig, judges_of
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


def check_report(config: ReportConfig, evaluation: EvaluateConfig) -> None:
    """Refuse a report of columns, prompts or judges that no evaluation has."""
    students, teacher, sets = _columns(evaluation)
    for column in (*config.columns, config.baseline_column):
        _among(column, students, "report.columns", "column of students")
    for column in (config.teacher_column, *config.fast_columns):
        _among(column, teacher, "report.teacher_column or fast_columns", "column of the teacher")
    _among(config.benchmark, sets, "report.benchmark", "prompt set")
    if evaluation.features is not None:
        _among(config.distance_set, sets, "report.distance_set", "prompt set")
    _among(config.score, evaluation.judges, "report.score", "judge")
    if config.gold is not None:
        _among(config.gold, evaluation.judges, "report.gold", "judge")


def check_arena(config: ArenaConfig, evaluation: EvaluateConfig) -> None:
    """Refuse a page of pictures that nobody draws."""
    students, teacher, sets = _columns(evaluation)
    _among(config.set, sets, "arena.set", "prompt set")
    drawn = evaluation.sets[config.set].steps
    for entrant in config.entrants:
        own = teacher if entrant.model == TEACHER else students
        known = [column for column in own if drawn is None or column in drawn]
        _among(entrant.column, known, "arena.pairings", f"column of {entrant.model} with that set's prompts")


def _columns(evaluation: EvaluateConfig) -> tuple[list[str], list[str], list[str]]:
    """Those of students, those of the teacher, and the sets that they draw."""
    return [*map(str, evaluation.draw.steps)], [*evaluation.draw.teacher], [*evaluation.sets]


def _among(name: str, known: Collection[str], where: str, kind: str) -> None:
    if name not in known:
        raise ConfigError(f"{where}: there is no {kind} {name!r}; there is {', '.join(known) or 'none'}")
