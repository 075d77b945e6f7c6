"""Questions over HTTP: tried again where that may help, told clearly where not, the key told to nobody."""

import json
import logging
import math
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.judge.budget import Budget, Usage
from rglcd_pipelines.rewards.judge.settings import JudgeConfig

AGAIN = (408, 409, 425, 429)
"""Refusals that may be over the next time, as may all from 500 on."""
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
"""Of failures, those before anything was asked."""
LONGEST = 300
"""Characters of what an endpoint says that are worth repeating."""

logger = logging.getLogger(__name__)
logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of every request


class StoppedError(Exception):
    """What asked does not want to know any more."""


class _TryAgainError(Exception):
    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


def read_key(name: str, config: JudgeConfig) -> str | None:
    """The key out of its environment variable; None for an endpoint that needs none."""
    if config.key_variable is None:
        return None
    key = os.environ.get(config.key_variable, "").strip()
    if not key:
        raise ConfigError(
            f"rewards.{name}.judge.key_variable: the environment variable {config.key_variable} is not set. "
            "Set it to the API key; for an endpoint that needs none, set this parameter to null."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"rewards.{name}.judge.key_variable: what {config.key_variable} holds is no key, for there are "
            "blanks or signs in it that no key has. Set it again."
        )
    return key


class Client:
    """One endpoint, for any number of threads."""

    def __init__(
        self,
        name: str,
        config: JudgeConfig,
        budget: Budget,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """`wait` is how time passes between attempts, less when the event comes."""
        self.where, self.config, self.budget = f"rewards.{name}.judge", config, budget
        self._key = read_key(name, config)
        self._wait = wait
        self._chance = random.Random()  # of its own: training draws from the common one
        self._http = httpx2.Client(
            timeout=config.timeout,
            headers={} if self._key is None else {"Authorization": f"Bearer {self._key}"},
            limits=httpx2.Limits(max_connections=config.at_once, max_keepalive_connections=config.at_once),
        )

    def ask(self, parts: list[dict[str, Any]], stop: threading.Event) -> str:
        """The judge's words about a message of these parts; once `stop` is set, nothing more is tried."""
        config = self.config
        body: dict[str, Any] = {
            "model": config.model,
            "temperature": 0,
            "messages": [{"role": "user", "content": parts}],
        }
        if config.most_tokens is not None:
            body["max_tokens"] = config.most_tokens
        content, failed = json.dumps(body).encode(), ""
        for attempt in range(1, config.attempts + 1):
            if stop.is_set():
                raise StoppedError
            try:
                return self._once(content)
            except _TryAgainError as again:
                failed = str(again)
                if attempt < config.attempts:
                    seconds = self._pause(attempt, again)
                    logger.warning("%s.base_url: %s: %s; attempt %d of %d comes in %.1f s", self.where,
                                   config.url, failed, attempt + 1, config.attempts, seconds)  # fmt: skip
                    self._wait(stop, seconds)
        raise DataError(
            f"{self.where}.base_url: {config.url}: {failed}, after {config.attempts} attempts. Check the "
            "network and the endpoint, then run the same command again; what was judged so far is in "
            f"{config.cache}. {self.where}.attempts, timeout and longest_wait say how patient this is."
        )

    def close(self) -> None:
        self._http.close()

    def hidden(self, text: str) -> str:
        """What an endpoint says, in one short line and without the key, should it repeat that."""
        if self._key is not None:
            text = text.replace(self._key, "[the key]")
        text = " ".join(text.split())
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"

    def _once(self, content: bytes) -> str:
        self.budget.begin()
        try:
            answer = self._http.post(
                self.config.url, content=content, headers={"Content-Type": "application/json"}
            )
        except UNSENT as error:
            self.budget.refused()
            raise _TryAgainError(self._failure(error)) from None
        except httpx2.RequestError as error:
            # It may well be answered and paid for, only not heard: so it stays in the account.
            raise _TryAgainError(self._failure(error)) from None
        if answer.status_code != 200:
            self.budget.refused()
            raise self._refusal(answer)
        said = _json(answer)
        if not isinstance(said, dict) or not isinstance(said.get("choices"), list):
            self.budget.refused()
            raise self._no_answer(answer, said)
        self.budget.answered(_usage(said))
        return _words(said)

    def _failure(self, error: Exception) -> str:
        kind = "no answer in time" if isinstance(error, httpx2.TimeoutException) else "the connection failed"
        return f"{kind} ({self.hidden(str(error)) or type(error).__name__})"

    def _refusal(self, answer: httpx2.Response) -> Exception:
        status, config, where = answer.status_code, self.config, self.where
        said = self.hidden(_message(answer))
        if status in AGAIN or status >= 500:
            after = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
            return _TryAgainError(f"it answers {status} ({said})", after)
        told = f"{where}.base_url: {config.url} answers {status}"
        if status in (401, 403):
            # Not what it says: that often repeats a part of the key.
            which = (
                f"{where}.key_variable: set it to the name of the environment variable that holds a key"
                if config.key_variable is None
                else f"the key in the environment variable {config.key_variable} ({where}.key_variable)"
            )
            return ConfigError(
                f"{told}, so it lets nobody in without a key that is good for {config.model}. Check {which}."
            )
        told = f"{told} ({said})."
        if status == 404:
            return ConfigError(
                f"{told} Check the address, of which most end in /v1, and that {where}.model, "
                f"{config.model}, is there."
            )
        if status == 413:
            return ConfigError(f"{told} Lower {where}.per_request, now {config.per_request}.")
        if 300 <= status < 400:
            return ConfigError(f"{told} Give the address that it leads to; a key is not carried elsewhere.")
        return ConfigError(
            f"{told} Check that {where}.model, {config.model}, takes pictures, {config.per_request} at a "
            f"time ({where}.per_request), with temperature 0 and max_tokens ({where}.most_tokens)."
        )

    def _no_answer(self, answer: httpx2.Response, said: Any) -> Exception:
        """What comes with 200 all the same: some gateways pass on errors like that."""
        words = self.hidden(_message(answer))
        if isinstance(said, dict) and said.get("error"):
            return _TryAgainError(f"it answers with an error ({words})")
        return ConfigError(
            f"{self.where}.base_url: {self.config.url} answers, but not as chat completions do ({words}). "
            "Check the address; most end in /v1."
        )

    def _pause(self, attempt: int, again: _TryAgainError) -> float:
        """Seconds until the next attempt: longer each time, never quite the same, at least what was asked."""
        config = self.config
        if again.after is not None and again.after > config.longest_wait:
            raise DataError(
                f"{self.where}.base_url: {config.url}: {again}, and asks to wait for {again.after:.0f} s, "
                f"more than {self.where}.longest_wait, {config.longest_wait:g} s. Run the same command again "
                f"then; what was judged so far is in {config.cache}."
            )
        longest = min(config.longest_wait, config.backoff * 2.0 ** min(attempt - 1, 60))
        return max(longest * self._chance.uniform(0.5, 1.0), again.after or 0.0)


def retry_after(header: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, which may be a number or a date."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            then = parsedate_to_datetime(header)
        except ValueError:
            return None
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        seconds = (then - now).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _message(answer: httpx2.Response) -> str:
    """What is said about an error: as OpenAI says it, or else all of it."""
    said = _json(answer)
    if isinstance(said, dict):
        error = said.get("error", said)
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str):
            return message
    return answer.text or answer.reason_phrase


def _words(said: dict[str, Any]) -> str:
    """Of a completion; none where the model refuses."""
    try:
        words = said["choices"][0]["message"]["content"]
    except (LookupError, TypeError):
        return ""
    return words if isinstance(words, str) else ""


def _usage(said: dict[str, Any]) -> Usage | None:
    usage = said.get("usage")
    if not isinstance(usage, dict):
        return None
    counts: list[Any] = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if all(type(count) is int and 0 <= count < 1 << 40 for count in counts):
        return Usage(*counts)
    return None
