"""What an expert says of real images, kept for all steps, epochs and students that ask it again."""

import os
from pathlib import Path

import numpy as np

from rglcd_pipelines.artifacts import atomic_file, explain_full_disk
from rglcd_pipelines.errors import DataError


class RealRewards:
    """A file with a number for each latent, which is none until the expert was asked.

    Four aligned bytes are written at once or not at all, so that a killed run leaves no half number, and
    processes may share the file: whoever comes second finds what the first wrote, or writes the same again.
    """

    def __init__(self, file: Path, count: int) -> None:
        self.file, self.count = file, count
        if not file.is_file():
            with explain_full_disk(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                own = file.with_name(f"{file.name}.{os.getpid()}")  # another run may begin in this moment
                with atomic_file(own) as opened:
                    for start in range(0, count, 2**20):
                        opened.write(np.full(min(2**20, count - start), np.nan, np.float32).tobytes())
                own.replace(file)
        if (size := file.stat().st_size) != 4 * count:
            raise DataError(
                f"{file}: has {size} bytes instead of {4 * count}. Remove it; it is filled again."
            )
        self._kept = np.memmap(file, np.float32, "r+", shape=(count,))

    def known(self, indices: np.ndarray) -> np.ndarray | None:
        """The rewards of some latents, if that of each is there.

        All or none: with what else a picture is scored changes the last bits of its score, and a run that
        was killed must find what one that never was computes.
        """
        found = np.array(self._kept[indices])
        return None if np.isnan(found).any() else found

    def keep(self, indices: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """Fill in what is not known, and say what then is: whoever was first is right."""
        found = self._kept[indices]
        found = np.where(np.isnan(found), rewards.astype(np.float32), found)
        self._kept[indices] = found
        return found
