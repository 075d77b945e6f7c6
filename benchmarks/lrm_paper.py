"""A step of the latent tower's pretraining at the paper's size, with random weights.

The settings of conf/sd15 and a text tower as large as ViT-H/14's, in the bf16 autocast that both train in.
In the miniature world the frozen text tower is smaller than the one that learns; here it is the larger one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from rglcd_pipelines.config import check
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.latent_reward.settings import TowerConfig
from rglcd_pipelines.latent_reward.text import TextTower
from rglcd_pipelines.rewards.open_clip import read_architecture, text_config
from rglcd_pipelines.rewards.vocabularies import clean_caption, clip_tokenizer
from rglcd_pipelines.training.lrm_settings import PretrainConfig
from rglcd_pipelines.training.pretrain import FIRST_SCALE, Pairs, TowerLearner
from rglcd_pipelines.training.ranks import Ranks

SHAPE = (4, 64, 64)
BATCH = 4
TEXT = "ViT-H-14"


def ways() -> dict[str, Callable[[int], object]]:
    """The step with embeddings that are there, and with those that the text tower has to compute first."""
    told: Any = yaml.safe_load(Path("conf/base/parameters_lrm.yml").read_text(encoding="utf-8"))["lrm"]
    paper: Any = yaml.safe_load(Path("conf/sd15/parameters_lrm.yml").read_text(encoding="utf-8"))["lrm"]
    tower = check(TowerConfig, paper["tower"], "lrm.tower")
    settings = told["pretrain"] | paper["pretrain"]
    settings["optimizer"] = told["pretrain"]["optimizer"] | paper["pretrain"]["optimizer"]
    torch.manual_seed(0)
    text = _text_tower()
    model = LatentClip(tower, SHAPE, text, torch.tensor(FIRST_SCALE).log()).suit(torch.device("cpu"))
    learner = TowerLearner(model, check(PretrainConfig, settings), Ranks(0, 1, torch.device("cpu")))
    latents = torch.randn(BATCH, *SHAPE)
    ids = torch.randint(1000, 40_000, (BATCH, 77))
    ids[:, -1] = text.config.eos_token_id  # open_clip reads 77 tokens of every caption, however short it is

    def embedded() -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            said = text.text_projection(text.text_model(input_ids=ids).pooler_output)
        return torch.nn.functional.normalize(said.float(), dim=-1)

    there = embedded()
    return {
        "kept": lambda step: learner.step(step, Pairs(latents, there, None)),
        "asked": lambda step: learner.step(step, Pairs(latents, embedded(), None)),
    }


def _text_tower() -> TextTower:
    from transformers import CLIPConfig, CLIPModel

    architecture = read_architecture(TEXT, "the benchmark")
    sizes: Any = text_config(architecture.text_cfg, quick_gelu=False)
    small: Any = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    config = CLIPConfig(text_config=sizes, vision_config=small, projection_dim=architecture.embed_dim)
    return TextTower(CLIPModel(config), clip_tokenizer(77), clean_caption)
