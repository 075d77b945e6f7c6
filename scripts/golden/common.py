"""What the scripts beside this file share: checkpoints of the recipe's weights, and a file of scores."""

import json
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import recipe
import torch
from PIL import Image

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "rewards" / "golden"


def tensors(shapes: recipe.Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in recipe.state(shapes)}


def images(folder: Path, side: int = 224) -> list[str]:
    """The recipe's pictures as PNG files, which is what the original packages open."""
    paths = []
    for index, pixels in enumerate(recipe.pictures(side)):
        path = folder / f"{side}-{index}.png"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
    return paths


def package(name: str) -> Path:
    """Where it is installed, without importing it."""
    found = find_spec(name)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def image_reward_package() -> Any:
    """image-reward without its trainer, which brings diffusers, accelerate and datasets along."""
    sys.modules["ImageReward.ReFL"] = ModuleType("ImageReward.ReFL")
    import ImageReward

    return ImageReward


def write(name: str, script: str, packages: Iterable[str], scores: Mapping[str, Any]) -> None:
    """Scores beside what they were made with; those of other runs of the script stay."""
    file = GOLDEN / f"{name}.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    made_with = {"python": platform.python_version()} | {each: version(each) for each in packages}
    told = {"made_by": f"scripts/golden/{script}", "made_with": made_with}
    kept = {**before.get("scores", {}), **scores}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**told, "scores": kept}, indent=1) + "\n")
    print(file, json.dumps(scores))
