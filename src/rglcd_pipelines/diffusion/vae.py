"""The autoencoder between pixels and latents: where it comes from, and which one exactly it is."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pydantic import Field, model_validator

from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import DataError, first_line

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"

logger = logging.getLogger(__name__)


class UntrainedVae(Config):
    """An autoencoder with random weights: it stands in where a trained one is not made yet."""

    block_out_channels: list[int] = Field(min_length=1)
    """Channels of each level; every level after the first halves the image."""
    layers_per_block: int = Field(default=1, ge=1)
    """Residual blocks of each level."""
    latent_channels: int = Field(default=4, ge=1)
    """Channels of the latent."""
    norm_num_groups: int = Field(default=8, ge=1)
    """Groups of the group norms; it divides every one of `block_out_channels`."""
    scaling_factor: float = Field(default=0.18215, gt=0)
    """What a latent is multiplied with before a diffusion model sees it."""
    seed: int = Field(default=0, ge=0)
    """The seed of the weights."""

    @property
    def factor(self) -> int:
        """How many pixels of a side one latent pixel stands for."""
        return 2 ** (len(self.block_out_channels) - 1)

    @model_validator(mode="after")
    def _groups_divide(self) -> "UntrainedVae":
        odd = [c for c in self.block_out_channels if c < 1 or c % self.norm_num_groups]
        if odd:
            raise ValueError(
                f"block_out_channels holds {odd[0]}, which norm_num_groups = {self.norm_num_groups} does not "
                "divide; change one of them"
            )
        return self


class VaeConfig(Config):
    """Which autoencoder is used."""

    source: Literal["hub", "folder", "untrained"]
    """A repository on the hub, a folder saved by diffusers, or a random one."""
    id: str | None = None
    """The repository's name (hub) or the folder's path (folder)."""
    revision: str | None = None
    """The repository's commit; a branch works too, but it can move under finished latents."""
    subfolder: str | None = None
    """The folder of the autoencoder inside the repository or the folder, such as vae."""
    untrained: UntrainedVae | None = None
    """The size of the random one; of no consequence for another source."""

    @model_validator(mode="after")
    def _says_which(self) -> "VaeConfig":
        if self.source == "untrained":
            if self.untrained is None:
                raise ValueError("untrained is missing; describe the random autoencoder, or change source")
            if self.id or self.revision or self.subfolder:
                raise ValueError("id, revision and subfolder mean nothing for source untrained; remove them")
            return self
        if not self.id:
            what = "repository's name" if self.source == "hub" else "folder's path"
            raise ValueError(f"id is missing; give the {what}")
        if self.source == "hub" and not self.revision:
            raise ValueError(f"revision is missing; pin {self.id} to a commit")
        if self.source == "folder" and self.revision:
            raise ValueError("revision means nothing for a folder; remove it")
        return self


@dataclass(frozen=True)
class Vae:
    """An autoencoder that is ready to use, and what tells it from every other one."""

    model: "AutoencoderKL"
    id: str
    revision: str | None
    digest: str
    scaling_factor: float
    shift_factor: float
    factor: int
    """How many pixels of a side one latent pixel stands for."""
    latent_channels: int

    def about(self) -> dict[str, Any]:
        """As a manifest has it."""
        return {
            "id": self.id,
            "revision": self.revision,
            "digest": self.digest,
            "scaling_factor": self.scaling_factor,
            "shift_factor": self.shift_factor,
        }


def identity(config: VaeConfig) -> dict[str, Any]:
    """What the autoencoder depends on, as plain JSON, without loading it."""
    if config.source == "folder":
        folder = check_folder(config)
        # Not the path: the same weights elsewhere are the same autoencoder.
        return {"source": "folder"} | {name: digest_file(folder / name) for name in (CONFIG, WEIGHTS)}
    if config.source == "untrained":
        return config.model_dump(include={"source", "untrained"})
    return config.model_dump(include={"source", "id", "revision", "subfolder"})


def load_vae(config: VaeConfig, device: "torch.device | str", dtype: "torch.dtype") -> Vae:
    """The autoencoder, frozen, on `device` and in `dtype`; its digest depends on neither."""
    import torch

    revision = None
    if config.source == "untrained":
        assert config.untrained is not None  # the settings were checked
        name, model = "untrained", _untrained(config.untrained)
    elif config.source == "folder":
        name, model = str(config.id), _from_folder(check_folder(config))
    else:
        folder, revision = _from_hub(config)
        name, model = str(config.id), _from_folder(folder)
    settings: Any = model.config
    digest = weights_digest(model)
    model.requires_grad_(False).eval()
    # diffusers' own `to` warns of modules to keep in float32, even where there are none.
    torch.nn.Module.to(model, device=device, dtype=dtype)
    return Vae(
        model=model,
        id=name,
        revision=revision,
        digest=digest,
        scaling_factor=float(settings.scaling_factor),
        shift_factor=float(settings.shift_factor or 0.0),
        factor=2 ** (len(settings.block_out_channels) - 1),
        latent_channels=int(settings.latent_channels),
    )


def weights_digest(model: "torch.nn.Module") -> str:
    """The digest of the names, shapes and values of a model's weights, as float32."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _untrained(config: UntrainedVae) -> "AutoencoderKL":
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_vae(**config.model_dump(exclude={"seed"}))


def build_vae(block_out_channels: Sequence[int], **settings: Any) -> "AutoencoderKL":
    """An AutoencoderKL of Stable Diffusion's block types with random weights; `settings` are its own."""
    from diffusers import AutoencoderKL

    levels = len(block_out_channels)
    return AutoencoderKL(
        # The annotations say tuple[str] and tuple[int], tuples of one.
        down_block_types=("DownEncoderBlock2D",) * levels,  # pyright: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * levels,  # pyright: ignore[reportArgumentType]
        block_out_channels=tuple(block_out_channels),  # pyright: ignore[reportArgumentType]
        **settings,
    )


def check_folder(config: VaeConfig) -> Path:
    """The folder of a `folder` source, which holds what is needed."""
    folder = Path(str(config.id), config.subfolder or "")
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder. Set vae.id and vae.subfolder to one that exists."
        )
    if not (folder / CONFIG).is_file():
        raise DataError(
            f"{folder}: holds no {CONFIG}, so it is no autoencoder saved by diffusers. "
            "Check vae.id and vae.subfolder."
        )
    if not (folder / WEIGHTS).is_file():
        raise DataError(f"{folder}: {_ONLY_SAFETENSORS}")
    return folder


_ONLY_SAFETENSORS = (
    f"holds no {WEIGHTS}; weights in other formats can run code when they are opened and are refused. "
    "Load them where you trust them and save them with save_pretrained(..., safe_serialization=True)."
)


def _from_folder(folder: Path) -> "AutoencoderKL":
    import torch
    from diffusers import AutoencoderKL

    try:
        kind = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["_class_name"]
        if kind != "AutoencoderKL":
            raise DataError(
                f"{folder}: holds a {kind}, not an AutoencoderKL. Check vae.id and vae.subfolder."
            )
        model, info = AutoencoderKL.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            str(folder),
            use_safetensors=True,
            dtype=torch.float32,
            local_files_only=True,
            low_cpu_mem_usage=False,  # the other way needs accelerate
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(
            f"{folder}: the autoencoder cannot be loaded ({first_line(error)}). "
            "Its files are damaged or do not belong together: fetch or save them again."
        ) from None
    if info["missing_keys"]:
        # diffusers would go on with random weights in their place.
        raise DataError(
            f"{folder / WEIGHTS}: lacks {len(info['missing_keys'])} weights, such as "
            f"{sorted(info['missing_keys'])[0]}. Fetch or save it again."
        )
    return model


def _from_hub(config: VaeConfig) -> tuple[Path, str]:
    """The folder in the hub's cache that holds the autoencoder, fetched if need be, and its commit."""
    from huggingface_hub import hf_hub_download

    folder = PurePosixPath(config.subfolder or "")
    file = Path()
    for name in (CONFIG, WEIGHTS):
        try:
            file = Path(hf_hub_download(str(config.id), (folder / name).as_posix(), revision=config.revision))
        except (OSError, ValueError) as error:
            _explain(config, name, error)
    snapshot = file.parents[len(folder.parts)]
    return file.parent, snapshot.name


def _explain(config: VaeConfig, name: str, error: Exception) -> NoReturn:
    """A DataError for what the hub answered, or did not."""
    from huggingface_hub import errors

    where = f"{config.id} at {config.revision}"
    if isinstance(error, errors.GatedRepoError):
        told = "its terms must be accepted on the hub first; then log in with: hf auth login"
    elif isinstance(error, errors.RepositoryNotFoundError):
        told = (
            "the hub has no such repository, or not for you. Check vae.id; for a private one: hf auth login"
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        told = "the repository has no such revision. Set vae.revision to one of its commits"
    elif isinstance(error, errors.LocalEntryNotFoundError):
        told = (
            "it is not in the local cache, and the hub cannot be reached or answers with an error. Run "
            "again, or set vae.source to folder and vae.id to a copy"
        )
    elif isinstance(error, errors.EntryNotFoundError):
        told = _ONLY_SAFETENSORS if name == WEIGHTS else f"holds no {name}. Check vae.subfolder"
    elif isinstance(error, errors.HFValidationError):
        told = "is no name of a repository. Set vae.id to one such as owner/name"
    else:
        told = f"cannot be fetched ({error}). Run again later"
    raise DataError(f"{where}: {told.rstrip('.')}.") from None
