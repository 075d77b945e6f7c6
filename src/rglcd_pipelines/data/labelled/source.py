"""What a labelled set is to those who read it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rglcd_pipelines.data.labelled.settings import LabelledConfig


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image and its class."""

    name: str
    """Which one of its set, the same on every machine."""
    place: str
    """Where it is, for messages."""
    image: bytes
    """Encoded, and not yet looked at."""
    label: int


class LabelledSource(Protocol):
    """Somewhere that gives labelled images, in an order that never changes."""

    def identity(self) -> dict[str, Any]:
        """What the images depend on, as plain JSON: equal identities give equal images. Cheap to ask."""
        ...

    def classes(self) -> int | None:
        """How many classes there are, where more than the labels say so."""
        ...

    def expected(self) -> int | None:
        """How many images there are, where that is known beforehand."""
        ...

    def samples(self, first: int = 0) -> Iterator[Labelled]:
        """The images, from number `first` on."""
        ...


def open_source(config: LabelledConfig, hub: Path) -> LabelledSource:
    """The folder or the shards that `config` names; what is downloaded goes to `hub`.

    The world's own set is the world's to open.
    """
    if config.source == "folder":
        from rglcd_pipelines.data.labelled.folder import FolderSource

        assert config.path is not None
        return FolderSource(Path(config.path), config.per_class)
    from rglcd_pipelines.data.labelled.tars import TarsSource

    assert config.shards is not None
    return TarsSource(config.shards, hub, config.per_class)
