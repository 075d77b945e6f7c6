"""What a UNet is told of a caption, and what it is told where there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


@dataclass(frozen=True)
class Conditions:
    """A caption's tokens as vectors, and for SDXL what is told beside them."""

    states: Tensor
    """[B, T, C]."""
    pooled: Tensor | None = None
    """[B, D]: the caption as a whole, for SDXL."""
    sizes: Tensor | None = None
    """[B, 6]: the picture's size, the corner it was cropped at, the size that is asked for."""

    def call(self, unet: nn.Module, z: Tensor, t: Tensor, omega: Tensor | None = None) -> Tensor:
        """The UNet's output; `omega` is its scale of guidance, embedded, for a student."""
        beside: dict[str, Any] = {}
        if self.pooled is not None:
            beside["added_cond_kwargs"] = {"text_embeds": self.pooled, "time_ids": self.sizes}
        if omega is not None:
            beside["timestep_cond"] = omega.to(z.dtype)
        return unet(z, t, encoder_hidden_states=self.states, **beside).sample

    @staticmethod
    def both(said: "Conditions", unsaid: "Conditions") -> "Conditions":
        """One batch of both, for one call in place of two."""
        pairs = zip(said._parts(), unsaid._parts(), strict=True)
        return Conditions(*(None if a is None or b is None else torch.cat([a, b]) for a, b in pairs))  # pyright: ignore[reportArgumentType]

    def rows(self, chosen: slice) -> "Conditions":
        return Conditions(*(None if part is None else part[chosen] for part in self._parts()))  # pyright: ignore[reportArgumentType]

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.states, self.pooled, self.sizes


class Conditioner:
    """The frozen text encoder of Stable Diffusion 1 and 2."""

    def __init__(self, tokenizer: "CLIPTokenizer", encoder: "CLIPTextModel") -> None:
        self.tokenizer, self.encoder = tokenizer, encoder.eval().requires_grad_(False)

    def to(self, device: torch.device) -> "Conditioner":
        nn.Module.to(self.encoder, device=device)
        return self

    @torch.no_grad()
    def say(self, captions: Sequence[str]) -> Conditions:
        """Of captions, as StableDiffusionPipeline makes them."""
        ids = token_ids(self.tokenizer, captions).to(self.encoder.device)
        return Conditions(self.encoder(input_ids=ids).last_hidden_state)

    def leave_out(self, count: int) -> Conditions:
        """Of no caption, which is the empty one."""
        return Conditions(self.say([""]).states.expand(count, -1, -1))


class XlConditioner:
    """The two frozen text encoders of SDXL; what they say stands side by side."""

    def __init__(
        self,
        tokenizers: "Sequence[CLIPTokenizer]",
        encoders: "tuple[CLIPTextModel, CLIPTextModelWithProjection]",
        pixels: int,
        zeros_for_nothing: bool,
    ) -> None:
        self.tokenizers = tokenizers
        self.encoders = tuple(encoder.eval().requires_grad_(False) for encoder in encoders)
        self.pixels, self.zeros_for_nothing = pixels, zeros_for_nothing

    def to(self, device: torch.device) -> "XlConditioner":
        for encoder in self.encoders:
            nn.Module.to(encoder, device=device)
        return self

    @torch.no_grad()
    def say(self, captions: Sequence[str]) -> Conditions:
        """Of captions, as StableDiffusionXLPipeline makes them: the last layer but one of both encoders."""
        states, pooled = [], None
        for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True):
            ids = token_ids(tokenizer, captions).to(encoder.device)
            said = encoder(input_ids=ids, output_hidden_states=True)
            states.append(said.hidden_states[-2])
            pooled = getattr(said, "text_embeds", None)
        return Conditions(torch.cat(states, -1), pooled, self._sizes(len(captions)))

    def leave_out(self, count: int) -> Conditions:
        """Of no caption: zeros, where the model was trained so (force_zeros_for_empty_prompt)."""
        empty = self.say([""])
        assert empty.pooled is not None  # the second encoder has a projection
        keep = 0.0 if self.zeros_for_nothing else 1.0
        return Conditions(
            keep * empty.states.expand(count, -1, -1),
            keep * empty.pooled.expand(count, -1),
            self._sizes(count),
        )

    def _sizes(self, count: int) -> Tensor:
        """Whole pictures of the size that is asked for, cropped at no corner."""
        told = [self.pixels, self.pixels, 0, 0, self.pixels, self.pixels]
        return torch.tensor([told], device=self.encoders[0].device).float().expand(count, -1)


def token_ids(tokenizer: "CLIPTokenizer", captions: Sequence[str]) -> Tensor:
    """[B, T] with all of the context, its rest filled, as diffusers' pipelines make them."""
    return tokenizer(
        list(captions),
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
