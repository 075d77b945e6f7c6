"""What of a machine, or of a cluster, draws and scores."""

from typing import Literal, NamedTuple

from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.evaluation.generate.settings import DrawConfig


class Machine(NamedTuple):
    """Where the work is done, and by how many."""

    device: Literal["cpu", "cuda"]
    workers: int


def machine(config: DrawConfig, gpus: int) -> Machine:
    """The settings, with every `auto` and null replaced by what the engine has."""
    if config.device == "cuda" and not gpus:
        raise ConfigError("evaluate.draw.device: is cuda, but there is no GPU here. Set it to auto or cpu.")
    on_gpu = gpus > 0 and config.device != "cpu"
    if on_gpu and (config.workers or 1) > gpus:
        raise ConfigError(
            f"evaluate.draw.workers: is {config.workers}, but each takes a GPU and there are {gpus}. "
            "Set it to null."
        )
    return Machine("cuda" if on_gpu else "cpu", config.workers or (gpus if on_gpu else 1))
