"""The votes of any number of raters become figures: votes.json, votes.csv and votes.png."""

import csv
import io
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import (
    Artifact,
    atomic_file,
    digest_file,
    digest_files,
    draft,
    publish,
    standing,
    write_json,
)
from rglcd_pipelines.evaluation.arena.figure import draw_votes
from rglcd_pipelines.evaluation.arena.key import Key, read_key
from rglcd_pipelines.evaluation.arena.settings import VotesConfig
from rglcd_pipelines.evaluation.arena.tally import CHOICES, Result, Share, sides, tally
from rglcd_pipelines.evaluation.arena.votes import Vote, find_files, read_votes

FORMAT = 1
"""Raised whenever the same votes would give other figures than before."""

logger = logging.getLogger(__name__)


def count_votes(config: VotesConfig, arena: Artifact, place: Path) -> Artifact:
    """What the raters of `arena` said, at `place`."""
    key = read_key(arena)
    files = find_files(config.files)
    made_from = {
        "format": FORMAT,
        "arena": arena.digest,
        "settings": config.model_dump(mode="json", exclude={"files"}),
        "votes": sorted(digest_file(file) for file in files),
    }
    if ready := standing(place, "votes", made_from):
        logger.info("%s: these votes are counted already; nothing to do", place)
        return ready
    began = time.perf_counter()
    votes = read_votes(files, key)
    results = tally(votes, key, config.resamples, config.seed)
    figures = _figures(results)
    with draft(place, made_from) as work:
        write_json(work.path / "votes.json", _told(votes, results, key))
        for name, content in (("votes.csv", _csv(results)), ("votes.png", _picture(votes, results, key))):
            with atomic_file(work.path / name) as file:
                file.write(content)
        body = {"arena": key.id, "figures": figures, "files": digest_files(work.path)}
        metrics = {**figures, "seconds": time.perf_counter() - began}
        made = publish(work, place, "votes", made_from, body, metrics)
    for line in map(sentence, results):
        logger.info("%s", line)
    return made


def sentence(result: Result) -> str:
    """A result in words, which say no more than its interval does."""
    head = f"{result.question.title}: {result.pairing}:"
    if not result.shares or result.lead is None:
        return f"{head} no votes"
    said = ", ".join(f"{_percent(result.shares[choice])} {choice}" for choice in CHOICES)
    low, high = result.lead.low, result.lead.high
    if low is not None and low > 0:
        verdict = f"{result.pairing.ours} is preferred"
    elif high is not None and high < 0:
        verdict = f"{result.pairing.theirs} is preferred"
    else:
        verdict = "which is preferred is open"
    return f"{head} {said}; {verdict} ({_counted(result.votes, 'vote')}, {_counted(result.raters, 'rater')})"


def _percent(share: Share) -> str:
    if share.low is None or share.high is None:
        return f"{share.value:.1%}"
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


def _told(votes: Sequence[Vote], results: Sequence[Result], key: Key) -> dict[str, Any]:
    """votes.json; raters are counted and not named."""
    return {
        "arena": key.id,
        "title": key.title,
        "set": key.set,
        "raters": len({vote.rater for vote in votes}),
        "votes": len(votes),
        "sides": sides(votes),
        "results": [
            {
                "ours": result.pairing.ours.model_dump(),
                "theirs": result.pairing.theirs.model_dump(),
                "question": result.question.model_dump(),
                "votes": result.votes,
                "raters": result.raters,
                "prompts": result.prompts,
                "shares": {choice: asdict(share) for choice, share in result.shares.items()},
                "lead": asdict(result.lead) if result.lead else None,
                "agreement": result.agreement,
            }
            for result in results
        ],
    }


def _csv(results: Sequence[Result]) -> bytes:
    file = io.StringIO()
    rows = [_row(result) for result in results]
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _row(result: Result) -> dict[str, Any]:
    """A line of votes.csv; what is not defined stays empty."""
    row: dict[str, Any] = {
        "ours_model": result.pairing.ours.model,
        "ours_column": result.pairing.ours.column,
        "theirs_model": result.pairing.theirs.model,
        "theirs_column": result.pairing.theirs.column,
        "question": result.question.id,
        "votes": result.votes,
        "raters": result.raters,
        "prompts": result.prompts,
    }
    for name, share in [*((choice, result.shares.get(choice)) for choice in CHOICES), ("lead", result.lead)]:
        ends = (share.value, share.low, share.high) if share else (None, None, None)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return row | {"agreement": result.agreement}


def _picture(votes: Sequence[Vote], results: Sequence[Result], key: Key) -> bytes:
    raters = _counted(len({vote.rater for vote in votes}), "rater")
    prompts = _counted(len({one.prompt for one in key.comparisons}), "prompt")
    return draw_votes(
        results,
        f"What people prefer, on {prompts} of {key.set}",
        f"{_counted(len(votes), 'vote')} of {raters}. Lines below and above a bar: 95 % intervals of where "
        "the first's share ends and the second's begins (bootstrap over prompts). α: Krippendorff's, of "
        "raters who judged the same pictures.",
    )


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _figures(results: Sequence[Result]) -> dict[str, float]:
    """For the tracker: the share of ours, and how far it leads."""
    found: dict[str, float] = {}
    for result in results:
        if result.lead is not None:
            pairing = result.pairing
            name = f"{result.question.id}/{pairing.ours.model}-{pairing.ours.column}/"
            name += f"{pairing.theirs.model}-{pairing.theirs.column}"
            found[name] = result.shares["ours"].value
            found[f"{name}/lead"] = result.lead.value
    return found
