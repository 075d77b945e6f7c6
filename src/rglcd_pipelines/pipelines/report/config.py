"""What a report is of."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from rglcd_pipelines.evaluation.report.settings import ReportConfig


def _flat(students: Any) -> Any:
    """A list within a list is its members: so a list may hold another one whole."""
    if not isinstance(students, list):
        return students
    return [one for each in students for one in (each if isinstance(each, list) else [each])]


def _without_null(lists: Any) -> Any:
    """One that is null is left out: so a scale drops one that the base has."""
    if not isinstance(lists, dict):
        return lists
    return {name: students for name, students in lists.items() if students is not None}


Students = Annotated[list[str], BeforeValidator(_flat)]
Lists = Annotated[dict[str, Students], BeforeValidator(_without_null)]


class ReportStageConfig(ReportConfig):
    """What a report shows, and of whom."""

    students: str
    """Which of `lists`."""
    lists: Lists = Field(min_length=1)
    """Lists of students, variants and those that `series` adds, by a name each; one may hold others."""

    @model_validator(mode="after")
    def _list_is_there(self) -> Self:
        if self.students not in self.lists:
            raise ValueError(f"students is {self.students!r}; there is {', '.join(self.lists)}")
        for name, students in self.lists.items():
            if twice := sorted({one for one in students if students.count(one) > 1}):
                raise ValueError(f"lists.{name} has {twice[0]} more than once; name each once")
        if self.baseline not in self.lists[self.students]:
            raise ValueError(
                f"lists.{self.students} is without {self.baseline}, with which others are compared; add it"
            )
        return self
