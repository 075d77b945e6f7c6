"""What is expected of each artifact: the validators that the catalog names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.datasets.guard import Rule, guard

if TYPE_CHECKING:
    import pandas as pd

FLOAT16_MAX = 65504.0


class PairsExpectations:
    """The table of pairs: every row is accounted for, and what is kept is usable."""

    def __init__(self, docs: str) -> None:
        self._docs = Path(docs)

    def validate(self, data: Artifact) -> Artifact:
        counts = data.manifest["counts"]
        kept: dict[str, Any] = {"when": {"kept": True}}
        rejected: dict[str, Any] = {"when": {"kept": False}}
        rules: list[Rule] = [
            ("expect_table_row_count_to_equal", {"value": counts["seen"]}),
            _between("kept", counts["kept"], counts["kept"], what="column_sum"),
            ("expect_column_values_to_not_be_null", {"column": "key"}),
            ("expect_column_values_to_be_null", {"column": "reason", **kept}),
            ("expect_column_values_to_not_be_null", {"column": "reason", **rejected}),
            (
                "expect_column_values_to_be_in_set",
                {"column": "reason", "value_set": sorted(counts["reasons"]), **rejected},
            ),
            ("expect_column_values_to_not_be_null", {"column": "output_key", **kept}),
            ("expect_column_values_to_be_unique", {"column": "output_key", **kept}),
            ("expect_column_values_to_not_be_null", {"column": "caption", **kept}),
            _between("caption", 1, None, what="column_value_lengths", **kept),
            ("expect_column_values_to_match_regex", {"column": "digest", "regex": "^[0-9a-f]{64}$", **kept}),
            _between("width", 1, None, **kept),
            _between("height", 1, None, **kept),
        ]
        guard(data, "pairs", self._docs, rules, lambda: self._frame(data))
        return data

    def _frame(self, data: Artifact) -> "pd.DataFrame":
        import pandas as pd

        return pd.read_parquet(data.path / data.manifest["table"]["name"])


class LatentsExpectations:
    """The latents' statistics: finite, every channel alive, means and deviations of a plausible size."""

    def __init__(
        self, docs: str, max_mean: float = 30.0, min_std: float = 0.01, max_std: float = 50.0
    ) -> None:
        self._docs = Path(docs)
        self._max_mean, self._min_std, self._max_std = max_mean, min_std, max_std

    def validate(self, data: Artifact) -> Artifact:
        rules: list[Rule] = [
            ("expect_table_row_count_to_equal", {"value": data.manifest["latent"]["shape"][0]}),
            _between("nonfinite", 0, 0),
            ("expect_column_values_to_not_be_null", {"column": "mean"}),
            _between("mean", -self._max_mean, self._max_mean),
            ("expect_column_values_to_not_be_null", {"column": "std"}),
            _between("std", self._min_std, self._max_std),
            _between("min", -FLOAT16_MAX, FLOAT16_MAX),
            _between("max", -FLOAT16_MAX, FLOAT16_MAX),
        ]
        guard(data, "latents", self._docs, rules, lambda: self._frame(data))
        return data

    def _frame(self, data: Artifact) -> "pd.DataFrame":
        import pandas as pd

        statistics = data.manifest["statistics"]
        frame = pd.DataFrame({name: statistics[name] for name in ("mean", "std", "min", "max")})
        return frame.assign(nonfinite=statistics["nonfinite"])


def _between(
    column: str, low: float, high: float | None, what: str = "column_values", **condition: Any
) -> Rule:
    limits = {"min_value": low} if high is None else {"min_value": low, "max_value": high}
    return f"expect_{what}_to_be_between", {"column": column, **limits, **condition}
