"""The settings of a latent reward model's two towers; importing this imports no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.rewards.settings import Place


class TowerConfig(Config):
    """The tower that reads latents: one of open_clip's image towers, with the latents' channels."""

    kind: Literal["vit", "resnet"] = "vit"
    """A vision transformer, or CLIP's ResNet, whose stem does not shrink: latents are small already."""
    width: int = Field(ge=8)
    """Channels of a token; of a ResNet, of its stem."""
    layers: int | list[int]
    """Blocks; of a ResNet, those of each of its four stages."""
    patch_size: int | None = Field(default=None, ge=1)
    """The side of the squares of a latent that become the transformer's tokens."""
    head_width: int = Field(default=64, ge=1)
    """Channels of an attention head."""
    mlp_ratio: float = Field(default=4.0, gt=0)
    """How many times wider a transformer's block is inside."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "vit":
            if not isinstance(self.layers, int) or self.layers < 1:
                raise ValueError(f"layers is {self.layers}; give a vit one number, its blocks")
            if self.patch_size is None:
                raise ValueError("patch_size is missing; give the side of the squares that become tokens")
            if self.width % self.head_width:
                raise ValueError(
                    f"head_width is {self.head_width}, which does not divide width = {self.width}; change one"
                )
            return self
        if isinstance(self.layers, int) or len(self.layers) != 4 or min(self.layers) < 1:
            raise ValueError(f"layers is {self.layers}; give a resnet four numbers, such as [2, 2, 2, 2]")
        if self.patch_size is not None:
            raise ValueError("patch_size means nothing for a resnet; remove it")
        if self.width * 32 % self.head_width:
            raise ValueError(
                f"head_width is {self.head_width}, which does not divide {self.width * 32}, the channels of "
                "the last stage; change one"
            )
        return self

    @property
    def shrinks(self) -> int:
        """By what the side of a latent must be divisible."""
        return self.patch_size or 8

    @property
    def blocks(self) -> int:
        """How many blocks there are to choose the last ones from."""
        return self.layers if isinstance(self.layers, int) else sum(self.layers)


class TextConfig(Place):
    """A pretrained CLIP whose text tower reads the captions."""

    kind: Literal["clip", "open_clip"] = "clip"
    """A folder saved by transformers, or weights in open_clip's format."""
    architecture: str = "ViT-H-14"
    """Of open_clip: which of its architectures the weights are for, or a JSON file like those that it has."""
    tokenizer: Place | None = None
    """Where the tokenizer is, if not beside the model; of open_clip, its own by default."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "open_clip" and self.file is None:
            raise ValueError(f"file is missing; name the file in {self.id} that holds the weights")
        if self.kind == "clip" and self.file is not None:
            raise ValueError("file means nothing for clip, as it is a whole folder that is read; remove it")
        return self
