"""The files that raters exported: read strictly, and unblinded with the arena's key."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.arena.key import Comparison, Key, Party

VOTES_VERSION = 1
NAMED = 3
"""As many mistakes of one file are told."""

AGAIN = "Ask the rater to export again, or remove it."

Choice = Literal["ours", "theirs", "tie"]


@dataclass(frozen=True)
class Vote:
    """One answer of one rater, for a model and no longer for a side."""

    rater: str
    comparison: Comparison
    question: str
    side: Literal["a", "b", "tie"]

    @property
    def choice(self) -> Choice:
        if self.side == "tie":
            return "tie"
        other: Mapping[Party, Party] = {"ours": "theirs", "theirs": "ours"}
        return self.comparison.a if self.side == "a" else other[self.comparison.a]


class Answer(Config):
    """One answer, as the page exports it."""

    comparison: str
    """The comparison's number."""
    question: str
    """The question's id."""
    answer: Literal["a", "b", "tie"]
    """The picture that was chosen, or neither."""


class Ballot(Config):
    """A rater's file."""

    version: Literal[1]
    """Of the file's form."""
    arena: str
    """The id of the arena that it is about."""
    rater: str = Field(pattern=r"\S")
    """Who voted."""
    votes: list[Answer]
    """In the order of answering."""

    @property
    def name(self) -> str:
        """The rater, however they happened to write themselves: one person may use two devices."""
        return " ".join(unicodedata.normalize("NFC", self.rater).split()).casefold()

    @property
    def answers(self) -> dict[tuple[str, str], str]:
        return {(vote.comparison, vote.question): vote.answer for vote in self.votes}


def read_votes(files: Sequence[Path], key: Key) -> list[Vote]:
    """All votes of all files; or a DataError that lists every file that cannot be counted."""
    ballots: dict[Path, Ballot] = {}
    problems: list[str] = []
    for file in files:
        try:
            ballots[file] = _read(file, key)
        except _BadFile as error:
            problems.append(f"{file}: {error}")
    problems += _second_files(ballots)
    if problems:
        raise DataError("These votes cannot be counted:\n" + "\n".join(f"  {line}" for line in problems))
    comparisons = {one.id: one for one in key.comparisons}
    return [
        Vote(ballot.name, comparisons[vote.comparison], vote.question, vote.answer)
        for ballot in ballots.values()
        for vote in ballot.votes
    ]


def find_files(where: str) -> list[Path]:
    """The JSON files of a folder, or those that fit a pattern."""
    folder = Path(where)
    found = folder.glob("*.json") if folder.is_dir() else _fitting(where)
    files = sorted(file for file in found if file.is_file() and not file.name.startswith("."))
    if not files:
        raise DataError(
            f"votes.files: there are no votes at {where}. Put the JSON files that raters exported from the "
            f"arena there; the command runs in {Path.cwd()}."
        )
    return files


def _fitting(pattern: str) -> Iterable[Path]:
    root = Path(Path(pattern).anchor)
    try:
        return list(root.glob(Path(pattern).relative_to(root).as_posix()))
    except ValueError as error:
        raise ConfigError(f"votes.files: {pattern} is no pattern for files ({error})") from None


class _BadFile(Exception):  # noqa: N818
    """Why one file cannot be counted, and what to do."""


def _read(file: Path, key: Key) -> Ballot:
    """One file, each of whose votes is about this arena."""
    try:
        ballot = Ballot.model_validate_json(file.read_bytes())
    except OSError as error:
        raise _BadFile(f"cannot be read ({error.strerror}). Check the file's permissions.") from None
    except ValidationError as error:
        raise _BadFile(_told(error)) from None
    if ballot.arena != key.id:
        raise _BadFile(
            f"is of another arena ({ballot.arena}, not {key.id}). Remove it here, and count it with the key "
            "of its own arena."
        )
    _check_votes(ballot, key)
    return ballot


def _told(error: ValidationError) -> str:
    """What a file lacks of being a rater's export, in one line."""
    first = error.errors(include_url=False)[0]
    what = first["msg"].removeprefix("Input ")
    if first["type"] == "json_invalid":
        return f"is damaged ({what}). {AGAIN}"
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["loc"] == ("version",) and first["type"] == "literal_error":
        return (
            f"is of version {first['input']!r}, but this program reads version {VOTES_VERSION}. Count it "
            "with the release that made its arena."
        )
    return f"is not what the arena exports: {where} {what[0].lower()}{what[1:]}. {AGAIN}"


def _check_votes(ballot: Ballot, key: Key) -> None:
    """That all votes are about comparisons and questions that there are, and each is given once."""
    comparisons = {one.id for one in key.comparisons}
    questions = {question.id for question in key.questions}
    problems = [f"comparison {v.comparison!r}" for v in ballot.votes if v.comparison not in comparisons]
    problems += [f"question {vote.question!r}" for vote in ballot.votes if vote.question not in questions]
    if problems:
        raise _BadFile(f"votes about what this arena does not have: {_some(problems)}. {AGAIN}")
    if not ballot.votes:
        raise _BadFile("holds no votes. Remove it.")
    asked = Counter((vote.comparison, vote.question) for vote in ballot.votes)
    if twice := [f"{comparison}/{question}" for (comparison, question), n in asked.items() if n > 1]:
        raise _BadFile(f"answers twice: {_some(twice)}. {AGAIN}")


def _second_files(ballots: Mapping[Path, Ballot]) -> list[str]:
    """What is wrong with each rater's second file; votes must not count twice."""
    first: dict[str, Path] = {}
    problems: list[str] = []
    for file, ballot in ballots.items():
        earlier = first.setdefault(ballot.name, file)
        if earlier != file:
            problems.append(f"{file}: {_compared(ballot, ballots[earlier], earlier)}")
    return problems


def _compared(ballot: Ballot, other: Ballot, there: Path) -> str:
    """What two files of one rater are to each other, and what to do."""
    one, two = ballot.answers, other.answers
    same = f"is by {ballot.rater!r}, as is {there}"
    if one == two:
        return f"{same}, with the same votes. Remove one of them."
    if one.items() <= two.items():
        return f"{same}, which has all these votes and more. Remove this one."
    if one.items() >= two.items():
        return f"{same}, whose votes are all in this one too. Remove {there}."
    both = [f"{c}/{q}" for c, q in one.keys() & two.keys() if one[c, q] != two[c, q]]
    apart = f"with other answers to {_some(sorted(both))}" if both else "with other votes"
    return f'{same}, {apart}. If they are two people, change "rater" in one file; if not, remove one.'


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
