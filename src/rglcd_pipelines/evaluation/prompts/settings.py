"""Which prompts are drawn, and what each set of them is for; importing this imports no torch."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.rewards.settings import Place

Kind = Literal["world", "hpsv2", "partiprompts", "coco", "drawbench", "file"]
Role = Literal["benchmark", "fid", "diversity"]
Part = Literal["styles", "captions"]


class PromptSetConfig(Place):
    """One set of prompts."""

    kind: Kind
    """world (the miniature's), hpsv2 (anime, concept-art, paintings, photo), partiprompts, coco (captions of
    val2014), drawbench, or file: a text file with a prompt on each line, a JSON list, a CSV or TSV table."""
    path: str | None = None
    """The file or folder of this machine: the world's sets, the folder with HPSv2's four files, or a file."""
    id: str = ""
    """For source: hub, the dataset repository's name."""
    file: str | None = None
    """For source: hub, the file in there; of hpsv2 the folder; by default as the published one calls it."""
    part: Part | None = None
    """Of world: the prompts of each style (the default), or the captions of all styles."""
    count: int | None = Field(default=None, ge=1)
    """How many prompts at most, equally many of each group and always the same ones; null takes all."""
    repeats: int = Field(default=1, ge=1)
    """Pictures of each prompt, each from other noise."""
    steps: list[str] | None = None
    """The columns that draw this set, such as ["2", "4", "ddim-50"]; null: all of them."""
    seed: int = Field(default=0, ge=0)
    """What the noise is drawn from and, of coco, which captions `count` takes."""
    use: list[Role] = Field(default_factory=list[Role])
    """benchmark (HPSv2's protocol in each group), fid (against reference pictures), diversity (of repeats);
    other measures need no word here."""

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Self:
        if self.source == "folder":
            if not self.path:
                raise ValueError(f"path is missing; say where the prompts of kind {self.kind} are")
            for name in ("id", "file"):
                if getattr(self, name):
                    raise ValueError(f"{name} is for source: hub; remove it, or give it as path")
            return self
        if self.kind == "world":
            raise ValueError("source is hub, but the world is made here; set source to folder and give path")
        if self.path is not None:
            raise ValueError("path is for what lies on this machine; remove it, or set source to folder")
        if not self.id:
            raise ValueError("id is missing; give the name of the dataset repository")
        if self.file is None and self.kind not in PUBLISHED_AS:
            raise ValueError(f"file is missing; name the file in {self.id} that holds the prompts")
        return self

    @model_validator(mode="after")
    def _parts_are_of_the_world(self) -> Self:
        if self.part is not None and self.kind != "world":
            raise ValueError(f"part means nothing for {self.kind}, only for world; remove it")
        return self

    @model_validator(mode="after")
    def _can_be_used_so(self) -> Self:
        for name, values in (("steps", self.steps or []), ("use", self.use)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {', '.join(values)}; name each once")
        if self.steps == []:
            raise ValueError("steps is empty, so nothing would be drawn; name columns, or null for all")
        if "diversity" in self.use and self.repeats < 2:
            raise ValueError(
                "use has diversity, which compares pictures of a prompt; set repeats to 2 or more"
            )
        if "benchmark" in self.use and self.repeats > 1:
            raise ValueError("use has benchmark, which draws each prompt once; set repeats to 1")
        return self


PUBLISHED_AS: Mapping[Kind, str] = {
    "hpsv2": "benchmark",
    "partiprompts": "PartiPrompts.tsv",
    "drawbench": "benchmark/drawbench.json",
}
"""What the hub's datasets zhwang/HPDv2, nateraw/parti-prompts and, again, zhwang/HPDv2 call them."""


def _without_null(sets: Any) -> Any:
    """A set that is null is left out: so a scale drops one that the base has."""
    if not isinstance(sets, Mapping):
        return sets
    return {name: config for name, config in sets.items() if config is not None}


def _named(sets: dict[str, PromptSetConfig]) -> dict[str, PromptSetConfig]:
    if not sets:
        raise ValueError("there are no sets; give at least one")
    if odd := [name for name in sets if not re.fullmatch(r"[a-z0-9_-]+", name)]:
        raise ValueError(f"{odd[0]!r} is no name of a set; use a-z, 0-9, _ and - alone")
    return sets


PromptSets = Annotated[dict[str, PromptSetConfig], BeforeValidator(_without_null), AfterValidator(_named)]
"""The field `sets` of the settings of evaluation: a name for each set."""


class PromptsConfig(Config):
    """The sets of prompts."""

    sets: PromptSets
    """By name; a set that is null is left out."""
