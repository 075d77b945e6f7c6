"""Students: the network that learns, and the one that it is held against."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from rglcd_pipelines.diffusion.consistency import follow, parameters_of
from rglcd_pipelines.diffusion.guidance import with_omega
from rglcd_pipelines.diffusion.teacher import plain_attention
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.training.settings import DistillConfig

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


class Student(Protocol):
    """f_theta and f_{theta^-} of Algorithm 3."""

    online: nn.Module
    """f_theta: called as a UNet is."""
    target: nn.Module
    """f_{theta^-}, called likewise."""
    trained: Sequence[Tensor]
    """theta: what the optimizer moves."""
    teacher: nn.Module | None
    """Its own UNet, where that can answer as the teacher too; then no other one is needed."""
    one_at_a_time: bool
    """Whether only one thread may call it."""

    def follow(self, mu: float) -> None:
        """theta^- <- mu theta^- + (1 - mu) theta."""
        ...

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that changes, as a checkpoint has it."""
        ...

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """The way back."""
        ...


class FullStudent:
    """A copy of the teacher, all of which learns, and another one that follows."""

    one_at_a_time = False

    def __init__(
        self, teacher: "UNet2DConditionModel", settings: DistillConfig, device: torch.device
    ) -> None:
        online: Any = with_omega(teacher).float().requires_grad_(True)
        if settings.gradient_checkpointing:
            online.enable_gradient_checkpointing()
        suit(online, device, settings)
        self.online, self.target = online, copy.deepcopy(online).requires_grad_(False)
        if settings.compile:
            self.online.compile()
            self.target.compile()
        self.teacher: nn.Module | None = None
        self.trained: Sequence[Tensor] = list(online.parameters())

    def follow(self, mu: float) -> None:
        follow(parameters_of(self.target), parameters_of(self.online), mu)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        return {"online": self.online.state_dict(), "target": self.target.state_dict()}

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        try:
            self.online.load_state_dict(tensors["online"])
            self.target.load_state_dict(tensors["target"])
        except (KeyError, RuntimeError) as error:
            raise DataError(f"the checkpoint is of another student ({error}). Remove it.") from None


def suit(unet: Any, device: torch.device, settings: DistillConfig) -> None:
    """Move it where it learns, in the form that is fastest there."""
    nn.Module.to(unet, device=device)
    if settings.channels_last:
        nn.Module.to(unet, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if device.type == "cpu":
        plain_attention(unet)
