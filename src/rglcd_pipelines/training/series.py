"""Series of students that differ in one thing, such as beta; importing this imports no torch."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from itertools import product
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.training.settings import VariantConfig

VARIED = ("beta", "antialias", "real_bonus", "seed")
"""What may differ, in the order in which it stands in a name."""


class SeriesConfig(Config):
    """Variants once more, each with every one of some settings."""

    of: list[str] = Field(min_length=1)
    """Names among `variants`."""
    beta: list[float] | None = Field(default=None, min_length=1)
    """How much the reward counts; of hps, 0.3 makes hps-beta0_3."""
    antialias: list[bool] | None = Field(default=None, min_length=1)
    """Whether rewards' pictures are shrunk with antialiasing: hps-antialiased, or hps-aliased."""
    real_bonus: list[float] | None = Field(default=None, min_length=1)
    """How much more an expert is said to like real images: hps_lrm-real_bonus0."""
    seed: list[int] | None = Field(default=None, min_length=1)
    """Of their draws; 1 makes hps-seed1."""

    @model_validator(mode="after")
    def _varies(self) -> Self:
        lists = {name: getattr(self, name) for name in VARIED}
        if not any(lists.values()):
            raise ValueError(f"says nothing to vary; give {', '.join(VARIED[:-1])} or {VARIED[-1]}, a list")
        for name, values in [("of", self.of), *lists.items()]:
            if twice := [value for value in values or () if values.count(value) > 1]:
                raise ValueError(f"{name} holds {twice[0]} twice; remove one")
        return self

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of what is varied."""
        given = [name for name in VARIED if getattr(self, name) is not None]
        for values in product(*(getattr(self, name) for name in given)):
            yield dict(zip(given, values, strict=True))


def expand(
    variants: Mapping[str, VariantConfig], series: Mapping[str, SeriesConfig]
) -> dict[str, VariantConfig]:
    """The variants, and those that the series derive from them; equal ones of two series are one."""
    found = dict(variants)
    for name, config in series.items():
        for base in config.of:
            where = f"series.{name}.of"
            if base not in variants:
                raise ConfigError(f"{where}: there is no variant {base!r}; {_hint(base, variants)}")
            for settings in config.settings():
                derived = derived_name(base, settings)
                made = _derived(variants[base], settings, f"{where}: {derived}")
                if derived in variants or found.get(derived, made) != made:
                    raise ConfigError(
                        f"{where}: {base} would make {derived}, a name that something else has already. "
                        "Rename that."
                    )
                found[derived] = made
    return found


def derived_name(base: str, settings: Mapping[str, Any]) -> str:
    """Such as hps-beta0_3-aliased-seed1; folders and MLflow take it."""
    words = []
    for name in VARIED:
        value = settings.get(name)
        if value is None:
            continue
        if name == "antialias":
            words.append("antialiased" if value else "aliased")
        else:
            words.append(f"{name}{_number(value)}")
    return "-".join([base, *words])


def _number(value: float) -> str:
    """Without an exponent, and with an underscore for the point."""
    return f"{Decimal(repr(value)).normalize():f}".replace(".", "_")


def _derived(base: VariantConfig, settings: Mapping[str, Any], where: str) -> VariantConfig:
    return check(VariantConfig, base.model_dump() | dict(settings), where)


def _hint(name: str, variants: Mapping[str, VariantConfig]) -> str:
    near = get_close_matches(name, variants, n=1)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(variants)}"


def _without_null(series: Any) -> Any:
    """One that is null is left out: so a scale drops one that the base has."""
    if not isinstance(series, Mapping):
        return series
    return {name: config for name, config in series.items() if config is not None}


Series = Annotated[dict[str, SeriesConfig], BeforeValidator(_without_null)]
"""All series there are, by name."""
