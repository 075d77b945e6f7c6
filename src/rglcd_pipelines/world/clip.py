"""The miniature world's CLIP: its text tower is the teacher's text encoder, and it is the reward `clip`."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.artifacts import Artifact, digest_files, draft, publish, standing
from rglcd_pipelines.config import Config
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.rewards.clip import embed_images, embed_texts
from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.training.fit import CHECKPOINT, FitConfig, Task, fit, pick_device
from rglcd_pipelines.world import vocabulary
from rglcd_pipelines.world.batches import Batch, draw_batch, draw_rival_batch, unit
from rglcd_pipelines.world.naming import FOLDER, learn_names
from rglcd_pipelines.world.scenes import MOST_RIVALS
from rglcd_pipelines.world.tokenizer import CONTEXT, build_tokenizer

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPTokenizer

FORMAT = 1
MEASURED = 1_000
"""How many held-out pairs the figures come from, a hundred at a time."""
AMONG = 100
NAMED = 1_000_000
"""The block of the supply from which the first phase draws, beyond the second's."""


class TowerConfig(Config):
    """A transformer's size."""

    width: int = Field(ge=8)
    """Channels of a token; a multiple of 32."""
    layers: int = Field(ge=1)
    """Its blocks."""

    @model_validator(mode="after")
    def _heads_fit(self) -> "TowerConfig":
        if self.width % 32:
            raise ValueError(f"width is {self.width}, no multiple of 32, the width of a head; change it")
        return self


class ClipConfig(Config):
    """The towers and what they are trained for."""

    text: TowerConfig
    """The text tower."""
    image: TowerConfig
    """The image tower."""
    image_size: int = Field(default=16, ge=8)
    """The side that images are resized to, well below the world's, as the originals see 768 pixels at 224."""
    patch_size: int = Field(default=2, ge=1)
    """The side of the squares that become the image tower's tokens."""
    embedding: int = Field(default=128, ge=8)
    """Dimensions of the space in which both towers meet."""
    naming: FitConfig
    """The first phase: the image tower learns to name what it sees."""
    rivals: int = Field(default=8, ge=1, le=MOST_RIVALS)
    """How many captions of a batch differ in the noun alone, group after group: among captions that differ in
    everything, style and colours suffice to find one's own."""
    fit: FitConfig
    """The second phase: both towers learn which caption belongs to a picture."""

    @model_validator(mode="after")
    def _patches_fit(self) -> "ClipConfig":
        if self.image_size % self.patch_size:
            raise ValueError(
                f"patch_size is {self.patch_size}, which does not divide image_size = {self.image_size}; "
                "change one of them"
            )
        return self


def make_clip(config: ClipConfig, resolution: int, place: Path) -> Artifact:
    """A trained CLIPModel with its tokenizer at `place`, as transformers saves them."""
    made_from = {
        "format": FORMAT,
        "resolution": resolution,
        "vocabulary": vocabulary.digest(),
        **config.model_dump(),
    }
    if ready := standing(place, "clip", made_from):
        return ready
    device = pick_device()
    with draft(place, made_from) as work:
        torch.manual_seed(config.fit.seed)
        tokenizer = build_tokenizer()
        model = build(config, tokenizer).to(device)  # pyright: ignore[reportArgumentType]
        model.set_attn_implementation("eager")  # in bf16 on a CPU, torch's own is slow
        seen, texts = PreprocessConfig(size=config.image_size), Texts("clip", tokenizer, CONTEXT)
        seconds = learn_names(
            "clip's names",
            model.vision_model,
            lambda pixels: model.vision_model(pixel_values=pixels).pooler_output,
            config.image.width,
            config.naming,
            ("clip", NAMED),
            resolution,
            seen,
            work.path,
        )

        def loss(batch: Batch) -> dict[str, Tensor]:
            pixels = preprocess(unit(batch.images.to(device)), seen)
            return contrastive_loss(model, pixels, texts.ids(batch.captions)[0].to(device))

        task = Task(
            name="clip",
            model=model,
            draw=lambda step: draw_rival_batch(
                "clip", step, config.fit.batch_size, resolution, config.rivals
            ),
            loss=loss,
        )
        seconds += fit(task, config.fit, work.path)
        model.half().float()  # what is measured is what is kept
        metrics = {"seconds": round(seconds, 1), **retrieval(model, texts, seen, resolution)}
        hide_library_bars()
        model.half().save_pretrained(work.path)
        tokenizer.save_pretrained(work.path)
        shutil.rmtree(work.path / FOLDER)
        (work.path / CHECKPOINT).unlink()  # last: it alone is dear
        return publish(work, place, "clip", made_from, {"files": digest_files(work.path)}, metrics)


def build(config: ClipConfig, tokenizer: "CLIPTokenizer") -> "CLIPModel":
    """A CLIPModel with random weights, whose special tokens are the tokenizer's."""
    from transformers import CLIPConfig, CLIPModel

    def tower(size: TowerConfig) -> dict[str, int | str]:
        return {
            "hidden_size": size.width,
            "intermediate_size": 4 * size.width,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.width // 32,
            "projection_dim": config.embedding,
            "hidden_act": "gelu",
        }

    text = tower(config.text) | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    image = tower(config.image) | {"image_size": config.image_size, "patch_size": config.patch_size}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=config.embedding))  # pyright: ignore[reportArgumentType]


def contrastive_loss(model: "CLIPModel", pixels: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """CLIP's: every caption finds its picture among the batch's, and every picture its caption."""
    images, texts = embed_images(model, pixels), embed_texts(model, ids)
    logits = model.logit_scale.exp().clamp(max=100) * images @ texts.T
    own = torch.arange(len(logits), device=logits.device)
    loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    return {"loss": loss, "right": (logits.argmax(1) == own).float().mean()}


@torch.no_grad()
def retrieval(model: "CLIPModel", texts: Texts, seen: PreprocessConfig, resolution: int) -> dict[str, float]:
    """How often a held-out picture finds its own caption among a hundred."""
    device = next(model.parameters()).device
    batch = draw_batch("figures", 1, MEASURED, resolution, held_out=True)
    images = embed_images(model, preprocess(unit(batch.images.to(device)), seen))
    captions = embed_texts(model, texts.ids(batch.captions)[0].to(device))
    right = [
        ((a @ b.T).argmax(1) == torch.arange(len(a), device=device)).float().mean()
        for a, b in zip(images.split(AMONG), captions.split(AMONG), strict=True)
    ]
    return {f"own_caption_among_{AMONG}": float(torch.stack(right).mean())}
