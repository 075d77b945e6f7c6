"""ImageReward: BLIP reads the caption while looking at the picture, and a head of linear layers scores it.

The parts are transformers' own, named so that the published weights can be mapped onto them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, load_seen, preprocess
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.rewards.weights import CONFIG, WEIGHTS, check_folder, explain

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WHAT = "ImageReward saved by this project"


class VisionConfig(Config):
    """The image tower's size; the defaults are the original's, a ViT-L/16."""

    width: int = Field(default=1024, ge=1)
    """Channels of a token."""
    layers: int = Field(default=24, ge=1)
    """Its blocks."""
    heads: int = Field(default=16, ge=1)
    """Attention heads of a block."""
    image_size: int = Field(default=224, ge=1)
    """The side of the images that it sees."""
    patch_size: int = Field(default=16, ge=1)
    """The side of the squares that become its tokens."""


class TextConfig(Config):
    """The text tower's size; the defaults are the original's, a BERT with cross attention."""

    width: int = Field(default=768, ge=1)
    """Channels of a token."""
    layers: int = Field(default=12, ge=1)
    """Its blocks."""
    heads: int = Field(default=12, ge=1)
    """Attention heads of a block."""
    vocabulary: int = Field(default=30524, ge=1)
    """How many tokens its tokenizer has."""
    positions: int = Field(default=512, ge=1)
    """How many positions it has an embedding for."""
    length: int = Field(default=35, ge=2)
    """How many tokens of a caption it is given at most."""

    @model_validator(mode="after")
    def _positions_suffice(self) -> "TextConfig":
        if self.length > self.positions:
            raise ValueError(f"length is {self.length}, more than positions = {self.positions}; lower it")
        return self


class ImageRewardModelConfig(Config):
    """The whole model; the defaults are the original's."""

    vision: VisionConfig = VisionConfig()
    """The image tower."""
    text: TextConfig = TextConfig()
    """The text tower, which looks at the image tower's tokens."""
    head: list[int] = Field(default=[1024, 128, 64, 16])
    """Widths of the linear layers between the text tower and the score."""
    dropout: list[float] = Field(default=[0.2, 0.2, 0.1, 0.0])
    """How much is dropped after each of them in training."""
    mean: float = 0.16717
    """The mean of the raw score over many pictures, which is subtracted."""
    std: float = Field(default=1.03334, gt=0)
    """The standard deviation of the raw score, by which it is divided then."""

    @model_validator(mode="after")
    def _every_layer_drops(self) -> "ImageRewardModelConfig":
        if len(self.dropout) != len(self.head):
            raise ValueError(
                f"dropout has {len(self.dropout)} entries and head {len(self.head)}; give as many"
            )
        return self


class ImageRewardModel(nn.Module):
    """Preprocessed pictures and token ids to raw scores."""

    def __init__(self, config: ImageRewardModelConfig) -> None:
        from transformers import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        super().__init__()
        self.config = config
        self.vision = BlipVisionModel(_vision(config.vision))
        self.text = BlipTextModel(_text(config), add_pooling_layer=False)
        widths = [config.text.width, *config.head]
        layers: list[nn.Module] = []
        for before, after, dropped in zip(widths[:-1], widths[1:], config.dropout, strict=True):
            layers += [nn.Linear(before, after), nn.Dropout(dropped)]
        self.head = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Raw scores [B] of pictures [B, 3, H, W] and captions [B, T]."""
        return self.read(self.look(pixels), ids, mask)

    def look(self, pixels: Tensor) -> Tensor:
        """The picture's tokens, which any number of captions can be read beside."""
        return self.vision(pixel_values=pixels).last_hidden_state

    def read(self, looked: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Raw scores of captions beside what was seen."""
        read = self.text(input_ids=ids, attention_mask=mask, encoder_hidden_states=looked)
        with float32(looked.device):
            return self.head(read.last_hidden_state[:, 0].float()).squeeze(-1)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """config.json and model.safetensors, the weights as `dtype`."""
        from safetensors.torch import save_file

        weights = {
            name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in self.state_dict().items()
        }
        write_json(folder / CONFIG, {"_class_name": type(self).__name__, **self.config.model_dump()})
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote, in float32, frozen."""
        from safetensors.torch import load_file

        check_folder(folder, WHAT)
        with explain(folder, WHAT):
            told: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            if told.pop("_class_name", None) != cls.__name__:
                raise DataError(f"{folder / CONFIG}: describes no {cls.__name__}. Check the path.")
            try:
                model = cls(check(ImageRewardModelConfig, told))
            except ConfigError as error:
                raise DataError(f"{folder / CONFIG}: {error}") from None
            model.load_state_dict(
                {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
            )
        return model.eval().requires_grad_(False)


def _vision(config: VisionConfig) -> Any:
    from transformers import BlipVisionConfig

    return BlipVisionConfig(
        hidden_size=config.width,
        intermediate_size=4 * config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        image_size=config.image_size,
        patch_size=config.patch_size,
        layer_norm_eps=1e-6,  # BLIP's own; transformers' default is 1e-5
        initializer_range=0.02,  # transformers' default would begin with all zeros
    )


def _text(config: ImageRewardModelConfig) -> Any:
    from transformers import BlipTextConfig

    return BlipTextConfig(
        vocab_size=config.text.vocabulary,
        hidden_size=config.text.width,
        encoder_hidden_size=config.vision.width,
        intermediate_size=4 * config.text.width,
        num_hidden_layers=config.text.layers,
        num_attention_heads=config.text.heads,
        max_position_embeddings=config.text.positions,
        # The mask alone says what is padding, and the tokenizer knows its own marks.
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
        sep_token_id=None,
        is_decoder=True,  # that is how transformers is told to build the cross attention
    )


class ImageReward:
    """The model as a reward: about zero on average, with a standard deviation of about one."""

    differentiable = True
    temperature = 1.0
    """How many points make a clear preference: it learnt from sigmoids of differences."""

    def __init__(
        self,
        name: str,
        model: ImageRewardModel,
        tokenizer: "PreTrainedTokenizerBase",
        seen: PreprocessConfig | None = None,
    ) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.texts = Texts(name, tokenizer, model.config.text.length)
        self.seen = seen or PreprocessConfig(size=model.config.vision.image_size)

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        device: torch.device | str = "cpu",
        seen: PreprocessConfig | None = None,
    ) -> Self:
        """From a folder with the model and its tokenizer.

        `seen` is by default what the folder says, and if it says nothing, the model's own size.
        """
        from transformers import AutoTokenizer

        model = ImageRewardModel.load(folder).to(device)
        with explain(folder, WHAT):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(name, model, tokenizer, seen or load_seen(folder))

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        with float32(images.device):
            ids, mask = (part.to(images.device) for part in self.texts.ids(captions))
            raw = self.model(preprocess(images, self.seen), ids, mask)
            return (raw - self.model.config.mean) / self.model.config.std
