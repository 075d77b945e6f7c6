"""What a node belongs to: its stage, and the student that the stage is of, if it is of one."""

from collections.abc import Iterable
from typing import Protocol

ALL_STUDENTS = {"report", "arena"}
"""Stages that are about several students; a session with one of them is no student's own."""


class Tagged(Protocol):
    """Kedro's nodes, and their snapshots."""

    @property
    def tags(self) -> Iterable[str]: ...

    @property
    def namespace(self) -> str | None: ...


def tag_of(stage: str, student: str | None = None) -> str:
    """The one tag of a stage's nodes, which is the stage's name in dvc.yaml too."""
    return f"{stage}-{student}" if student else stage


def stage_of(node: Tagged) -> str:
    """Such as distill, whoever learns."""
    (tag,) = node.tags
    return tag.removesuffix(f"-{node.namespace}") if node.namespace else tag
