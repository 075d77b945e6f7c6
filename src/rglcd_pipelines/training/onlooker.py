"""Who looks at what learns now and then, as the loop knows it."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class Onlooker(Protocol):
    """It may end the training."""

    ended: bool
    """Whether it did, as all processes know."""

    def due(self, step: int, last: bool) -> bool:
        """Whether it is time for a look after `step` steps, the `last` or not, and there was none yet."""
        ...

    def look(self, step: int) -> None:
        """Look; all processes ask."""
        ...

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What it keeps, as a checkpoint has it."""
        ...

    def state(self) -> dict[str, Any]:
        """What else it knows, as plain JSON."""
        ...

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """The way back."""
        ...

    def begin(self) -> None:
        """Write what is known before the first step; only the first process does."""
        ...


class Nobody:
    """An onlooker that never looks."""

    ended = False

    def due(self, step: int, last: bool) -> bool:  # noqa: ARG002
        return False

    def look(self, step: int) -> None: ...

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None: ...

    def begin(self) -> None: ...
