"""The one progress bar of a stage: how fast, and how much time is left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

QUIET_SECONDS = 15.0
"""Between two lines where the bar cannot overwrite itself, as in a log file."""


@contextmanager
def progress_bar(
    description: str, total: int | None, done: int = 0, shown: bool = True
) -> Iterator["tqdm[NoReturn]"]:
    """A bar over images, of which `done` were finished by an earlier run; log lines appear above it."""
    live = sys.stderr.isatty()
    with (
        logging_redirect_tqdm(),
        tqdm(
            desc=description,
            total=total,
            initial=done,
            unit=" images",
            smoothing=0.05,
            mininterval=0.2 if live else QUIET_SECONDS,
            dynamic_ncols=live,
            disable=not shown,
        ) as bar,
    ):
        yield bar


def hide_library_bars() -> None:
    """Loading and saving a small model takes less time than reading the libraries' bars about it."""
    for library in ("diffusers", "transformers"):
        import_module(f"{library}.utils.logging").disable_progress_bar()
