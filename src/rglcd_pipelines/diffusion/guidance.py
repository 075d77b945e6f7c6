"""How a student is told omega, the scale of the guidance that it has learnt to give by itself."""

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rglcd_pipelines.errors import DataError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

DIMENSIONS = 256


def omega_embedding(omega: Tensor, dimensions: int = DIMENSIONS) -> Tensor:
    """Sines and cosines [B, dimensions] of 1000 omega, as diffusers' pipeline embeds guidance_scale - 1."""
    angles = 1000.0 * omega.float()[:, None] * _rates(dimensions // 2, omega.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@lru_cache(maxsize=8)
def _rates(count: int, device: torch.device) -> Tensor:
    """Kept: on its way to a GPU each step would wait for it."""
    slowest = torch.log(torch.tensor(10_000.0)) / (count - 1)
    return torch.exp(-slowest * torch.arange(count)).to(device)


def with_omega(unet: "UNet2DConditionModel", dimensions: int = DIMENSIONS) -> "UNet2DConditionModel":
    """A copy that is told omega too. It begins as what it copies: the projection of omega starts at zero."""
    told_already = unet.config["time_cond_proj_dim"]
    if told_already is not None:
        raise DataError(
            f"the UNet is told omega already (time_cond_proj_dim = {told_already}): it is a student, not a "
            "teacher. Check teacher.id."
        )
    told: UNet2DConditionModel = type(unet).from_config(unet.config, time_cond_proj_dim=dimensions)  # pyright: ignore[reportAssignmentType]
    lacking, unknown = told.load_state_dict(unet.state_dict(), strict=False)
    assert lacking == ["time_embedding.cond_proj.weight"], lacking
    assert not unknown, unknown
    projection = told.time_embedding.cond_proj
    assert isinstance(projection, nn.Linear)
    nn.init.zeros_(projection.weight)
    nn.Module.to(told, device=unet.device, dtype=unet.dtype)
    return told
