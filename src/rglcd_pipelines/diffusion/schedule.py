"""How much image and how much noise a latent holds at each time, and what a network says of both."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from rglcd_pipelines.errors import DataError

Prediction = Literal["epsilon", "sample", "v_prediction"]
"""What a network predicts, by diffusers' names: the noise, the image, or v = alpha eps - sigma z_0."""


@dataclass(frozen=True)
class Schedule:
    """z_t = alpha_t z_0 + sigma_t eps at t = 0, 1, … T - 1 (the forward process of Section 3.1)."""

    alphas: Tensor
    """[T]."""
    sigmas: Tensor
    """[T]."""
    prediction: Prediction
    """What the network predicts that was trained with it."""

    @classmethod
    def of(cls, scheduler: Any) -> "Schedule":
        """That of a scheduler of diffusers."""
        prediction = scheduler.config.prediction_type
        if prediction not in get_args(Prediction):
            raise DataError(
                f"prediction_type is {prediction!r}; only {', '.join(get_args(Prediction))} can be distilled"
            )
        kept = scheduler.alphas_cumprod.double()
        if prediction == "epsilon" and float(kept[-1]) == 0.0:
            raise DataError(
                "prediction_type is 'epsilon' and the last time is pure noise (rescale_betas_zero_snr): from "
                "the noise alone no image follows. Use a teacher that predicts v or the image."
            )
        return cls(kept.sqrt().float(), (1 - kept).sqrt().float(), prediction)

    def __len__(self) -> int:
        return len(self.alphas)

    def to(self, device: torch.device) -> "Schedule":
        return Schedule(self.alphas.to(device), self.sigmas.to(device), self.prediction)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t for times [B], as [B, 1, 1, 1]."""
        return self.alphas[t, None, None, None], self.sigmas[t, None, None, None]

    def noisy(self, z0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """z_t of an image and noise."""
        alpha, sigma = self.at(t)
        return alpha * z0 + sigma * noise

    def image(self, output: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """z_0 as the network's output at z_t tells it."""
        if self.prediction == "sample":
            return output
        alpha, sigma = self.at(t)
        if self.prediction == "v_prediction":
            return alpha * z - sigma * output
        return (z - sigma * output) / alpha

    def noise(self, output: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """eps as the network's output at z_t tells it."""
        if self.prediction == "epsilon":
            return output
        alpha, sigma = self.at(t)
        if self.prediction == "v_prediction":
            return alpha * output + sigma * z
        return (z - alpha * output) / sigma
