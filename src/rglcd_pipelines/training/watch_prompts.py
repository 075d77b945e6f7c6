"""The prompts of the watch: of a file, or captions of steps that nobody learns from. Free of torch."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_json
from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.training.watch_settings import WatchConfig

WHERE = "distill.watch.path"


def watch_prompts(config: WatchConfig, captions: Callable[[int], Sequence[str]], steps: int) -> list[str]:
    """As many as are asked for; without a file the `captions` of the steps that come after all `steps`."""
    if config.path is not None:
        return read_prompts(Path(config.path), config.prompts)
    found: list[str] = []
    step = steps
    while len(found) < config.prompts:
        found += captions(step)
        step += 1
    return found[: config.prompts]


def read_prompts(file: Path, count: int) -> list[str]:
    """So many of a file's, evenly spaced: what stands together in it may be alike."""
    found = _read(file)
    for number, text in enumerate(found, 1):
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{WHERE}: {file} has {json.dumps(text)[:40]} as prompt {number}, no string with words. "
                "Remove it."
            )
    if len(found) < count:
        raise DataError(
            f"{WHERE}: {file} holds {len(found)} prompts, and distill.watch.prompts asks for {count}. Lower "
            "that, or add prompts."
        )
    return [found[index * len(found) // count] for index in range(count)]


def prompts_identity(config: WatchConfig) -> dict[str, Any]:
    """Which prompts they are: those of a file by what they say; captions follow from the latents."""
    texts = None if config.path is None else digest_json(read_prompts(Path(config.path), config.prompts))
    return {"prompts": config.prompts, "texts": texts}


def _read(file: Path) -> list[Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{WHERE}: {file} cannot be read ({error.strerror}). Check the path.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{WHERE}: {file} is no JSON ({first_line(error)}). Make it a list of strings."
        ) from None
    if not isinstance(found, list) or not found:
        raise DataError(f"{WHERE}: {file} holds no list, or an empty one. Make it a list of strings.")
    return found
