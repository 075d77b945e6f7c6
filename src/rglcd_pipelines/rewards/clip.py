"""Rewards that are a CLIP: HPSv2.1, PickScore, CLIPScore, and their small stand-ins.

The score is the cosine of a picture and its caption, as the paper's rewards use it; PickScore as published
multiplies it by the model's scale.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, load_seen, preprocess
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.rewards.vocabularies import CLIP_SIZE, clip_tokenizer
from rglcd_pipelines.rewards.weights import WEIGHTS, check_folder, explain, without_bars

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPTokenizer

WHAT = "CLIP saved by transformers"
FILES = ("tokenizer.json", "vocab.json")
"""Either of which is a tokenizer."""


class ClipReward:
    """How near a picture and its caption are, in float32: in bf16, near cosines could not be told apart."""

    differentiable = True

    def __init__(
        self,
        name: str,
        model: "CLIPModel",
        tokenizer: "CLIPTokenizer",
        seen: PreprocessConfig | None = None,
        scaled: bool = False,
        clean: Callable[[str], str] | None = None,
    ) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.texts = Texts(name, tokenizer, context(model), clean)
        self.seen = seen or PreprocessConfig(size=image_size(model))
        self.scaled = scaled

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        device: torch.device | str = "cpu",
        seen: PreprocessConfig | None = None,
        scaled: bool = False,
        words: Path | None = None,
    ) -> Self:
        """From a folder with a CLIPModel and its CLIPTokenizer, which may also be in another, `words`.

        `seen` is by default what the folder says, and if it says nothing, the model's own size.
        """
        model, tokenizer = load_clip(folder, words)
        model.to(device)  # pyright: ignore[reportArgumentType]
        return cls(name, model, tokenizer, seen or load_seen(folder), scaled)

    @property
    def temperature(self) -> float:
        """How many points of the score make a clear preference: what its softmax was trained with."""
        return 1.0 if self.scaled else float(torch.exp(-self.model.logit_scale))

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        with float32(images.device):
            ids, _ = self.texts.ids(captions)
            with torch.no_grad():
                texts = embed_texts(self.model, ids.to(images.device))
            cosine = (embed_images(self.model, preprocess(images, self.seen)) * texts).sum(-1)
            return cosine * self.model.logit_scale.exp() if self.scaled else cosine


def load_clip(folder: Path, words: Path | None = None) -> tuple["CLIPModel", "CLIPTokenizer"]:
    """The model that was saved at `folder`, in float32 whatever it was saved in, and its tokenizer.

    The tokenizer is in `words`, by default in the same folder.
    """
    model = load_model(folder)
    return model, load_tokenizer(words or folder, model)


def load_model(folder: Path) -> "CLIPModel":
    """The model alone."""
    from transformers import CLIPModel

    check_folder(folder, WHAT)
    with explain(folder, WHAT), without_bars():
        loaded: Any = CLIPModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    model, info = loaded
    if lacking := sorted(info["missing_keys"]):
        # transformers would go on with random weights in their place.
        raise DataError(
            f"{folder / WEIGHTS}: lacks {len(lacking)} weights of a CLIPModel, such as {lacking[0]}. "
            "Make or fetch it again."
        )
    return model.eval().requires_grad_(False)


def load_tokenizer(folder: Path | None, model: "CLIPModel") -> "CLIPTokenizer":
    """What turns captions into ids for `model`; without a folder, or with nothing of it there, CLIP's own."""
    from transformers import CLIPTokenizer

    size = vocabulary(model)
    if folder is None or (size == CLIP_SIZE and not any((folder / name).is_file() for name in FILES)):
        tokenizer = clip_tokenizer(context(model))
    else:
        with explain(folder, WHAT):
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    if len(tokenizer) != size:
        # Without its files there, transformers makes an empty tokenizer.
        raise DataError(
            f"{folder or 'CLIP'}: the tokenizer has {len(tokenizer)} tokens and the model {size}. "
            "They do not belong together: make or fetch the folder again, or set where the tokenizer is."
        )
    return tokenizer


def image_size(model: "CLIPModel") -> int:
    """The side of the images that it sees."""
    config: Any = model.config
    return config.vision_config.image_size


def context(model: "CLIPModel") -> int:
    """How many tokens of a caption it reads."""
    config: Any = model.config
    return config.text_config.max_position_embeddings


def vocabulary(model: "CLIPModel") -> int:
    """How many tokens it knows."""
    config: Any = model.config
    return config.text_config.vocab_size


def embed_images(model: "CLIPModel", pixels: Tensor) -> Tensor:
    """Unit vectors [B, D] of preprocessed images."""
    pooled = model.vision_model(pixel_values=pixels).pooler_output
    return F.normalize(model.visual_projection(pooled).float(), dim=-1)


def embed_texts(model: "CLIPModel", ids: Tensor) -> Tensor:
    """Unit vectors [B, D] of token ids; what follows the end of a text cannot be seen from it."""
    pooled = model.text_model(input_ids=ids).pooler_output
    return F.normalize(model.text_projection(pooled).float(), dim=-1)
