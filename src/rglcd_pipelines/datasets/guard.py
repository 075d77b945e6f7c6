"""Runs a Great Expectations suite over a data frame and keeps its Data Docs.

What was found good is remembered by its digest, so that a run with nothing to do does not check it again.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rglcd_pipelines.artifacts import Artifact, digest_json, write_json
from rglcd_pipelines.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context import FileDataContext
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

logger = logging.getLogger(__name__)

PASSED = "passed.json"

Rule: TypeAlias = tuple[str, dict[str, Any]]
"""An expectation by its name in Great Expectations, and its arguments; `when` limits it to some rows."""


def guard(
    artifact: Artifact,
    name: str,
    docs: Path,
    rules: Sequence[Rule],
    frame: Callable[[], "pd.DataFrame"],
) -> None:
    """Raise a DataError that lists what `artifact` breaks of `rules`; the Data Docs show all of it."""
    seal = digest_json({"artifact": artifact.digest, "rules": rules})
    if _passed(docs).get(name) == seal:
        return
    context = _context(docs)
    result = _run(context, name, rules, frame())
    context.build_data_docs()
    page = docs / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"
    broken = [item for item in result.results if not item.success]
    if broken:
        lines = "\n".join(f"  {_told(item)}" for item in broken)
        raise DataError(f"{artifact.path}: does not hold what is expected of {name}:\n{lines}\nSee {page}")
    write_json(docs / PASSED, {**_passed(docs), name: seal})
    logger.info("%s: %d expectations hold; see %s", name, len(rules), page)


def _context(docs: Path) -> "FileDataContext":
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read at import
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    docs.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=docs)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context


def _run(context: "FileDataContext", name: str, rules: Sequence[Rule], frame: "pd.DataFrame") -> Any:
    import great_expectations as gx

    source = context.data_sources.add_or_update_pandas(name)
    whole = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
    suite = gx.ExpectationSuite(name, expectations=[_expectation(*rule) for rule in rules])
    suite = context.suites.add_or_update(suite)
    definition = gx.ValidationDefinition(name=name, data=whole, suite=suite)
    definition = context.validation_definitions.add_or_update(definition)
    return definition.run(batch_parameters={"dataframe": frame})


def _expectation(kind: str, arguments: dict[str, Any]) -> "ExpectationConfiguration":
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.row_conditions import Column

    arguments = dict(arguments)
    for column, value in arguments.pop("when", {}).items():
        arguments["row_condition"] = Column(column) == value
    return ExpectationConfiguration(type=kind, kwargs=arguments)


def _passed(docs: Path) -> dict[str, str]:
    try:
        return json.loads((docs / PASSED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _told(item: "ExpectationValidationResult") -> str:
    """One broken expectation in one line, with the first values that break it."""
    config = item.expectation_config
    assert config is not None  # every result of a run carries the expectation that it judges
    shown = {k: v for k, v in config.kwargs.items() if k not in ("batch_id", "column")}
    text = f"{config.kwargs.get('column', 'table')}: {config.type} {json.dumps(shown, default=str)}"
    result = item.result or {}
    if result.get("unexpected_count"):
        values = ", ".join(repr(value)[:60] for value in result.get("partial_unexpected_list", [])[:3])
        return f"{text}: {result['unexpected_count']} of {result['element_count']} break it, such as {values}"
    if "observed_value" in result:
        return f"{text}: found {result['observed_value']}"
    problems = [
        str(v.get("exception_message", ""))
        for v in (item.exception_info or {}).values()
        if isinstance(v, dict)
    ]
    return f"{text}: {'; '.join(filter(None, problems)) or 'does not hold'}"
