"""`ingest`: the shards of a source become clean pairs, with a table of everything that was seen.

Output keys count from 000000000 on, which makes them unique and safe in a tar; the table keeps the original
ones. The result depends on the source, the rules and the sizes alone: not on `workers`, nor on how often the
run was killed.
"""

import logging
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rglcd_pipelines.artifacts import Artifact, draft, publish, standing
from rglcd_pipelines.config import Config
from rglcd_pipelines.data.pairs.draft import PairsDraft
from rglcd_pipelines.data.pairs.examiners import Numbered, examine_all
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.sources import Source
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.progress import progress_bar

FORMAT = 1
"""Raised whenever the same source and settings would give other pairs than before."""

ENOUGH_TO_JUDGE = 1000
"""How many rows must be seen before the share of rejected ones can stop a run that is under way."""

logger = logging.getLogger(__name__)


class CleanConfig(Config):
    """What is kept of a source, and how it is written."""

    samples: Annotated[int, Field(ge=1)] | None = None
    """The most pairs to keep; once there are as many, no further shard is fetched. Null keeps all."""

    samples_per_shard: Annotated[int, Field(ge=1)] = 5000
    """How many pairs an output shard holds; the last one may hold fewer."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that examine shards; the pairs are the same for any number."""

    rules: Rules = Rules()
    """What a pair must be like to be kept."""

    progress: bool = True
    """Whether a progress bar is shown."""


def clean(source: Source, config: CleanConfig, place: Path) -> Artifact:
    """The clean pairs of `source` at `place`; nothing is done twice, nor lost when a run is killed."""
    made_from = {
        "format": FORMAT,
        **config.model_dump(include={"samples", "samples_per_shard"}),
        # The share that stops a run changes nothing in its result, so it can be raised and the run goes on.
        "rules": config.rules.model_dump(exclude={"max_rejected_share"}),
        "inputs": source.identity(),
    }
    ready = standing(place, "pairs", made_from)
    if ready is not None:
        counts = ready.manifest["counts"]
        _check_share(counts["seen"], counts["reasons"], config.rules, place)
        logger.info("%s: %d pairs are there already; nothing to do", place, counts["kept"])
        return ready
    with draft(place, made_from) as work:
        pairs = PairsDraft(work.path, config.rules, config.samples, config.samples_per_shard)
        seen_before, began = pairs.state.seen, time.perf_counter()
        if seen_before:
            logger.info("%s: going on after %d pairs kept of %d seen", place, pairs.state.kept, seen_before)
        if not pairs.state.complete:
            _fill(pairs, source, config, place)
            pairs.finish(source.losses())
        _check_kept(pairs, place)
        _check_share(pairs.state.seen, pairs.reasons, config.rules, place)
        table = pairs.merge()
        seconds = time.perf_counter() - began
        metrics = _metrics(pairs, pairs.state.seen - seen_before, seconds)
        artifact = publish(work, place, "pairs", made_from, _body(pairs, table), metrics)
        pairs.forget()
    _report(artifact)
    return artifact


def _fill(pairs: PairsDraft, source: Source, config: CleanConfig, place: Path) -> None:
    """Take rows from the source until it ends or the draft is full."""
    finished = largest = 0

    def may_start(under_way: int) -> bool:
        """Whether the shards that are under way cannot fill the draft: no more is fetched than is needed."""
        return config.samples is None or (
            finished > 0 and pairs.state.kept + under_way * largest < config.samples
        )

    def progress() -> int:
        """What the bar shows: pairs kept on the way to the cap, or else all that was seen."""
        return pairs.state.seen if config.samples is None else pairs.state.kept

    total = source.expected() if config.samples is None else config.samples
    with (
        progress_bar("ingest", total, progress(), config.progress) as bar,
        closing(_shards(source, pairs.state.inputs)) as shards,
        closing(examine_all(shards, config.rules, config.workers, may_start)) as examined,
    ):
        for number, path, rows in examined:
            kept, shown = pairs.state.kept, progress()
            pairs.take(number, path, rows)
            finished, largest = finished + 1, max(largest, pairs.state.kept - kept)
            bar.update(progress() - shown)
            bar.set_postfix(rejected=pairs.state.seen - pairs.state.kept, refresh=False)
            if pairs.is_full:
                return
            if pairs.state.seen >= ENOUGH_TO_JUDGE:
                _check_share(pairs.state.seen, pairs.reasons, config.rules, place)


def _shards(source: Source, first: int) -> Generator[Numbered, None, None]:
    """The shards of a source from number `first` on; closed with the source's own iterator."""
    shards = source.shards()
    try:
        for number, path in enumerate(shards):
            if number >= first:
                yield number, path
    finally:
        close = getattr(shards, "close", None)
        if close is not None:
            close()


def _check_kept(pairs: PairsDraft, place: Path) -> None:
    if pairs.state.seen == 0:
        raise DataError(f"{place}: the source gave no pairs at all. Check its path, pattern or list.")
    if pairs.state.kept == 0:
        raise DataError(
            f"{place}: none of {pairs.state.seen} pairs was kept:\n{_list(pairs.reasons)}\n"
            "Check the source, and the settings in clean.rules."
        )


def _check_share(seen: int, reasons: dict[str, int], rules: Rules, place: Path) -> None:
    rejected = sum(reasons.values())
    if rejected > rules.max_rejected_share * seen:
        raise DataError(
            f"{place}: {rejected} of {seen} pairs ({rejected / seen:.1%}) were rejected, more than "
            f"clean.rules.max_rejected_share ({rules.max_rejected_share:.1%}) allows:\n{_list(reasons)}\n"
            "Look into the source, change the rule that rejects most, or raise "
            "clean.rules.max_rejected_share, upon which the run goes on from what is finished."
        )


def _list(reasons: dict[str, int]) -> str:
    return "\n".join(f"  {count:>9,} {reason}" for reason, count in reasons.items())


def _body(pairs: PairsDraft, table: dict[str, Any]) -> dict[str, Any]:
    state = pairs.state
    counts = {
        "seen": state.seen,
        "kept": state.kept,
        "rejected": state.seen - state.kept,
        "reasons": pairs.reasons,
        "lost": state.lost,
    }
    return {"shards": state.shards, "table": table, "counts": counts}


def _metrics(pairs: PairsDraft, seen_now: int, seconds: float) -> dict[str, float]:
    state = pairs.state
    rejected = state.seen - state.kept
    return {
        "seen": float(state.seen),
        "kept": float(state.kept),
        "rejected": float(rejected),
        "lost": float(sum(state.lost.values())),
        "rejected_share": rejected / state.seen,
        "seconds": seconds,
        "images_per_second": seen_now / seconds,
        **{f"rejected_{reason}": float(count) for reason, count in pairs.reasons.items()},
    }


def _report(artifact: Artifact) -> None:
    counts, rate = artifact.manifest["counts"], artifact.metrics["images_per_second"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts["reasons"].items())
    logger.info(
        "%s: %d pairs kept of %d seen at %.0f images/s; rejected: %s",
        artifact.path, counts["kept"], counts["seen"], rate, reasons or "none",
    )  # fmt: skip
