"""What turns pictures into features, for distances between whole sets of them."""

import io
from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rglcd_pipelines.errors import ConfigError, first_line
from rglcd_pipelines.evaluation.distances.preparing import prepare
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig
from rglcd_pipelines.evaluation.distances.world_features import WorldFeatures
from rglcd_pipelines.rewards.checkpoint import read_state
from rglcd_pipelines.rewards.hub import file_of
from rglcd_pipelines.rewards.precision import float32
from rglcd_pipelines.rewards.weights import explain

WHERE = "evaluate.features"
POOL = "2048"
"""What torch-fidelity calls the layer that FID is defined on."""


class Features(Protocol):
    """Pictures in, features out."""

    @property
    def name(self) -> str:
        """Under which figures tell what they are of."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """Of images [B, 3, H, W], uint8: [B, D], float32."""
        ...


class InceptionFeatures:
    """The 2048 numbers of InceptionV3 (2015) before its last layer, by torch-fidelity's implementation."""

    name = "inception"

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @classmethod
    def load(cls, config: FeaturesConfig, device: torch.device) -> "InceptionFeatures":
        """From a file with its weights; torch-fidelity alone would fetch one unasked, and open any pickle."""
        from torch_fidelity import FeatureExtractorInceptionV3

        file = file_of(config, WHERE)
        checked = io.BytesIO()
        torch.save(read_state(file, "Inception"), checked)
        checked.seek(0)
        with explain(file, "Inception"):
            network = FeatureExtractorInceptionV3(cls.name, [POOL], feature_extractor_weights_path=checked)
        return cls(network, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        with float32(self.device):
            return self.network(images.to(self.device))[0]


class Prepared:
    """Features of pictures that are cropped and resized first, a few pictures at a time."""

    def __init__(self, features: Features, config: FeaturesConfig) -> None:
        self.features, self.config = features, config
        self.name = features.name

    def __call__(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"features are of bytes [B, 3, H, W], not {images.dtype} {list(images.shape)}")
        parts = [self.features(self._resized(part)) for part in images.split(self.config.batch_size)]
        return torch.cat(parts).float()

    def _resized(self, images: Tensor) -> Tensor:
        size = self.config.size
        if size is None or images.shape[-2:] == (size, size):
            return images
        pictures = (Image.fromarray(picture) for picture in images.permute(0, 2, 3, 1).cpu().numpy())
        square = np.stack([np.asarray(prepare(picture, size)) for picture in pictures])
        return torch.from_numpy(square).permute(0, 3, 1, 2).to(images.device)


def load_features(config: FeaturesConfig, device: torch.device) -> Features:
    """The features of that kind, ready to look at pictures on `device`."""
    if config.kind == "world":
        return Prepared(WorldFeatures.load(config.id, device), config)
    if config.kind == "inception":
        return Prepared(InceptionFeatures.load(config, device), config)
    return Prepared(_own(config, device), config)


def _own(config: FeaturesConfig, device: torch.device) -> Features:
    """A class that somebody else wrote, made with its options."""
    module, _, attribute = config.kind.partition(":")
    try:
        found = cast(Callable[..., Features], getattr(import_module(module), attribute))
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{WHERE}.kind: {config.kind} cannot be imported ({first_line(error)})") from None
    try:
        features = found(device=device, **config.options)
    except TypeError as error:
        raise ConfigError(f"{WHERE}.options: {config.kind} does not take them ({error})") from None
    if not hasattr(features, "name") or not callable(features):
        raise ConfigError(f"{WHERE}.kind: {config.kind} has no name, or cannot be called; it is no features")
    return features
