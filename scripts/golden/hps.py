"""HPSv2's own package scores random weights: tests/rewards/golden/hps.json.

    uv venv --python 3.11 /tmp/golden-hps
    VIRTUAL_ENV=/tmp/golden-hps uv pip install --no-deps hpsv2==1.2.0
    VIRTUAL_ENV=/tmp/golden-hps uv pip install torch==2.13.0 torchvision==0.28.0 open_clip_torch==3.3.0 \
        numpy==2.4.6 regex ftfy tqdm 'huggingface-hub<1' timm==1.0.15 requests clint braceexpand webdataset \
        pandas 'protobuf<4' setuptools
    /tmp/golden-hps/bin/python scripts/golden/hps.py [--full]

With --full, the model has its full size, and 8 GB of memory are needed.
"""

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import recipe
import torch
from common import images, package, tensors, write

FULL = "--full" in sys.argv


def bring_vocabulary() -> None:
    """The package needs the list of merges and was published without it; open_clip's is the same."""
    name = "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(package("open_clip") / name, package("hpsv2") / "src" / "open_clip" / name)


def main() -> None:
    bring_vocabulary()
    from hpsv2 import img_score
    from hpsv2.src.open_clip import factory, transform

    architecture = recipe.HPS_FULL if FULL else recipe.HPS
    factory._MODEL_CONFIGS["ViT-H-14"] = architecture
    made = img_score.create_model_and_transforms
    # It would fetch CLIP's own weights first, all of which the checkpoint replaces.
    img_score.create_model_and_transforms = lambda name, _, **rest: made(name, None, **rest)
    resize = transform.F.resize
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "HPS.pt"
        torch.save({"state_dict": tensors(recipe.open_clip(architecture))}, checkpoint)

        def score(side: int, captions: list[str]) -> list[list[float]]:
            paths = images(Path(folder), side)
            rows = [img_score.score(paths, caption, cp=str(checkpoint)) for caption in captions]
            return [[float(score) for score in row] for row in rows]

        if FULL:
            # The checkpoint is read for each caption again, and need not be in memory beside the model.
            torch.load = partial(torch.load, mmap=True)
            scores["full"] = score(224, recipe.CAPTIONS[:2])
        else:
            scores["224"] = score(224, recipe.CAPTIONS)
            # It resizes tensors: torchvision 0.17 and later with antialiasing, those of its time without.
            for name, antialias in (("320 antialiased", True), ("320 plain", False)):
                transform.F.resize = partial(resize, antialias=antialias)
                scores[name] = score(320, recipe.CAPTIONS)
    write("hps", "hps.py", ("hpsv2", "torch", "torchvision"), scores)


if __name__ == "__main__":
    main()
