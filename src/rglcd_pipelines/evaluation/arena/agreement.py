"""How far raters agree: Krippendorff's alpha, which takes any number of raters and missing ratings."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Alpha for nominal ratings, of the ratings that each unit got: 1 where raters agree, 0 as by chance.

    None where it is not defined: no unit was rated twice, or all ratings of those that were are the same,
    so that nobody can tell agreement from chance.
    """
    paired = [Counter(ratings) for ratings in units if len(ratings) > 1]
    totals = sum(paired, Counter[Hashable]())
    expected = _different(totals)
    if not expected:
        return None
    observed = sum(_different(unit) / (unit.total() - 1) for unit in paired)
    return 1 - (totals.total() - 1) * observed / expected


def _different(ratings: Counter[Hashable]) -> int:
    """How many ordered pairs of different ratings there are."""
    return ratings.total() ** 2 - sum(count**2 for count in ratings.values())
