"""Reward models in folders: what may be opened, and what is wrong with what cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rglcd_pipelines.errors import DataError, first_line

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def check_folder(folder: Path, what: str) -> None:
    """That `folder` holds a model's configuration and weights, in the one format that is opened."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Give one that holds {what}.")
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder}: holds no {CONFIG}, so it is no {what}. Check the path.")
    if not (folder / WEIGHTS).is_file():
        raise DataError(
            f"{folder}: holds no {WEIGHTS}; weights in other formats can run code when they are opened and "
            "are refused. Load them where you trust them and save them as safetensors."
        )


@contextmanager
def without_bars() -> Iterator[None]:
    """Inside, transformers draws no bar for each model that it loads."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


@contextmanager
def explain(folder: Path, what: str) -> Iterator[None]:
    """Whatever a library says of damaged files, as one sentence about the folder."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # what safetensors, tokenizers and transformers raise has no common base
        raise DataError(
            f"{folder}: the {what} cannot be loaded ({first_line(error)}). "
            "Its files are damaged or do not belong together: make or fetch them again."
        ) from None
