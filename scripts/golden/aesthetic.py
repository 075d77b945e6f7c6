"""The aesthetic predictor, as image-reward carries it, scores random weights: golden/aesthetic.json.

The environment is that of imgrwd.py:
    /tmp/golden-imgrwd/bin/python scripts/golden/aesthetic.py

It sees through OpenAI's own CLIP (clip-anytorch is that code as a package).
"""

import tempfile
from pathlib import Path

import recipe
import torch
from common import image_reward_package, images, tensors, write


def main() -> None:
    image_reward_package()
    import clip
    from ImageReward.models.AestheticScore import AestheticScore

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = tensors(recipe.open_clip(recipe.AESTHETIC_CLIP))
        torch.save(weights, folder / "clip.pt")
        load = clip.load
        # Where a file is named instead of a model, it is read in place of the download.
        clip.load = lambda _, device, **__: load(str(folder / "clip.pt"), device=device, jit=False)
        model = AestheticScore(download_root=name, device="cpu").eval()
        model.clip_model.load_state_dict(weights, strict=True)
        model.mlp.load_state_dict(tensors(recipe.head("", 768)), strict=True)
        with torch.no_grad():
            scores = [model.score("", path) for path in images(folder)]
    write(
        "aesthetic",
        "aesthetic.py",
        ("image-reward", "clip-anytorch", "torch", "torchvision"),
        {"224": scores},
    )


if __name__ == "__main__":
    main()
