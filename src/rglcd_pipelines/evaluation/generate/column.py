"""How pictures are drawn: one column of a model's samples."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A name stands for one in tables and folders: "4", or "ddim-50"."""

    steps: int
    nfe: int
    """How often the network is asked for one picture; guidance of a teacher asks twice a step."""
    sampler: str
    """lcm, ddim or dpm."""
