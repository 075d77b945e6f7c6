"""`encode`: pairs become the latents of an autoencoder, one Arrow file a shard."""

import json
import logging
import threading
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import Artifact, draft, publish, standing
from rglcd_pipelines.data.latents.file import LatentFile, Statistics
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.data.latents.worker import Job, Unit
from rglcd_pipelines.diffusion.vae import Vae, identity, load_vae
from rglcd_pipelines.engines import Done, Engine, open_engine
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.progress import progress_bar

FORMAT = 1

logger = logging.getLogger(__name__)


def encode(pairs: Artifact, config: EncodeConfig, place: Path) -> Artifact:
    """The latents of `pairs` at `place`; nothing is done twice, be it finished there or by a killed run."""
    made_from = {
        "format": FORMAT,
        "vae": identity(config.vae),
        **config.model_dump(
            include={"resolution", "batch_size", "dtype", "keep", "precision", "torch_threads"}
        ),
        "inputs": {"pairs": pairs.digest},
    }
    ready = standing(place, "latents", made_from)
    if ready is not None:
        _remove_sidecars(place)
        logger.info("%s: %d latents are there already; nothing to do", place, ready.manifest["samples"])
        return ready
    with draft(place, made_from) as work:
        units = _units(pairs, work.path)
        with open_engine("encode", config.engine, config.workers) as engine:
            vae = _describe(config)
            job = _job(config, engine.gpus, vae)
            missing = [unit for unit in units if not _is_finished(unit, job)]
            done = _encode(missing, units, job, engine)
        files = [LatentFile.from_json(_sidecar(unit)["file"]) for unit in units]
        metrics = _metrics(files, done)
        artifact = publish(work, place, "latents", made_from, _body(config, vae, job, files), metrics)
    _remove_sidecars(place)
    _tell(place, metrics, len(units) - len(missing), len(units))
    return artifact


def _describe(config: EncodeConfig) -> Vae:
    """The autoencoder, to see before anything starts that it can be used, and for the manifest."""
    import torch

    vae = load_vae(config.vae, "cpu", torch.float32)
    if config.resolution % vae.factor:
        near = max(1, config.resolution // vae.factor) * vae.factor
        raise DataError(
            f"encode.resolution: {config.resolution} is no multiple of {vae.factor}, by which the "
            f"autoencoder {vae.id} shrinks an image. Set it to {near}."
        )
    return vae


def _job(config: EncodeConfig, gpus: int, vae: Vae) -> Job:
    """The settings, with every `auto` and null replaced by what the engine has."""
    if config.device == "cuda" and not gpus:
        raise ConfigError("encode.device: is cuda, but there is no GPU here. Set it to auto or cpu.")
    on_gpu = gpus > 0 and config.device != "cpu"
    if on_gpu and (config.workers or 1) > gpus:
        raise ConfigError(
            f"encode.workers: is {config.workers}, but each takes a GPU and there are {gpus}. Set it to null."
        )
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if on_gpu else "float32"
    workers = config.workers or (gpus if on_gpu else 1)
    return Job(config, "cuda" if on_gpu else "cpu", precision, workers, vae.digest)


def _units(pairs: Artifact, folder: Path) -> list[Unit]:
    shards = pairs.manifest["shards"]
    if not shards:
        raise DataError(f"{pairs.path}: holds no shards. Check what kedro run --pipeline=ingest kept.")
    return [
        Unit(
            shard=(pairs.path / shard["name"]).absolute(),
            sha256=shard["sha256"],
            samples=shard["samples"],
            target=(folder / f"latents-{index:05d}.arrow").absolute(),
        )
        for index, shard in enumerate(shards)
    ]


def _is_finished(unit: Unit, job: Job) -> bool:
    """Whether a killed run finished the unit, on such a machine as this."""
    try:
        sidecar = _sidecar(unit)
        size = LatentFile.from_json(sidecar["file"]).bytes
        return sidecar["computed"] == job.computed() and unit.target.stat().st_size == size
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sidecar(unit: Unit) -> dict[str, Any]:
    return json.loads(unit.sidecar.read_text(encoding="utf-8"))


def _remove_sidecars(place: Path) -> None:
    """Only a draft needs them, and only until it is published, for a run could be killed just before."""
    for sidecar in place.glob("latents-*.json"):
        sidecar.unlink()


def _encode(missing: list[Unit], units: list[Unit], job: Job, engine: Engine) -> list[Done]:
    """Have the engine encode what is missing, and show how far it is."""
    if not missing:
        return []
    total = sum(unit.samples for unit in units)
    left = sum(unit.samples for unit in missing)
    started = f"; {total - left} were encoded by a run that was stopped" if left < total else ""
    logger.info("encoding %d images on %s in %s%s", left, job.device, job.precision, started)
    with progress_bar("encode", total, total - left, job.config.progress) as bar:
        lock = threading.Lock()

        def report(images: int) -> None:
            with lock:
                if bar.n == total - left:
                    bar.unpause()  # what workers take to start says nothing about the time that is left
                bar.update(images)

        return engine.run(missing, job, report)


def _body(config: EncodeConfig, vae: Vae, job: Job, files: list[LatentFile]) -> dict[str, Any]:
    side = config.resolution // vae.factor
    channels = vae.latent_channels * (2 if config.keep == "moments" else 1)
    statistics = Statistics.merge([file.statistics for file in files]).summary()
    if statistics["nonfinite"]:
        logger.warning(
            "%d latent values are not finite. encode.precision: float32 or encode.dtype: float32 may help",
            statistics["nonfinite"],
        )
    return {
        "vae": vae.about(),
        "latent": {"shape": [channels, side, side], "dtype": config.dtype, "kind": config.keep},
        "resolution": config.resolution,
        "samples": sum(file.samples for file in files),
        "statistics": statistics,
        "files": [file.listed() for file in files],
        "computed": {"device": job.device, "precision": job.precision},
    }


def _metrics(files: list[LatentFile], done: list[Done]) -> dict[str, float]:
    """Sizes, and the speed of what was encoded now."""
    metrics: dict[str, float] = {
        "samples": sum(file.samples for file in files),
        "bytes": sum(file.bytes for file in files),
    }
    if done:
        metrics["images_per_second"] = round(sum(unit.samples for unit in done) / _seconds(done), 3)
        metrics["vae_share"] = round(vae_share(done), 4)
    return metrics


def _seconds(done: list[Done]) -> float:
    return max(unit.ended for unit in done) - min(unit.began for unit in done)


def vae_share(done: list[Done]) -> float:
    """The share of the workers' time, from the first unit to the last, in which the autoencoder was busy."""
    workers = {unit.worker for unit in done}
    wall = sum(_seconds([unit for unit in done if unit.worker == worker]) for worker in workers)
    return sum(unit.model_seconds for unit in done) / wall


def _tell(place: Path, metrics: dict[str, float], reused: int, total: int) -> None:
    speed = f", {metrics['images_per_second']:.0f} images/s" if "images_per_second" in metrics else ""
    kept = f"; {reused} of {total} files were finished by a run that was stopped" if reused else ""
    size = metrics["bytes"] / 1e6
    logger.info("%s: %d latents, %.1f MB%s%s", place, metrics["samples"], size, speed, kept)
