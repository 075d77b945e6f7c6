"""ImageReward's own package scores random weights: tests/rewards/golden/imgrwd.json.

    uv venv --python 3.11 /tmp/golden-imgrwd
    VIRTUAL_ENV=/tmp/golden-imgrwd uv pip install --no-deps image-reward==1.5 clip-anytorch==2.6.0 \
        timm==0.6.13 transformers==4.27.4 fairscale==0.4.13
    VIRTUAL_ENV=/tmp/golden-imgrwd uv pip install torch==2.13.0 torchvision==0.28.0 numpy==1.26.4 \
        huggingface-hub==0.16.4 tokenizers==0.13.3 regex requests filelock packaging pyyaml tqdm ftfy \
        safetensors setuptools==69.5.1 pillow==11.3.0
    /tmp/golden-imgrwd/bin/python scripts/golden/imgrwd.py [--full]

With --full, the model has its full size, and 6 GB of memory are needed.
"""

import json
import sys
import tempfile
from pathlib import Path

import recipe
import torch
from common import image_reward_package, images, tensors, write

FULL = "--full" in sys.argv


def main() -> None:
    package = image_reward_package()
    from ImageReward.models.BLIP import blip, blip_pretrain

    sizes = recipe.IMAGE_REWARD_FULL if FULL else recipe.IMAGE_REWARD
    vision = sizes["vision"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "vocab.txt").write_text("\n".join(recipe.bert_tokens()) + "\n", encoding="utf-8")
        (folder / "med_config.json").write_text(json.dumps(sizes["text"]))
        state = tensors(recipe.image_reward(sizes))
        positions = torch.arange(sizes["text"]["max_position_embeddings"])[None]
        state["blip.text_encoder.embeddings.position_ids"] = positions
        torch.save(state, folder / "ImageReward.pt")

        tokenizer = blip.BertTokenizer
        # The package asks the hub for bert-base-uncased by name.
        blip.BertTokenizer = type(
            "Local", (), {"from_pretrained": staticmethod(lambda _: tokenizer.from_pretrained(str(folder)))}
        )
        if not FULL:
            blip_pretrain.create_vit = lambda *_: (
                blip.VisionTransformer(
                    img_size=vision["image_size"],
                    patch_size=vision["patch_size"],
                    embed_dim=vision["width"],
                    depth=vision["layers"],
                    num_heads=vision["heads"],
                ),
                vision["width"],
            )
        checkpoint, med = str(folder / "ImageReward.pt"), str(folder / "med_config.json")
        model = package.load(checkpoint, device="cpu", med_config=med)
        # It loads what fits and says nothing of the rest.
        model.load_state_dict(torch.load(checkpoint), strict=True)
        paths = images(folder)
        with torch.no_grad():
            scores = [[model.score(caption, path) for path in paths] for caption in recipe.CAPTIONS]
    packages = ("image-reward", "transformers", "timm", "torch", "torchvision")
    write("imgrwd", "imgrwd.py", packages, {"full" if FULL else "224": scores})


if __name__ == "__main__":
    main()
