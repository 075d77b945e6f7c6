"""Jobs of any kind, from their files."""

from pathlib import Path
from typing import Any

from rglcd_pipelines.config import check
from rglcd_pipelines.training.job import Job, read_json
from rglcd_pipelines.training.pretrain_job import PretrainJob

AnyJob = Job | PretrainJob


def any_job(told: Any, name: str) -> AnyJob:
    """The job that `told` describes; `name` is what errors call it."""
    if isinstance(told, dict) and told.get("kind") == "lrm":
        return check(PretrainJob, told, name)
    return check(Job, told, name)


def read_job(file: Path) -> AnyJob:
    return any_job(read_json(file), str(file))
