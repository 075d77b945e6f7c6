"""A latent reward model as a folder in open_clip's style: a configuration, safetensors, a tokenizer.

Its weights have open_clip's names, so that open_clip's own CLIP takes them once its first convolution has the
latents' channels.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from rglcd_pipelines.artifacts import write_json
from rglcd_pipelines.config import Config, check
from rglcd_pipelines.errors import ConfigError, DataError, first_line
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.settings import TowerConfig
from rglcd_pipelines.latent_reward.text import TextTower
from rglcd_pipelines.latent_reward.towers import POSITIONS, check_side, resampled, vision_cfg
from rglcd_pipelines.rewards.checkpoint import in_place
from rglcd_pipelines.rewards.clip import load_tokenizer
from rglcd_pipelines.rewards.open_clip import Text, text_config, text_names, text_weights
from rglcd_pipelines.rewards.vocabularies import clean_caption
from rglcd_pipelines.rewards.weights import explain

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
WHAT = "latent reward model"
VISUAL = "visual."


class About(Config):
    """What open_clip's own configuration has no words for."""

    tower: TowerConfig
    """The tower that reads latents."""
    shape: list[int] = Field(min_length=3, max_length=3)
    """Channels and sides of the latents."""
    vae: str
    """The digest of the autoencoder whose latents they are."""
    text: dict[str, Any]
    """What tells its text tower, before any matching, from others."""
    cleans: bool
    """Whether captions are mended first, as open_clip does it."""


class Described(Config):
    """open_clip's own configuration."""

    embed_dim: int = Field(ge=1)
    """Dimensions in which latents and texts meet."""
    quick_gelu: bool
    """Whether both towers have x·σ(1.702·x) in place of GELU."""
    vision_cfg: dict[str, Any]
    """The latents' tower, for open_clip; `About` says more."""
    text_cfg: Text
    """The other one."""


def save(model: LatentClip, vae: str, text: Mapping[str, Any], folder: Path) -> None:
    """Into `folder`: `vae` is the digest of the autoencoder, `text` the identity of the text tower."""
    from safetensors.torch import save_file

    about = About(
        tower=model.config,
        shape=list(model.shape),
        vae=vae,
        text=dict(text),
        cleans=model.text.clean is not None,
    )
    described = _described(model)
    write_json(folder / CONFIG, {"model_cfg": described, "latent_cfg": about.model_dump()})
    state = {f"{VISUAL}{name}": weight for name, weight in model.visual.state_dict().items()}
    first = f"{VISUAL}conv1.weight"
    state[first] = state[first] / model.spread  # whoever reads it divides by nothing
    state |= text_weights(model.text.state_dict(), check(Text, described["text_cfg"]))
    state["logit_scale"] = model.logit_scale
    save_file({name: weight.detach().cpu().contiguous() for name, weight in state.items()}, folder / WEIGHTS)
    model.text.tokenizer.save_pretrained(folder)


def _described(model: LatentClip) -> dict[str, Any]:
    """open_clip's `model_cfg`."""
    text = model.text.config
    return {
        "embed_dim": model.text.dimensions,
        "quick_gelu": text.hidden_act == "quick_gelu",
        "vision_cfg": vision_cfg(model.config, model.shape[1]),
        "text_cfg": {
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "width": text.hidden_size,
            "heads": text.num_attention_heads,
            "layers": text.num_hidden_layers,
            "mlp_ratio": _ratio(text.intermediate_size, text.hidden_size),
        },
    }


def _ratio(inner: int, width: int) -> float:
    """What makes `inner` of `width`, for those who cut off what is behind the point."""
    ratio = inner / width
    return ratio if int(width * ratio) == inner else math.nextafter(ratio, math.inf)


def read_about(folder: Path) -> About:
    """What the folder says of itself."""
    return _read(folder)[0]


def load(folder: Path, side: int | None = None) -> tuple[LatentClip, About]:
    """The model that was saved at `folder`, frozen; its positions resampled for latents of another `side`."""
    about, described = _read(folder)
    if not (folder / WEIGHTS).is_file():
        raise DataError(f"{folder}: holds no {WEIGHTS}. Make it again with: kedro run --pipeline=lrm")
    channels, old, _ = about.shape
    side = side or old
    check_side(about.tower, side)
    with explain(folder / WEIGHTS, WHAT):
        from safetensors.torch import load_file

        state = load_file(folder / WEIGHTS)
    with explain(folder, WHAT):
        text = _text(folder, about, described, state)
        model = LatentClip(about.tower, (channels, side, side), text, state["logit_scale"])
        visual = {
            name.removeprefix(VISUAL): weight.float() if weight.is_floating_point() else weight
            for name, weight in state.items()
            if name.startswith(VISUAL)
        }
        positions = POSITIONS[about.tower.kind]
        visual[positions] = resampled(visual[positions], side // about.tower.shrinks)
        model.visual.load_state_dict(visual)
    return model.eval().requires_grad_(False), about


def _text(folder: Path, about: About, described: Described, state: Mapping[str, Tensor]) -> TextTower:
    from transformers import CLIPConfig, CLIPModel

    text = described.text_cfg
    table = dict(text_names(text))
    beside = [f"{VISUAL}.*", "logit_scale"]
    weights = in_place(table, state, folder / WEIGHTS, WHAT, beside)
    sizes: Any = text_config(text, described.quick_gelu)
    with torch.device("meta"):
        clip = CLIPModel(CLIPConfig(text_config=sizes, projection_dim=described.embed_dim))
    tower = TextTower(clip, load_tokenizer(folder, clip), clean_caption if about.cleans else None)
    tower.load_state_dict(weights, assign=True)
    for name, buffer in list(tower.named_buffers()):
        if buffer.is_meta:  # the numbers of the positions
            _put(tower, name, torch.arange(text.context_length).expand(1, -1))
    return tower.requires_grad_(False)


def _put(module: Any, name: str, value: Tensor) -> None:
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    module.register_buffer(last, value, persistent=False)


def _read(folder: Path) -> tuple[About, Described]:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no {WHAT} here. Make one with: kedro run --pipeline=lrm")
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        about, described = told["latent_cfg"], told["model_cfg"]
        return check(About, about, "latent_cfg"), check(Described, described, "model_cfg")
    except ConfigError as error:
        raise DataError(f"{folder / CONFIG}: describes no {WHAT}. {error}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / CONFIG}: describes no {WHAT} ({first_line(error)}). Check the path, or make one "
            "with: kedro run --pipeline=lrm"
        ) from None
