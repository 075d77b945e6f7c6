"""What a report is of."""

from typing import Self

from pydantic import Field, model_validator

from rglcd_pipelines.evaluation.report.settings import ReportConfig


class ReportStageConfig(ReportConfig):
    """What a report shows, and of whom."""

    students: str
    """Which of `lists`."""
    lists: dict[str, list[str]] = Field(min_length=1)
    """Lists of students, variants and those that `series` adds, by a name for each list."""

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
