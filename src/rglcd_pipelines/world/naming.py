"""What an image tower learns first: to name what a picture shows, one attribute after the other.

Between two towers that both know nothing, no noun is learnt in the time that there is: the image tower gets
no hint which shapes matter before the text tower knows which words do, and the other way round.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rglcd_pipelines.rewards.preprocess import PreprocessConfig, preprocess
from rglcd_pipelines.training.fit import FitConfig, Task, fit
from rglcd_pipelines.world.batches import draw_batch, labels, unit
from rglcd_pipelines.world.vocabulary import ATTRIBUTES

Drawn = tuple[Tensor, dict[str, Tensor]]

FOLDER = "naming"
"""Where the phase keeps its checkpoint."""


class Namer(nn.Module):
    """An image tower with a linear layer for each attribute, which only this phase needs."""

    def __init__(self, tower: nn.Module, look: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.tower, self.look = tower, look
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, len(values)) for name, values in ATTRIBUTES.items()}
        )

    def loss(self, pixels: Tensor, truth: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sum of every attribute's cross entropy."""
        looked = self.look(pixels)
        named = {name: head(looked).float() for name, head in self.heads.items()}
        terms = [F.cross_entropy(logits, truth[name]) for name, logits in named.items()]
        right = (named["noun"].argmax(1) == truth["noun"]).float().mean()
        return {"loss": torch.stack(terms).sum(), "nouns": right}


def learn_names(
    name: str,
    tower: nn.Module,
    look: Callable[[Tensor], Tensor],
    width: int,
    config: FitConfig,
    supply: tuple[str, int],
    resolution: int,
    seen: PreprocessConfig,
    folder: Path,
) -> float:
    """Train `tower`, whose `look` gives `width` channels of preprocessed pictures; the seconds that it took.

    Pictures come from the supply of that name, from that block on.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    who, block = supply
    device = next(tower.parameters()).device
    torch.manual_seed(config.seed)
    namer = Namer(tower, look, width).to(device)

    def draw(step: int) -> Drawn:
        batch = draw_batch(who, block + step, config.batch_size, resolution)
        return preprocess(unit(batch.images), seen), labels(batch.scenes)

    def loss(drawn: Drawn) -> dict[str, Tensor]:
        pixels, truth = drawn
        return namer.loss(pixels.to(device), {key: value.to(device) for key, value in truth.items()})

    return fit(Task(name, namer, draw, loss), config, folder / FOLDER)
