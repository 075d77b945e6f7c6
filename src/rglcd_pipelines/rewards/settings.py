"""Which reward models there are and where their weights lie; free of torch, as it is read before all else."""

import re
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.rewards.judge.settings import JudgeConfig

LATENT = "latent"
"""The kind that looks at latents in place of pictures."""
SEEING = ("clip", "open_clip", "imgrwd", "aesthetic")
"""Kinds that look at pictures of their own size."""
PLACED = (*SEEING, LATENT)
"""Kinds that are read from somewhere."""
KINDS = (*PLACED, "compression", "judge")


class Place(Config):
    """Where something lies that is read: a folder of this machine, or a repository on the hub."""

    source: Literal["folder", "hub"] = "folder"
    """Which of the two."""
    id: str
    """The folder's path, or the repository's name."""
    revision: str | None = None
    """The repository's full commit."""
    file: str | None = None
    """The one file in there that holds the weights, where it is not all of the folder that is read."""

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.source == "folder" and self.revision:
            raise ValueError("revision means nothing for a folder; remove it, or set source to hub")
        if self.source == "hub" and not self.revision:
            raise ValueError(f"revision is missing; pin {self.id} to a commit")
        if self.revision and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f"revision {self.revision!r} pins nothing: branches and tags move. Give the full commit, "
                "40 hexadecimal digits; the History page of the repository names them."
            )
        if self.file is not None:
            path = PurePosixPath(self.file)
            if not self.file or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"file is {self.file!r}; give the name of a file in {self.id}")
        return self


UNFOLLOWED = ("compression", "judge")
"""Kinds that are not differentiable, and whose scores have no temperature of their own."""


class CompressionConfig(Config):
    """A reward for pictures that take little room and yet have contrast."""

    quality: int = Field(default=75, ge=1, le=95)
    """Of the JPEG files whose size counts."""
    size_weight: float = Field(default=1.0, allow_inf_nan=False)
    """How much a byte a pixel takes off."""
    contrast_weight: float = Field(default=1.0, allow_inf_nan=False)
    """What the standard deviation of luma in [0, 1] is worth."""


class RewardConfig(Place):
    """One reward model."""

    kind: str
    """clip (a folder saved by transformers), open_clip (weights in open_clip's format, as HPSv2's), imgrwd,
    aesthetic, latent (a latent reward model), compression (of JPEG files), judge (a vision-language model
    behind an endpoint), or a class of your own as module:Class."""
    id: str = ""
    """The folder or the repository that holds the model; not all kinds have one."""
    architecture: str = "ViT-H-14"
    """Of open_clip: which of its architectures the weights are for, or a JSON file like those that it has."""
    tokenizer: Place | None = None
    """Where the tokenizer is, if not beside the model; of open_clip, its own by default."""
    clip: Place | None = None
    """Of aesthetic: the CLIP whose image embeddings are judged."""
    antialias: bool | None = None
    """Whether pictures are shrunk for it with antialiasing; by default as its folder says, or else yes."""
    scaled: bool = False
    """Of a CLIP: whether the cosine is multiplied by the model's scale, as PickScore publishes it."""
    cap: float | None = None
    """The score from which on more is no better: what counts is -relu(cap - score)."""
    resample: bool = False
    """Of latent: whether a model for latents of another size is made to fit."""
    compression: CompressionConfig | None = None
    """Of compression: what counts, and how much; by default, size and contrast alike."""
    judge: JudgeConfig | None = None
    """Of judge: which model is asked, and what it may cost."""
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
        if self.kind in PLACED and not self.id:
            raise ValueError(f"id is missing; give the folder that holds the {self.kind}, or its repository")
        kind = "own" if self.own else self.kind
        for name, kinds in _BELONGS.items():
            default = type(self).model_fields[name].get_default(call_default_factory=True)
            if kind not in kinds and getattr(self, name) != default:
                readers = " and ".join(kinds) if kinds != ("own",) else "a class of your own"
                raise ValueError(f"{name} means nothing for {self.kind}, only for {readers}; remove it")
        if self.kind in ("open_clip", "aesthetic") and self.file is None:
            raise ValueError(f"file is missing; name the file in {self.id} that holds the weights")
        if self.kind == "aesthetic" and self.clip is None:
            raise ValueError("clip is missing; say where the CLIP is whose embeddings it judges")
        if self.kind == "judge" and self.judge is None:
            raise ValueError("judge is missing; give at least judge.base_url and judge.model")
        for name, place in (("tokenizer", self.tokenizer), ("clip", self.clip)):
            if place is not None and place.file is not None:
                raise ValueError(
                    f"{name}.file means nothing, as it is a whole folder that is read; remove it"
                )
        return self


_BELONGS = {
    "source": PLACED,
    "id": PLACED,
    "revision": PLACED,
    "file": ("open_clip", "imgrwd", "aesthetic"),
    "architecture": ("open_clip",),
    "tokenizer": ("clip", "open_clip", "imgrwd"),
    "clip": ("aesthetic",),
    "antialias": SEEING,
    "scaled": ("clip", "open_clip"),
    "cap": (*SEEING, "compression", "judge", "own"),
    "resample": (LATENT,),
    "compression": ("compression",),
    "judge": ("judge",),
    "options": ("own",),
}
"""Settings that only some kinds have; elsewhere they would be read by nobody."""
