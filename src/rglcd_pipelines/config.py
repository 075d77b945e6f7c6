"""The base of every settings model, and how a mistake in a parameter is told.

Each component keeps its own model beside its code; `check` turns what YAML and `--params` say into one.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from rglcd_pipelines.errors import ConfigError


class Config(BaseModel):
    """Settings: unknown names refused, types taken as they are, never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


ConfigT = TypeVar("ConfigT", bound=Config)


def check(model: type[ConfigT], values: Any, name: str = "") -> ConfigT:
    """`values` as a `model`, or a ConfigError that lists every mistake under its full parameter name."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_told(model, name, item) for item in error.errors(include_url=False)]
        raise ConfigError(
            "These parameters cannot be used:\n" + "\n".join(f"  {line}" for line in lines)
        ) from None


def _told(model: type[BaseModel], name: str, item: Mapping[str, Any]) -> str:
    """One mistake in one line: the parameter, what is wrong, what was given."""
    where = tuple(item["loc"])
    parameter = ".".join(str(part) for part in ((name,) if name else ()) + where)
    if item["type"] == "extra_forbidden":
        return f"{parameter}: there is no such parameter{_nearest(model, name, where)}"
    if item["type"] == "missing":
        return f"{parameter}: is missing; give it a value"
    problem = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if item["type"] == "value_error":
        return f"{parameter}: {problem}" if parameter else problem
    near = ""
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        allowed = [word.strip("'") for word in item["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        near = _suggestion(get_close_matches(item["input"], allowed, n=1))
    return f"{parameter}: {problem}, not {item['input']!r}{near}"


def _nearest(model: type[BaseModel], name: str, where: tuple[Any, ...]) -> str:
    """The nearest names among the siblings of a parameter that does not exist."""
    owner: Any = model
    for part in where[:-1]:
        owner = _model_of(owner, part)
        if owner is None:
            return ""
    names = list(owner.model_fields)
    matches = get_close_matches(str(where[-1]), names, n=1)
    if not matches and len(names) <= 12:
        return f"; there is {', '.join(names)}"
    return _suggestion(
        [".".join(str(p) for p in ((name,) if name else ()) + where[:-1] + (m,)) for m in matches]
    )


def _suggestion(matches: list[str]) -> str:
    return f"; did you mean {matches[0]}?" if matches else ""


def _model_of(owner: type[BaseModel], part: Any) -> type[BaseModel] | None:
    """The settings model that the field `part` of `owner` holds, if it holds one."""
    field = owner.model_fields.get(str(part))
    if field is None:
        return None
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
