"""Training and held-out pairs are drawn apart; half of the held-out ones show what no training pair can."""

from dataclasses import dataclass

from rglcd_pipelines.world.batches import SUPPLIES
from rglcd_pipelines.world.scenes import Scene, draw_scenes

EARLY = 500_000
"""The block of the supply from which the teacher's captions come, beyond the blocks of the other pairs."""

MATCHING = 1_000_000
"""The first block for whoever wants more scenes than the pairs show."""

NAMING = 2_000_000
"""The first block for whoever only names what a scene shows."""

SECOND = 10_000_000
"""How far the blocks of the held-out split are from those of training."""


@dataclass(frozen=True)
class Split:
    """Pairs to learn from, or pairs to measure with."""

    name: str
    number: int
    held_out: bool

    def scenes(self, block: int, count: int) -> list[Scene]:
        """One block's scenes; every other one of the held-out split is of a held-out noun and colour."""
        supply = SUPPLIES["preferences"]
        if not self.held_out:
            return draw_scenes(supply, block, count)
        known, unknown = (draw_scenes(supply, SECOND + block, count, held_out) for held_out in (False, True))
        return [(unknown if index % 2 else known)[index] for index in range(count)]

    def early_scenes(self, count: int) -> list[Scene]:
        return self.scenes(EARLY, count)


TRAIN = Split("train", 0, held_out=False)
HELD_OUT = Split("held_out", 1, held_out=True)
