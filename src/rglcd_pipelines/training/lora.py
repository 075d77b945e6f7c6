"""A student by LoRA: its teacher's weights stay, and small matrices beside the large ones learn."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rglcd_pipelines.diffusion.consistency import follow
from rglcd_pipelines.diffusion.guidance import with_omega
from rglcd_pipelines.errors import DataError
from rglcd_pipelines.training.settings import DistillConfig, LoraConfig
from rglcd_pipelines.training.student import suit

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

ONLINE, TARGET = "online", "target"
PROJECTION = "time_embedding.cond_proj.weight"
"""The projection of omega, which the teacher has not; all of it learns."""

ADAPTED = (
    # attention, and what stands before, after and between
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    # convolutions, and how they are told the time
    *("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj"),
)
"""The layers that have small matrices beside them: those of LCM-LoRA."""


class Adapted(nn.Module):
    """One UNet with one of its adapters switched on, or with none: then it answers as the teacher.

    It is called as a UNet is. What was called last stays switched on, for the backward pass.
    """

    def __init__(self, unet: Any, adapter: str | None, projection: nn.Linear | None) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        super().__init__()
        self.unet, self.adapter, self.projection = unet, adapter, projection
        # Looked up once: there are hundreds among thousands of modules.
        self.layers: list[Any] = [layer for layer in unet.modules() if isinstance(layer, BaseTunerLayer)]

    def forward(self, *inputs: Any, **named: Any) -> Any:
        self._switch()
        return self.unet(*inputs, **named)

    def weights(self) -> dict[str, Tensor]:
        """What is its own, by names that do not tell online from target."""
        if self.projection is None:
            return {}
        part = f".{self.adapter}."
        found = {name: weight for name, weight in self.unet.named_parameters() if part in name}
        return {name.replace(part, "."): weight for name, weight in found.items()} | {
            PROJECTION: self.projection.weight
        }

    def _switch(self) -> None:
        for layer in self.layers:
            if layer.disable_adapters == (self.adapter is not None):
                layer.enable_adapters(self.adapter is not None)
            if self.adapter is not None:
                layer.set_adapter(self.adapter)
        if self.projection is not None:
            self.unet.time_embedding.cond_proj = self.projection


class LoraStudent:
    """One frozen UNet with two adapters: one that learns, and one that follows."""

    one_at_a_time = True
    """Its networks are one UNet, on which adapters are switched."""

    def __init__(
        self, teacher: "UNet2DConditionModel", settings: DistillConfig, seed: int, device: torch.device
    ) -> None:
        assert settings.lora is not None  # who makes it has looked
        unet: Any = with_omega(teacher).float().requires_grad_(False)
        _adapt(unet, settings.lora, seed)
        if settings.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        suit(unet, device, settings)
        if settings.compile:
            unet.compile()
        projection = unet.time_embedding.cond_proj.requires_grad_(True)
        second = copy.deepcopy(projection).requires_grad_(False)
        online, target = Adapted(unet, ONLINE, projection), Adapted(unet, TARGET, second)
        self.online: nn.Module = online
        self.target: nn.Module = target
        self.teacher: nn.Module | None = Adapted(unet, None, None)
        self._online, self._target = online.weights(), target.weights()
        follow(_plain(self._target), _plain(self._online), mu=0.0)  # both begin as one
        self.trained: Sequence[Tensor] = list(self._online.values())

    def follow(self, mu: float) -> None:
        follow(_plain(self._target), _plain(self._online), mu)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The adapters and the projections of omega: the rest is the teacher's."""
        return {
            network: {name: weight.detach() for name, weight in weights.items()}
            for network, weights in ((ONLINE, self._online), (TARGET, self._target))
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        for network, weights in self.tensors().items():
            found = tensors.get(network, {})
            if {n: t.shape for n, t in found.items()} != {n: t.shape for n, t in weights.items()}:
                raise DataError(f"the checkpoint is of another student (its {network} weights). Remove it.")
            for name, weight in weights.items():
                weight.copy_(found[name])


def _adapt(unet: Any, settings: LoraConfig, seed: int) -> None:
    """Both adapters. One of each layer's two matrices is zero, so that they begin by changing nothing."""
    import peft

    for adapter in (ONLINE, TARGET):
        config = peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
            target_modules=list(ADAPTED),
        )
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # that there are two is meant
            torch.default_generator.manual_seed(seed)  # all processes draw the same
            unet.add_adapter(config, adapter)
    for layer in Adapted(unet, None, None).layers:
        layer.cast_input_dtype_enabled = False  # autocast does it, without the way through float32


def _plain(weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Without their history."""
    return [weight.detach() for weight in weights.values()]
