"""Who meets whom in the arena, what people are asked, and where their votes are; this imports no torch."""

import re
from collections.abc import Iterable
from typing import Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config


class Entrant(Config):
    """One column of one model's samples."""

    model: str = Field(min_length=1)
    """The name of the model's samples, such as hps or teacher."""
    column: str = Field(min_length=1)
    """Which of its columns: the steps of a student such as "2", or ddim-50 of the teacher."""

    def __str__(self) -> str:
        return f"{self.model} at {self.column}"


class Pairing(Config):
    """Two models whose pictures of the same prompts are compared."""

    ours: Entrant
    """The one whose share of the votes is asked for."""
    theirs: Entrant
    """The one that it is compared with."""

    def __str__(self) -> str:
        return f"{self.ours} against {self.theirs}"

    @model_validator(mode="after")
    def _two_different_ones(self) -> Self:
        if self.ours == self.theirs:
            raise ValueError(f"{self.ours} would meet itself; name another column or model")
        return self


class Question(Config):
    """What is asked of every two pictures."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    """Its name in files, such as preference."""
    title: str = Field(min_length=1)
    """Its name in figures, such as General Preference."""
    text: str = Field(min_length=1)
    """What the page asks."""


QUESTIONS = [
    Question(
        id="preference",
        title="Q1 General Preference",
        text="Which image do you prefer given the prompt?",
    ),
    Question(
        id="appeal",
        title="Q2 Visual Appeal",
        text="Which image is more visually appealing, irrespective of the prompt?",
    ),
    Question(
        id="alignment",
        title="Q3 Prompt Alignment",
        text="Which image better matches the text description?",
    ),
]
"""The paper's, of its section 5.1."""


class ArenaConfig(Config):
    """A page for votes: every pairing on the same prompts, sides and order shuffled, names hidden."""

    pairings: list[Pairing] = Field(min_length=1)
    """Who meets whom."""
    set: str
    """The prompt set that the pictures are of."""
    prompts: int = Field(default=25, ge=1)
    """How many of its prompts, evenly over its groups; a rater judges this many pairs for each pairing."""
    questions: list[Question] = Field(default=QUESTIONS, min_length=1)
    """What is asked of every pair, in this order."""
    title: str = Field(default="Which image is better?", min_length=1)
    """The heading of the page; raters see it, so it must not name what is compared."""
    seed: int = Field(default=0, ge=0)
    """Draws the prompts, the sides and the order."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        if twice := _twice(map(str, self.pairings)):
            raise ValueError(f"pairings lists {twice} twice; remove one")
        if twice := _twice(question.id for question in self.questions):
            raise ValueError(f"questions has the id {twice} twice; give each its own")
        return self

    @model_validator(mode="after")
    def _names_stay_hidden(self) -> Self:
        shown = " ".join([self.title, *(question.text for question in self.questions)])
        for model in {entrant.model for entrant in self.entrants}:
            if re.search(rf"(?<!\w){re.escape(model)}(?!\w)", shown, re.IGNORECASE):
                raise ValueError(
                    f"title or a question's text says {model!r}, the name of a model that raters must not "
                    "know; say it in other words"
                )
        return self

    @property
    def entrants(self) -> list[Entrant]:
        """Everyone who is in a pairing, once each."""
        return list(dict.fromkeys(one for pairing in self.pairings for one in (pairing.ours, pairing.theirs)))


class VotesConfig(Config):
    """Which votes are counted, and how sure their shares are."""

    files: str = Field(min_length=1)
    """A folder of the JSON files that raters exported, or a pattern such as votes/*.json."""
    resamples: int = Field(default=2_000, ge=100)
    """How often the prompts are drawn anew for the 95 % intervals."""
    seed: int = Field(default=0, ge=0)
    """The seed of those draws."""


def _twice(names: Iterable[str]) -> str | None:
    """The first name that comes a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
