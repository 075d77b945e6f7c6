"""PickScore's recipe, in the transformers of its time, scores random weights: golden/pick.json.

The environment is that of imgrwd.py:
    /tmp/golden-imgrwd/bin/python scripts/golden/pick.py

PickScore has no package. Its model card scores with transformers' CLIPModel and CLIPProcessor, and so does
this.
"""

import gzip
import json
import tempfile
from pathlib import Path

import recipe
import torch
from common import images, package, tensors, write
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast


def tokenizer(folder: Path) -> CLIPTokenizerFast:
    """CLIP's, from the list of merges in the clip package."""
    packed = package("clip") / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(packed.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
    tokens = letters + [letter + "</w>" for letter in letters] + [pair.replace(" ", "") for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return CLIPTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = CLIPModel(CLIPConfig.from_dict(recipe.PICK)).eval()
        lacking = model.load_state_dict(tensors(recipe.transformers_clip(recipe.PICK)), strict=False)
        assert not lacking.unexpected_keys
        assert all(name.endswith("position_ids") for name in lacking.missing_keys)
        processor = CLIPProcessor(CLIPImageProcessor(), tokenizer(folder))
        pictures = [Image.open(path) for path in images(folder)]
        rest = {"padding": True, "truncation": True, "max_length": 77, "return_tensors": "pt"}
        seen = processor(images=pictures, **rest)
        read = processor(text=recipe.CAPTIONS, **rest)
        with torch.no_grad():
            eyes, words = model.get_image_features(**seen), model.get_text_features(**read)
            eyes, words = (each / each.norm(dim=-1, keepdim=True) for each in (eyes, words))
            scores = (model.logit_scale.exp() * words @ eyes.T).tolist()
    write("pick", "pick.py", ("transformers", "clip-anytorch", "torch"), {"224": scores})


if __name__ == "__main__":
    main()
