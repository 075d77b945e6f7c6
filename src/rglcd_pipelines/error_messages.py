"""How errors reach the person at the command line: those that one can put right come without a traceback."""

import sys
from collections.abc import Callable
from types import TracebackType

from rglcd_pipelines.errors import RglcdError

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def install() -> None:
    """Print such errors as they stand from now on, and leave all others to the hook that was there."""
    if not isinstance(sys.excepthook, _Teller):
        sys.excepthook = _Teller(sys.excepthook)


class _Teller:
    def __init__(self, otherwise: Hook) -> None:
        self._otherwise = otherwise

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        message = _message(error)
        if message is None:
            self._otherwise(kind, error, traceback)
        else:
            print(f"\nerror: {message}", file=sys.stderr)


def _message(error: BaseException | None) -> str | None:
    """The first error in the chain of causes that is meant for the user, or that Kedro words well enough."""
    import yaml

    while error is not None:
        if isinstance(error, RglcdError | yaml.YAMLError):
            return str(error)
        if isinstance(error, ValueError) and str(error).startswith("Failed to find the pipeline named"):
            return str(error)
        error = error.__cause__
    return None
