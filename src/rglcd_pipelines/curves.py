"""Figures of a training while it runs: whoever trains tells them, whoever wants to draw them listens.

The rooms know no tracker; the hooks listen on their behalf and pass the figures on to MLflow.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Listener = Callable[[str, int, Mapping[str, float]], None]
"""Takes the name of what is trained, the step, and the figures of that step."""

_listeners: list[Listener] = []


def tell(name: str, step: int, figures: Mapping[str, float]) -> None:
    for listener in _listeners:
        listener(name, step, figures)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
