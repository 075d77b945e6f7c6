"""What of the paper's orderings holds, and at which β."""

from collections import Counter
from collections.abc import Mapping

from rglcd_pipelines.evaluation.report.blocks import Block, Cell, Head, LeftOut, Section, Table, Words
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.numbers import head_of, ranged, shown
from rglcd_pipelines.evaluation.report.orderings import CLAIMS, Ordering, Trial, told
from rglcd_pipelines.evaluation.scores.table import Measure

TITLE = "Which of the paper's orderings hold"
MARKS = {"yes": "✓ holds", "no": "✗ reversed", "open": "○ open"}


def orderings_section(context: Context, found: Mapping[str, Ordering]) -> Section | LeftOut:
    if not found:
        return LeftOut(TITLE, "no two models that it compares have scores", EVALUATE.format("lcm"))
    blocks: list[Block] = [Words(_in_short(found))]
    blocks += [table for claim in CLAIMS if (table := _claim(claim, found))]
    if any(one.tried for one in found.values()):
        blocks.append(_sweep(context, found))
    return Section("orderings", TITLE, blocks)


def _in_short(found: Mapping[str, Ordering]) -> list[str]:
    holds = Counter(one.holds for one in found.values())
    return [
        f"Of {len(found)} orderings that the paper shows, {holds['yes']} hold here with all of "
        f"their 95 % interval, {holds['no']} are reversed, and {holds['open']} are open: the interval has "
        "both answers in it.",
        "Each is a difference of two models on the same prompts and noise; its interval says what may come "
        f"out with {_others([one.seeds for one in found.values()])}.",
    ]


def _others(seeds: list[int]) -> str:
    """What the intervals are over: of some, only prompts."""
    several = sorted({count for count in seeds if count > 1})
    if not several:
        return "other prompts, of these very models: none was trained with more than one seed to compare"
    told = " or ".join(map(str, several))
    single = seeds.count(1)
    if not single:
        return f"other prompts and other seeds of training (there are {told})"
    return (
        f"other prompts. In {len(seeds) - single} of them, which compare {told} seeds of training, it is "
        f"with other seeds as well; the other {single} compare one, and say nothing of other trainings"
    )


def count_of(seeds: int) -> str:
    return f"{seeds} seed{'s' * (seeds != 1)}"


def _claim(claim: str, found: Mapping[str, Ordering]) -> Table | None:
    own = [one for one in found.values() if one.question.claim == claim]
    if not own:
        return None
    held = sum(one.holds == "yes" for one in own)
    first = own[0].question
    measure = first.ours.setting.first.scores.measures[first.measure]
    heads = [Head("Model"), Head(f"{head_of(measure)}, difference"), Head("Here"), Head("At other settings")]
    caption = f"The paper: {CLAIMS[claim]} Here: {held} of {len(own)} hold."
    return Table(caption, [heads], [_row(one) for one in own], text=(3,))


def _row(one: Ordering) -> list[Cell]:
    setting, difference = one.question.ours.setting, one.difference
    measure = setting.first.scores.measures[one.question.measure]
    return [
        Cell(told(one.question.ours), f"against {told(one.question.theirs)}, {count_of(one.seeds)}"),
        Cell(
            shown(difference.value, measure, signed=True),
            ranged(difference.low, difference.high, measure, signed=True),
            setting.url,
        ),
        Cell(MARKS[one.holds], tone=one.holds),
        Cell("; ".join(_trial(trial, measure, one.seeds) for trial in one.tried) or "not tried"),
    ]


def _trial(trial: Trial, measure: Measure, usual: int) -> str:
    """With its seeds, where they are not as many as the ordering's own."""
    how = f", {trial.how}" if trial.how else ""
    seeds = f" ({count_of(trial.seeds)})" if trial.seeds != usual else ""
    return (
        f"β {trial.beta:g}{how}: {shown(trial.difference.value, measure, signed=True)}, {trial.holds}{seeds}"
    )


def _sweep(context: Context, found: Mapping[str, Ordering]) -> Table:
    """Of each setting, how many of its family's orderings hold."""
    counts: dict[str, dict[tuple[float, str], Counter[str]]] = {}
    for one in found.values():
        setting = one.question.ours.setting
        answers = [(setting.beta, setting.how, one.holds)]
        answers += [(trial.beta, trial.how, trial.holds) for trial in one.tried]
        for beta, how, holds in answers:
            counts.setdefault(setting.family, {}).setdefault((beta, how), Counter())[holds] += 1
    rows = []
    for family, settings in counts.items():
        main = context.models.main(family)
        for (beta, how), count in sorted(settings.items()):
            chosen = main is not None and (beta, how) == (main.beta, main.how)
            numbers = [Cell(str(count[answer])) for answer in MARKS]
            rows.append([Cell(main.label if main else family, how), Cell(f"{beta:g}", best=chosen), *numbers])
    heads = [Head("Model"), Head("β"), *(Head(mark) for mark in MARKS.values())]
    note = "Bold: that of Table 1. A model's orderings are those in which it comes first."
    return Table("How many orderings hold at each setting that was tried", [heads], rows, note)
