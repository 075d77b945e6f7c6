"""What every section is made from, and what several of them ask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rglcd_pipelines.evaluation.report.compare import Comparer, Number, Side
from rglcd_pipelines.evaluation.report.models import Models
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.scores.table import Measure

EVALUATE = "kedro run --pipeline=evaluate --params=variant={}"
DISTILL = "kedro run --pipeline=distill --params=variant={}"
SWEEP = "kedro run --pipeline=report --params=report.students=sweep"


@dataclass(frozen=True)
class Context:
    config: ReportConfig
    models: Models
    comparer: Comparer

    @property
    def last(self) -> str:
        """The column of most steps."""
        return self.config.columns[-1]

    @property
    def baseline(self) -> Side | None:
        setting = self.models.main(self.config.baseline)
        return Side(setting, self.config.baseline_column) if setting else None

    @property
    def teacher(self) -> Side | None:
        setting = self.models.teacher
        return Side(setting, self.config.teacher_column) if setting else None

    def sides(self) -> Iterator[Side]:
        """The baseline, the teacher, and every family in most steps."""
        if self.baseline:
            yield self.baseline
        if self.teacher:
            yield self.teacher
        for setting in self.models.guided:
            yield Side(setting, self.last)

    def number(self, side: Side, set_name: str, measure: str, group: str = "") -> Number | None:
        return self.comparer.number(side.setting, side.column, set_name, measure, group)

    def somewhere(self, side: Side, measure: str) -> Number | None:
        """Of the benchmark's prompts, or of whichever were measured."""
        figures = side.setting.first.scores.figures
        sets = dict.fromkeys([self.config.benchmark, *(one.set for one in figures if one.measure == measure)])
        return next((one for name in sets if (one := self.number(side, name, measure))), None)

    def measure(self, name: str) -> Measure | None:
        found = (model.scores.measures.get(name) for model in self.models.all)
        return next((one for one in found if one is not None), None)

    def of_role(self, *roles: str, sides: Sequence[Side] | None = None) -> dict[str, Measure]:
        """The measures with such a role of which there are figures."""
        settings = self.models.settings if sides is None else [side.setting for side in sides]
        found: dict[str, Measure] = {}
        for setting in settings:
            there = {figure.measure for figure in setting.first.scores.figures}
            for name, measure in setting.first.scores.measures.items():
                if measure.role in roles and name in there:
                    found.setdefault(name, measure)
        return found

    def panels(self) -> list[tuple[str, str, Measure]]:
        """The set, name and measure of what every ablation plots."""
        config = self.config
        asked = [(config.benchmark, config.score), (config.distance_set, config.distance)]
        asked.append((config.benchmark, config.noise))
        if config.gold:
            asked.append((config.benchmark, config.gold))
        return [(set_name, name, one) for set_name, name in asked if (one := self.measure(name))]
