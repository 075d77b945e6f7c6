"""Weights in open_clip's format, HPSv2's among them, as transformers' CLIPModel: one CLIP class for all.

Both libraries compute the same; they differ in names, in how attention keeps its three inputs (in one matrix
or in three), and in projections, which are one another's transpose.
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor

from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError, first_line
from rglcd_pipelines.rewards.checkpoint import From, check_shapes, in_place, read_state
from rglcd_pipelines.rewards.vocabularies import of_open_clip
from rglcd_pipelines.rewards.weights import without_bars

if TYPE_CHECKING:
    from transformers import CLIPConfig, CLIPModel

UNUSED = ("(visual[.])?attn_mask", "input_resolution", "context_length", "vocab_size")
"""What some versions of open_clip and CLIP saved beside the weights: all of it follows from the sizes."""


class Vision(Config):
    """The image tower, as open_clip's JSON files describe it."""

    image_size: int = Field(ge=1)
    """The side of the images that it sees."""
    patch_size: int = Field(ge=1)
    """The side of the squares that become its tokens."""
    width: int = Field(ge=1)
    """Channels of a token."""
    layers: int = Field(ge=1)
    """Its blocks."""
    head_width: int = Field(default=64, ge=1)
    """Channels of an attention head."""
    mlp_ratio: float = Field(default=4.0, gt=0)
    """How many times wider a block is inside."""


class Text(Config):
    """The text tower."""

    context_length: int = Field(ge=1)
    """How many tokens it reads."""
    vocab_size: int = Field(ge=3)
    """How many tokens there are."""
    width: int = Field(ge=1)
    """Channels of a token."""
    layers: int = Field(ge=1)
    """Its blocks."""
    heads: int = Field(ge=1)
    """Attention heads of a block."""
    mlp_ratio: float = Field(default=4.0, gt=0)
    """How many times wider a block is inside."""


class Architecture(Config):
    """A CLIP of two transformers; open_clip's other kinds have settings that are not known here."""

    embed_dim: int = Field(ge=1)
    """Dimensions in which pictures and texts meet."""
    quick_gelu: bool = False
    """Whether it was trained with x·σ(1.702·x) in place of GELU, as OpenAI's were."""
    vision_cfg: Vision
    """The image tower."""
    text_cfg: Text
    """The text tower."""


def read_architecture(name: str, where: str) -> Architecture:
    """One of those that open_clip has, by name, or one from a JSON file of that format."""
    file = Path(name) if name.endswith(".json") else of_open_clip(f"model_configs/{name}.json")
    if not file.is_file():
        there = [path.stem for path in file.parent.glob("*.json")]
        near = get_close_matches(file.stem, there, n=1)
        raise ConfigError(
            f"{where}: there is no architecture {name}" + (f"; did you mean {near[0]}?" if near else "")
        )
    try:
        told: Any = json.loads(file.read_text(encoding="utf-8"))
        # In a repository on the hub, the same stands beside how pictures are preprocessed.
        return check(Architecture, told.get("model_cfg", told), name)
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: {file} cannot be read ({first_line(error)})") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {name} is no CLIP of two plain transformers. {error}") from None


def load_open_clip(file: Path, architecture: Architecture, name: str) -> "CLIPModel":
    """The model whose weights are in `file`, in float32, frozen; `name` is the architecture's."""
    from transformers import CLIPModel

    what = f"open_clip's {name}"
    table = dict(names(architecture))
    weights = in_place(table, read_state(file, what), file, what, UNUSED)
    config = _config(architecture)
    check_shapes(weights, _empty(config), table, file, what)
    with without_bars():
        # So it is made around the weights; on its own it would first draw a billion numbers by chance.
        model: Any = CLIPModel.from_pretrained(None, config=config, state_dict=weights)
    return model.eval().requires_grad_(False)


def names(architecture: Architecture) -> Iterator[tuple[str, From]]:
    """What transformers calls each weight, and where open_clip keeps it."""
    yield "logit_scale", From("logit_scale")
    yield from text_names(architecture.text_cfg)
    yield "vision_model.embeddings.class_embedding", From("visual.class_embedding")
    yield "vision_model.embeddings.patch_embedding.weight", From("visual.conv1.weight")
    yield "vision_model.embeddings.position_embedding.weight", From("visual.positional_embedding")
    yield from _both("vision_model.pre_layrnorm", "visual.ln_pre")
    yield from _both("vision_model.post_layernorm", "visual.ln_post")
    yield "visual_projection.weight", From("visual.proj", _transposed)
    yield from _blocks("vision_model", "visual.", architecture.vision_cfg.layers)


def text_names(text: Text) -> Iterator[tuple[str, From]]:
    """Those of the text tower alone."""
    yield "text_model.embeddings.token_embedding.weight", From("token_embedding.weight")
    yield "text_model.embeddings.position_embedding.weight", From("positional_embedding")
    yield from _both("text_model.final_layer_norm", "ln_final")
    yield "text_projection.weight", From("text_projection", _transposed)
    yield from _blocks("text_model", "", text.layers)


def text_weights(state: Mapping[str, Tensor], text: Text) -> dict[str, Tensor]:
    """The way back: a text tower's weights by transformers' names, as open_clip keeps them."""
    kept: dict[str, Tensor] = {}
    thirds: dict[str, list[Tensor]] = {}
    for ours, source in text_names(text):
        if isinstance(source.change, partial):
            thirds.setdefault(source.name, []).append(state[ours])  # in the order of q, k, v
        else:
            kept[source.name] = source.change(state[ours]) if source.change else state[ours]
    return kept | {name: torch.cat(parts) for name, parts in thirds.items()}


def _blocks(ours: str, theirs: str, layers: int) -> Iterator[tuple[str, From]]:
    for layer in range(layers):
        yield from _block(f"{ours}.encoder.layers.{layer}.", f"{theirs}transformer.resblocks.{layer}.")


def _block(ours: str, theirs: str) -> Iterator[tuple[str, From]]:
    yield from _both(f"{ours}layer_norm1", f"{theirs}ln_1")
    yield from _both(f"{ours}layer_norm2", f"{theirs}ln_2")
    for index, part in enumerate(("q_proj", "k_proj", "v_proj")):
        for kind in ("weight", "bias"):
            yield (
                f"{ours}self_attn.{part}.{kind}",
                From(f"{theirs}attn.in_proj_{kind}", partial(_third, index=index)),
            )
    yield from _both(f"{ours}self_attn.out_proj", f"{theirs}attn.out_proj")
    yield from _both(f"{ours}mlp.fc1", f"{theirs}mlp.c_fc")
    yield from _both(f"{ours}mlp.fc2", f"{theirs}mlp.c_proj")


def _both(ours: str, theirs: str) -> Iterator[tuple[str, From]]:
    for kind in ("weight", "bias"):
        yield f"{ours}.{kind}", From(f"{theirs}.{kind}")


def _transposed(weight: Tensor) -> Tensor:
    return weight.T


def _third(weight: Tensor, index: int) -> Tensor:
    return weight.chunk(3)[index]


def _config(architecture: Architecture) -> "CLIPConfig":
    from transformers import CLIPConfig

    vision, text = architecture.vision_cfg, architecture.text_cfg
    vision_config = {
        "hidden_act": activation(architecture.quick_gelu),
        "hidden_size": vision.width,
        "intermediate_size": int(vision.width * vision.mlp_ratio),
        "num_hidden_layers": vision.layers,
        "num_attention_heads": vision.width // vision.head_width,
        "image_size": vision.image_size,
        "patch_size": vision.patch_size,
    }
    return CLIPConfig(
        vision_config=vision_config,  # pyright: ignore[reportArgumentType]
        text_config=text_config(text, architecture.quick_gelu),  # pyright: ignore[reportArgumentType]
        projection_dim=architecture.embed_dim,
    )


def text_config(text: Text, quick_gelu: bool) -> dict[str, Any]:
    """The text tower's sizes, as transformers names them."""
    return {
        "hidden_act": activation(quick_gelu),
        "hidden_size": text.width,
        "intermediate_size": int(text.width * text.mlp_ratio),
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "max_position_embeddings": text.context_length,
        "vocab_size": text.vocab_size,
        # open_clip takes a text's meaning from its largest token, which is the mark of its end.
        "bos_token_id": text.vocab_size - 2,
        "eos_token_id": text.vocab_size - 1,
        "pad_token_id": text.vocab_size - 1,
    }


def activation(quick_gelu: bool) -> str:
    return "quick_gelu" if quick_gelu else "gelu"


def _empty(config: "CLIPConfig") -> dict[str, Tensor]:
    """The weights that such a model has, of which only the shapes are there."""
    import torch
    from transformers import CLIPModel

    with torch.device("meta"):
        return CLIPModel(config).state_dict()
