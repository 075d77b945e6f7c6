"""The endless stream of shuffled latents that training draws its batches from.

There is one global sequence: the permutation of epoch 0, then that of epoch 1, and so on. The ranks take
their batches from it side by side, so nothing is lost or repeated at an epoch's end or for any number of
ranks; and a place in it is one number, which a run may take up again with another number of ranks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rglcd_pipelines.data.latents.reader import LatentBatch, LatentReader
from rglcd_pipelines.errors import DataError


def permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `n` samples in an epoch.

    By sorting random keys: numpy promises that PCG64's bits stay the same in its later versions, which it
    does not for `Generator.permutation`, and a run must be able to resume after an update.
    """
    keys = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(n)
    return np.argsort(keys, kind="stable")


class LatentStream:
    """One rank's batches, without end; `position` is how much of the global sequence all ranks have taken."""

    def __init__(
        self,
        reader: LatentReader,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        position: int = 0,
    ) -> None:
        """`batch_size` is that of each rank."""
        if batch_size < 1 or position < 0 or not 0 <= rank < world_size:
            raise ValueError(f"{batch_size=}, {position=}, {rank=} of {world_size=}")
        if len(reader) < batch_size * world_size:
            raise DataError(
                f"{reader.artifact.path}: {len(reader)} latents are fewer than a batch of {batch_size} "
                f"on each of {world_size} ranks. Make the batch smaller, or encode more pairs."
            )
        self.reader = reader
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = position
        self._latents = reader.artifact.digest
        self._drawn: tuple[int, np.ndarray] | None = None

    def __iter__(self) -> Iterator[LatentBatch]:
        return self

    def __next__(self) -> LatentBatch:
        start = self.position + self.rank * self.batch_size
        batch = self.reader.batch(self.taken(start, start + self.batch_size))
        self.position += self.batch_size * self.world_size
        return batch

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain JSON; the same on every rank."""
        return {
            "seed": self.seed,
            "position": self.position,
            "samples": len(self.reader),
            "latents": self._latents,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken; it must be of the same latents and seed."""
        here = self.state()
        differ = [
            f"{name} {state.get(name)!r}, not {here[name]!r}"
            for name in ("seed", "samples", "latents")
            if state.get(name) != here[name]
        ]
        if differ:
            raise DataError(
                f"{self.reader.artifact.path}: the state to resume from was made with {'; '.join(differ)}. "
                "Put the setting or the latents back, or start a new run."
            )
        self.position = int(state["position"])

    def taken(self, start: int, stop: int) -> np.ndarray:
        """The samples at places `start` to `stop` of the global sequence, two epochs' at most."""
        samples = len(self.reader)
        epoch, offset = divmod(start, samples)
        taken = self._order(epoch)[offset : offset + stop - start]
        if len(taken) < stop - start:
            taken = np.concatenate([taken, self._order(epoch + 1)[: stop - start - len(taken)]])
        return taken

    def _order(self, epoch: int) -> np.ndarray:
        """The order of an epoch; only the latest is kept, since places are asked for in sequence."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = (epoch, permutation(len(self.reader), self.seed, epoch))
        return self._drawn[1]
