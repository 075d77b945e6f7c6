"""One prompt, with the noise that every model starts from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """What one picture is drawn from."""

    key: str
    """Unique among all sets, such as hpsv2/anime/00012; of a-z, 0-9, _, - and / alone."""
    set: str
    """The set's name in the settings."""
    group: str
    """A style of HPSv2, a category of PartiPrompts; empty where there are none."""
    text: str
    seed: int
    """Of its noise: the same for every model, and the same whichever other prompts there are."""
    repeat: int = 0
    """0, or how many pictures of the same text came before this one, each from other noise."""
