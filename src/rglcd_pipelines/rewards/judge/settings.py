"""Which judge is asked, how, and for how much; free of torch, as it is read before all else."""

import re
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.rewards.judge.prompts import VERSION


class JudgeConfig(Config):
    """A vision-language model behind an OpenAI-compatible endpoint."""

    base_url: str
    """Where the endpoint is, up to what stands before /chat/completions, such as http://localhost:8000/v1."""
    model: str = Field(min_length=1)
    """The model's name there. One with a date in it stays the same; others change under the same name."""
    key_variable: str | None = "OPENAI_API_KEY"
    """The environment variable that holds the API key, never the key itself; null for an endpoint without."""
    per_request: int = Field(default=4, ge=1, le=64)
    """How many pictures are shown at a time."""
    at_once: int = Field(default=4, ge=1, le=256)
    """How many requests may be under way at a time in each process."""
    most_tokens: int | None = Field(default=2000, ge=1)
    """How long an answer may be, so that no model talks on and on; null leaves it to the endpoint."""
    attempts: int = Field(default=6, ge=1)
    """How often a request is sent before it is given up, where trying again may help."""
    timeout: float = Field(default=120.0, gt=0, le=86400)
    """For how many seconds nothing may come from the endpoint."""
    backoff: float = Field(default=1.0, ge=0)
    """Seconds before the second attempt, less up to half by chance; before each later one twice as many."""
    longest_wait: float = Field(default=60.0, ge=0, le=86400)
    """The longest wait before an attempt in seconds; an endpoint that asks for a longer one is given up."""
    price_in: float | None = Field(default=None, ge=0)
    """What a million tokens of questions and pictures cost."""
    price_out: float | None = Field(default=None, ge=0)
    """What a million tokens of answers cost."""
    most_cost: float | None = Field(default=None, gt=0)
    """What may be spent on this model, in the currency of the prices: once it is, nothing more is asked.
    The cache's folder keeps the account, over all runs. Requests under way just then are still paid."""
    most_requests: int | None = Field(default=None, ge=1)
    """How many requests may be made of this model, in the same account."""
    cache: str = Field(default="data/01_raw/judge", min_length=1)
    """The folder that keeps every verdict, so that none is paid for twice, and what was spent."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a verdict; all else only says how it is come by and what it may cost."""
        return {"model": self.model, "questions": VERSION}

    @property
    def url(self) -> str:
        """Where questions are sent."""
        return f"{self.base_url.rstrip('/')}/chat/completions"

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is no address; give one such as https://api.openai.com/v1") from None
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            # Not repeated, as it may hold a key.
            raise ValueError("holds more than an address; keys go into the variable that key_variable names")
        if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", url):
            raise ValueError(f"is {url!r}; give an address such as https://api.openai.com/v1")
        if url.rstrip("/").endswith("/chat/completions"):
            raise ValueError(f"is {url!r}; leave out /chat/completions, which is added")
        return url

    @field_validator("key_variable")
    @classmethod
    def _is_a_variable(cls, name: str | None) -> str | None:
        # What is refused is not repeated: it may be the key. Keys have small letters, so these are none.
        if name is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name):
            raise ValueError(
                "is no name of an environment variable, which is capital letters, digits and _. Give the "
                "name of the variable that holds the key, not the key"
            )
        return name

    @model_validator(mode="after")
    def _can_count(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            lacking = "price_in" if self.price_in is None else "price_out"
            raise ValueError(f"{lacking} is missing; give both prices, or none")
        if self.most_cost is not None and self.price_in is None:
            raise ValueError("most_cost cannot be kept without prices; give price_in and price_out")
        if self.most_cost is not None and not self.price_in and not self.price_out:
            raise ValueError("most_cost is never reached, as both prices are 0; remove it")
        return self
