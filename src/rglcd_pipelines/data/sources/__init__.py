"""Where pairs come from: shards that exist, shards of a hub repository, or URLs to download."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class Source(Protocol):
    """Somewhere that gives webdataset shards, in an order that never changes."""

    def identity(self) -> dict[str, Any]:
        """What the shards depend on, as plain JSON: equal identities give equal shards. Cheap to ask."""
        ...

    def shards(self) -> Iterator[Path]:
        """Local tar files in order; each is made or fetched only when it is asked for."""
        ...

    def expected(self) -> int | None:
        """How many samples the shards hold in all, where that is known beforehand."""
        ...

    def losses(self) -> dict[str, int]:
        """After the last shard: how many pairs never reached a shard, by reason (a dead URL, say)."""
        ...
