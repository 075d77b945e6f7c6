"""What a judge has cost so far, kept on disk over all runs, and the cap on it."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.rewards.judge.settings import JudgeConfig
from rglcd_pipelines.rewards.judge.store import Store

FILE = "spent.sqlite"
SCHEMA = """CREATE TABLE IF NOT EXISTS spent (model TEXT PRIMARY KEY, begun INTEGER NOT NULL DEFAULT 0,
    answered INTEGER NOT NULL DEFAULT 0, unmetered INTEGER NOT NULL DEFAULT 0,
    tokens_in INTEGER NOT NULL DEFAULT 0, tokens_out INTEGER NOT NULL DEFAULT 0)"""
MILLION = 1_000_000


class CapReachedError(RglcdError):
    """As much was spent as may be."""


@dataclass(frozen=True)
class Usage:
    """The tokens of one answer."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True)
class Spent:
    """On one model, over all runs with one cache."""

    begun: int = 0
    """Requests, less those that the endpoint refused."""
    answered: int = 0
    """Of these; the others are under way, or were cut off and may have been paid for."""
    unmetered: int = 0
    """Answers that did not say how many tokens they took."""
    tokens_in: int = 0
    """Of questions and pictures."""
    tokens_out: int = 0
    """Of answers."""

    def cost(self, config: JudgeConfig) -> float:
        """In the prices of `config`; a request without an answer counts as the average of the others."""
        told = self.tokens_in * (config.price_in or 0) + self.tokens_out * (config.price_out or 0)
        metered = self.answered - self.unmetered
        return told / MILLION * (1 + (self.begun - self.answered) / metered) if metered else 0.0


class Budget:
    """The account of one model. What is about to be asked is entered before, so that no kill loses it."""

    def __init__(self, name: str, config: JudgeConfig) -> None:
        self.name, self.config = name, config
        self.folder = Path(config.cache)
        where = f"rewards.{name}.judge.cache"
        loss = "what was spent counts from nothing again"
        self._store = Store(self.folder / FILE, SCHEMA, loss, where)

    def begin(self) -> None:
        """Enter one request, or refuse it."""
        with self._store.transaction() as base:
            self._refuse(self._read(base))
            base.execute(
                "INSERT INTO spent (model, begun) VALUES (?, 1) "
                "ON CONFLICT (model) DO UPDATE SET begun = begun + 1",
                (self.config.model,),
            )

    def answered(self, usage: Usage | None) -> None:
        tokens = usage or Usage(0, 0)
        self._add(
            "answered = answered + 1, unmetered = unmetered + ?, "
            "tokens_in = tokens_in + ?, tokens_out = tokens_out + ?",
            *(int(usage is None), tokens.tokens_in, tokens.tokens_out),
        )

    def refused(self) -> None:
        """Nobody takes money for that."""
        self._add("begun = begun - 1")

    def spent(self) -> Spent:
        with self._store.transaction() as base:
            return self._read(base)

    def _add(self, what: str, *values: int) -> None:
        with self._store.transaction() as base:
            base.execute(f"UPDATE spent SET {what} WHERE model = ?", (*values, self.config.model))

    def _read(self, base: sqlite3.Connection) -> Spent:
        row = base.execute(
            "SELECT begun, answered, unmetered, tokens_in, tokens_out FROM spent WHERE model = ?",
            (self.config.model,),
        ).fetchone()
        return Spent(*row) if row else Spent()

    def _refuse(self, spent: Spent) -> None:
        config, here = self.config, f"rewards.{self.name}.judge"
        told = f"{spent.begun} requests to {config.model}" + _unsure(spent)
        if config.most_requests is not None and spent.begun >= config.most_requests:
            cap = f"{here}.most_requests"
            raise CapReachedError(f"{cap}: {told} were made, of {config.most_requests}. {self._kept(cap)}")
        if config.most_cost is None:
            return
        cap = f"{here}.most_cost"
        if (cost := spent.cost(config)) >= config.most_cost:
            raise CapReachedError(
                f"{cap}: {cost:.4f} of {config.most_cost:g} is spent, by {told}. {self._kept(cap)}"
            )
        if spent.unmetered:
            raise CapReachedError(
                f"{cap}: {spent.unmetered} answers of {config.model} did not say how many tokens they took, "
                f"so the cap cannot be kept. Remove it, and set {here}.most_requests instead."
            )

    def _kept(self, cap: str) -> str:
        return (
            f"The verdicts are kept in {self.folder} and are not paid for again: raise {cap} and run the "
            "same command again; it goes on from there."
        )


def _unsure(spent: Spent) -> str:
    open_ = spent.begun - spent.answered
    return f" ({open_} of them without an answer so far, counted as the average one)" if open_ else ""
