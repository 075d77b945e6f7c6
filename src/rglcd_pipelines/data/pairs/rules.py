"""The rules that a pair must pass to be kept; the defaults suit CC12M."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.data.images import MAX_PIXELS, BadImage, ImageFacts, Transparency

PERSON = "<PERSON>"
"""What CC12M has in place of every name of a person; about a quarter of its captions hold it."""


class Rules(Config):
    """What is kept, and what is counted as rejected."""

    min_side: Annotated[int, Field(ge=1)] = 256
    """The least that an image's shorter side may measure, in pixels."""

    max_aspect_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0
    """How many times the shorter side may go into the longer one."""

    max_pixels: Annotated[int, Field(ge=1, le=2 * MAX_PIXELS)] = MAX_PIXELS
    """The most pixels an image may have; one that claims more is not even decoded."""

    transparency: Transparency = "reject"
    """What becomes of an image that one can see through: rejected, or kept and read as if on white."""

    caption_min_length: Annotated[int, Field(ge=1)] = 5
    """The fewest characters a caption may have once it is normalised."""

    caption_max_length: Annotated[int, Field(ge=1)] = 1000
    """The most characters a caption may have once it is normalised."""

    person: Literal["keep", "drop", "replace"] = "replace"
    """What becomes of <PERSON> in a caption: left as it is, the pair rejected, or a word put there."""

    person_word: str = "person"
    """The word that replaces <PERSON>."""

    duplicate_keys: Literal["reject", "keep"] = "reject"
    """What becomes of a pair whose key was kept already; keep them if each shard counts from zero."""

    duplicate_images: Literal["reject", "keep"] = "reject"
    """What becomes of a pair whose image was kept already, byte for byte, under whatever caption."""

    max_rejected_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The run stops when more than this share of what was seen is rejected; 1.0 never stops it."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.caption_min_length > self.caption_max_length:
            raise ValueError(
                f"no caption can be kept: caption_min_length ({self.caption_min_length}) is above "
                f"caption_max_length ({self.caption_max_length}). Lower the one or raise the other."
            )
        if self.min_side**2 > self.max_pixels:
            raise ValueError(
                f"no image can be kept: a square of min_side ({self.min_side}) has more pixels than "
                f"max_pixels ({self.max_pixels}). Lower the one or raise the other."
            )
        word = self.person_word
        # Lower case, so that no replacement can build a new token out of what stood around the old one.
        if (
            not word.isprintable()
            or word != " ".join(word.lower().split())
            or set("<>") & set(word)
            or not word
        ):
            raise ValueError(
                f"person_word ({word!r}) is no word for a caption. Use lower-case letters, such as 'person'."
            )
        return self


def check_size(facts: ImageFacts, rules: Rules) -> None:
    """Refuse an image whose shape the rules do not allow."""
    short, long = sorted((facts.width, facts.height))
    if short < rules.min_side:
        raise BadImage("too_small", f"{facts.width}×{facts.height}")
    if long > rules.max_aspect_ratio * short:
        raise BadImage("aspect_ratio", f"{facts.width}×{facts.height}")
