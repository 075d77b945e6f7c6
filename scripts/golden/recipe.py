"""Pictures, captions and random weights that come out the same everywhere, for whoever scores them.

The scripts beside this file run it where the original packages are installed, and the tests run it here: so
it needs numpy alone, of any version, and no Python younger than 3.9.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

CAPTIONS = [
    "a photo of a red cat",
    "Tom &amp; Jerry's “café”,  ½ PRICE — 日本 🎨 isn't it?",
    "an endless caption of many words, " * 20,
    "x",
]

Shapes = Mapping[str, tuple[int, ...]]


def pictures(side: int = 224, count: int = 3) -> np.ndarray:
    """[count, side, side, 3] in 0...255: waves of every length, each picture another, with grain."""
    rows, columns = np.meshgrid(np.arange(side) / side, np.arange(side) / side, indexing="ij")
    random = np.random.RandomState(side)
    made = []
    for index in range(count):
        channels = []
        for channel in range(3):
            across, down, shift = random.uniform(1, 12, 3)
            wave = np.sin(2 * np.pi * (across * columns + down * rows + shift)) * (index + 1) / count
            grain = 12 * random.standard_normal(wave.shape)
            channels.append(127.5 + 80 * wave + 20 * channel * (index - 1) + grain)
        made.append(np.stack(channels, -1))
    return np.clip(np.stack(made), 0, 255).astype(np.uint8)


def state(shapes: Shapes) -> Iterator[tuple[str, np.ndarray]]:
    """A weight for each name, drawn from the name alone."""
    for name, shape in shapes.items():
        random = np.random.RandomState(zlib.crc32(name.encode()))
        values = random.standard_normal(shape)
        if name == "logit_scale":
            values = np.full(shape, 4.6052)  # as trained ones have it: times a hundred
        elif len(shape) < 2 and name.endswith("weight"):  # of a layer norm
            values = 1 + 0.1 * values
        elif len(shape) < 2:
            values = 0.1 * values
        else:
            values = values * 1.5 / np.sqrt(np.prod(shape[1:]))
        yield name, np.asarray(values, np.float32)


HPS: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 160, "head_width": 80, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2},
}
"""open_clip's ViT-H-14, narrower and of fewer layers."""

HPS_FULL: dict[str, Any] = {
    "embed_dim": 1024,
    "vision_cfg": {"image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24},
}
"""open_clip's ViT-H-14."""

AESTHETIC_CLIP: dict[str, Any] = {
    "embed_dim": 768,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 128, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
"""OpenAI's ViT-L/14, narrower and of fewer layers, but for its embedding."""


def open_clip(architecture: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """What OpenAI and open_clip after it call a CLIP's weights."""
    vision, text, meeting = architecture["vision_cfg"], architecture["text_cfg"], architecture["embed_dim"]
    seen, read = vision["width"], text["width"]
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (text["context_length"], read),
        "text_projection": (read, meeting),
        "logit_scale": (),
        "visual.class_embedding": (seen,),
        "visual.positional_embedding": (tokens, seen),
        "visual.proj": (seen, meeting),
        "visual.conv1.weight": (seen, 3, vision["patch_size"], vision["patch_size"]),
        "token_embedding.weight": (text["vocab_size"], read),
        **_norm("visual.ln_pre", seen),
        **_norm("visual.ln_post", seen),
        **_norm("ln_final", read),
    }
    for tower, width, layers in (("visual.", seen, vision["layers"]), ("", read, text["layers"])):
        for layer in range(layers):
            block = f"{tower}transformer.resblocks.{layer}"
            shapes |= {
                f"{block}.attn.in_proj_weight": (3 * width, width),
                f"{block}.attn.in_proj_bias": (3 * width,),
                **_linear(f"{block}.attn.out_proj", width, width),
                **_norm(f"{block}.ln_1", width),
                **_linear(f"{block}.mlp.c_fc", width, 4 * width),
                **_linear(f"{block}.mlp.c_proj", 4 * width, width),
                **_norm(f"{block}.ln_2", width),
            }
    return shapes


PICK: dict[str, Any] = {
    "architectures": ["CLIPModel"],
    "model_type": "clip",
    "logit_scale_init_value": 2.6592,
    "projection_dim": 64,
    "text_config": {
        "model_type": "clip_text_model",
        "hidden_act": "gelu",
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "max_position_embeddings": 77,
        "vocab_size": 49408,
        "bos_token_id": 0,  # as the published ones have them, which are not the tokenizer's
        "eos_token_id": 2,
        "pad_token_id": 1,
        "projection_dim": 64,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_act": "gelu",
        "hidden_size": 160,
        "intermediate_size": 640,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 64,
    },
}
"""The config.json of PickScore, narrower and of fewer layers."""


def transformers_clip(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """What transformers calls a CLIP's weights."""
    vision, text, meeting = config["vision_config"], config["text_config"], config["projection_dim"]
    seen, read, patch = vision["hidden_size"], text["hidden_size"], vision["patch_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "text_model.embeddings.token_embedding.weight": (text["vocab_size"], read),
        "text_model.embeddings.position_embedding.weight": (text["max_position_embeddings"], read),
        "vision_model.embeddings.class_embedding": (seen,),
        "vision_model.embeddings.patch_embedding.weight": (seen, 3, patch, patch),
        "vision_model.embeddings.position_embedding.weight": ((vision["image_size"] // patch) ** 2 + 1, seen),
        "visual_projection.weight": (meeting, seen),
        "text_projection.weight": (meeting, read),
        **_norm("text_model.final_layer_norm", read),
        **_norm("vision_model.pre_layrnorm", seen),
        **_norm("vision_model.post_layernorm", seen),
    }
    for tower, part in (("text_model", text), ("vision_model", vision)):
        width, inside = part["hidden_size"], part["intermediate_size"]
        for layer in range(part["num_hidden_layers"]):
            block = f"{tower}.encoder.layers.{layer}"
            for each in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes |= _linear(f"{block}.self_attn.{each}", width, width)
            shapes |= _linear(f"{block}.mlp.fc1", width, inside) | _linear(f"{block}.mlp.fc2", inside, width)
            shapes |= _norm(f"{block}.layer_norm1", width) | _norm(f"{block}.layer_norm2", width)
    return shapes


IMAGE_REWARD: dict[str, Any] = {
    "vision": {"width": 128, "layers": 2, "heads": 2, "image_size": 224, "patch_size": 16},
    "text": {
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 1,
        "pad_token_id": 0,
        "add_type_embeddings": False,
        "vocab_size": 30524,
        "encoder_width": 128,
        "add_cross_attention": True,
    },
}
"""The image tower, narrower and of fewer layers, and its med_config.json, whose width the head insists on."""

IMAGE_REWARD_FULL: dict[str, Any] = {
    "vision": {"width": 1024, "layers": 24, "heads": 16, "image_size": 224, "patch_size": 16},
    "text": {**IMAGE_REWARD["text"], "num_hidden_layers": 12, "encoder_width": 1024},
}
"""The same in full: ViT-L/16 and BERT base."""


def image_reward(sizes: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """What ImageReward calls its weights; those that no score depends on are there too."""
    vision, text = sizes["vision"], sizes["text"]
    seen, read, patch = vision["width"], text["hidden_size"], vision["patch_size"]
    eyes, reader = "blip.visual_encoder", "blip.text_encoder"
    shapes: dict[str, tuple[int, ...]] = {
        f"{eyes}.cls_token": (1, 1, seen),
        f"{eyes}.pos_embed": (1, (vision["image_size"] // patch) ** 2 + 1, seen),
        f"{eyes}.patch_embed.proj.weight": (seen, 3, patch, patch),
        f"{eyes}.patch_embed.proj.bias": (seen,),
        **_norm(f"{eyes}.norm", seen),
        f"{reader}.embeddings.word_embeddings.weight": (text["vocab_size"], read),
        f"{reader}.embeddings.position_embeddings.weight": (text["max_position_embeddings"], read),
        **_norm(f"{reader}.embeddings.LayerNorm", read),
        **_linear("blip.vision_proj", seen, 256),
        **_linear("blip.text_proj", read, 256),
        **head("mlp.", read),
    }
    for layer in range(vision["layers"]):
        block = f"{eyes}.blocks.{layer}"
        shapes |= _norm(f"{block}.norm1", seen) | _norm(f"{block}.norm2", seen)
        shapes |= _linear(f"{block}.attn.qkv", seen, 3 * seen) | _linear(f"{block}.attn.proj", seen, seen)
        shapes |= _linear(f"{block}.mlp.fc1", seen, 4 * seen) | _linear(f"{block}.mlp.fc2", 4 * seen, seen)
    for layer in range(text["num_hidden_layers"]):
        block = f"{reader}.encoder.layer.{layer}"
        for attention, source in (("attention", read), ("crossattention", seen)):
            shapes |= _linear(f"{block}.{attention}.self.query", read, read)
            shapes |= _linear(f"{block}.{attention}.self.key", source, read)
            shapes |= _linear(f"{block}.{attention}.self.value", source, read)
            shapes |= _linear(f"{block}.{attention}.output.dense", read, read)
            shapes |= _norm(f"{block}.{attention}.output.LayerNorm", read)
        shapes |= _linear(f"{block}.intermediate.dense", read, text["intermediate_size"])
        shapes |= _linear(f"{block}.output.dense", text["intermediate_size"], read)
        shapes |= _norm(f"{block}.output.LayerNorm", read)
    return shapes


def bert_tokens() -> list[str]:
    """30522 tokens laid out as bert-base-uncased has them: marks at its places, letters, parts, words."""
    tokens = ["[PAD]", *(f"[unused{index}]" for index in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [f"[unused{index}]" for index in range(99, 994)]
    letters = [chr(code) for code in (*range(33, 65), *range(91, 127), *range(161, 256))]
    tokens += [*letters, "’", "“", "”", "—", "日", "本"]
    tokens += [f"##{letter}" for letter in letters if letter.isalnum()]
    tokens += ["photo", "of", "red", "cat", "caption", "many", "word", "##s", "end", "##less", "price", "isn"]
    tokens = list(dict.fromkeys(tokens))
    return tokens + [f"filler{index}" for index in range(30522 - len(tokens))]


HEAD = [1024, 128, 64, 16, 1]


def head(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    """Five linear layers with dropout between them, as the aesthetic predictor and ImageReward have."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, index in enumerate((0, 2, 4, 6, 7)):
        shapes |= _linear(f"{prefix}layers.{index}", [width, *HEAD][place], HEAD[place])
    return shapes


def _linear(name: str, before: int, after: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
