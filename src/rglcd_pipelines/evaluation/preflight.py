"""What can be told to be impossible about an evaluation before hours of other stages have gone by."""

from collections.abc import Mapping
from pathlib import Path

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.prompts.make import check_sets
from rglcd_pipelines.evaluation.settings import EvaluateConfig, judges_of
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
