"""What real and generated pictures are compared by, and with what; importing this imports no torch."""

from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.rewards.settings import Place

KINDS = ("world", "inception")


class FeaturesConfig(Place):
    """What FID, KID, precision and recall look at."""

    kind: str
    """world (the miniature world's own), inception (the InceptionV3 of 2015 that published figures are made
    with), or a class of your own as module:Class."""
    id: str = ""
    """Of world, the folder of its judge; of inception, the folder or the repository with the weights."""
    size: int | None = Field(default=None, ge=8)
    """Real and generated pictures alike are cropped to their middle square and resized to this side first
    (LANCZOS); FID-30K has 256. Null: they are compared as they are."""
    batch_size: int = Field(default=64, ge=1)
    """Pictures that are looked at together."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What a class of your own is made with, beside its device."""

    @property
    def own(self) -> bool:
        """Whether it is a class that somebody else wrote."""
        return ":" in self.kind

    @field_validator("kind")
    @classmethod
    def _is_there(cls, kind: str) -> str:
        if kind in KINDS or ":" in kind:
            return kind
        near = get_close_matches(kind, KINDS, n=1)
        raise ValueError(
            f"is {kind!r}; there is {', '.join(KINDS)}, or a class of your own as module:Class"
            + (f"; did you mean {near[0]}?" if near else "")
        )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.options and not self.own:
            raise ValueError(
                f"options mean nothing for {self.kind}, only for a class of your own; remove them"
            )
        if self.own and (self.id or self.file):
            raise ValueError("id and file mean nothing for a class of your own; give it options")
        if self.kind == "world" and (not self.id or self.file or self.source != "folder"):
            raise ValueError("kind is world, so give id, the folder of the world's judge, and nothing else")
        if self.kind == "inception" and not (self.id and self.file):
            raise ValueError(
                "id or file is missing; name the folder or the repository that holds Inception's weights "
                "as torch-fidelity publishes them, and the file in there"
            )
        return self


class ReferenceConfig(Config):
    """The real pictures."""

    kind: Literal["world", "folder", "shards"]
    """world (renders of the miniature world's sets), folder (of pictures, at any depth), or shards
    (a folder of webdataset tars)."""
    path: str
    """The folder."""
    count: int | None = Field(default=None, ge=2)
    """How many of them, the first by name; null takes all."""
