"""Files with as many prompts as the published ones have, in their forms."""

import json
from pathlib import Path

HPSV2 = {
    f"{style}.json": json.dumps([f"{style} {number}" for number in range(800)]).encode()
    for style in ("anime", "concept-art", "paintings", "photo")
}
CATEGORIES = ("Food & Beverage", "Animals", "Produce & Plants", "Abstract")


def partiprompts(rows: int = 1_632) -> bytes:
    """Some prompts begin with quotation marks that quote no field; some are there twice."""
    lines = ["Prompt\tCategory\tChallenge\tNote"]
    for number in range(rows):
        prompt = '"G I G G L E" painted on a wall' if number % 400 == 7 else f"a thing, number {number} "
        lines.append(f"{prompt}\t{CATEGORIES[number % 4]}\tBasic\t")
    return ("\n".join(lines) + "\n").encode()


def drawbench(rows: int = 200) -> bytes:
    lines = ["Prompts,Category"]
    lines += [f'"A car, number {number}.",{("Colors", "Counting")[number % 2]}' for number in range(rows)]
    return "\r\n".join(lines).encode()


def coco(images: int = 40_504) -> bytes:
    """Two captions of each image, the later one first; one ends in a line break."""
    annotations = [
        {"image_id": 3 * image + 1, "id": 10 * image + later, "caption": f"caption {image}.{later}\n"}
        for image in reversed(range(images))
        for later in (1, 0)
    ]
    return json.dumps({"info": {}, "images": [], "annotations": annotations}).encode()


def write_hpsv2(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in HPSV2.items():
        (folder / name).write_bytes(content)
    return folder
