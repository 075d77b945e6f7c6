"""What a training tells while it runs: whoever trains tells it, whoever wants to draw it listens.

The rooms know no tracker; the hooks listen on their behalf and pass figures and pictures on to MLflow.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from PIL import Image

Listener = Callable[[str, int, Mapping[str, float]], None]
"""Takes the name of what is trained, the step, and the figures of that step."""

Viewer = Callable[[str, int, Image.Image], None]
"""Takes the name of a picture, the step, and the picture as it is at that step."""

_listeners: list[Listener] = []
_viewers: list[Viewer] = []


def tell(name: str, step: int, figures: Mapping[str, float]) -> None:
    for listener in _listeners:
        listener(name, step, figures)


def show(name: str, step: int, picture: Image.Image) -> None:
    """A picture that changes as the training goes on, such as a grid of samples."""
    for viewer in _viewers:
        viewer(name, step, picture)


@contextmanager
def listening(listener: Listener, viewer: Viewer | None = None) -> Iterator[None]:
    _listeners.append(listener)
    if viewer is not None:
        _viewers.append(viewer)
    try:
        yield
    finally:
        _listeners.remove(listener)
        if viewer is not None:
            _viewers.remove(viewer)
