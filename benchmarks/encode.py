"""How fast images become latents, against a plain loop over the same autoencoder.

    python -m benchmarks.encode [--rounds 5] [--threads 1]

The plain loop is what one writes first: open an image, fill a batch, encode it, save an array a shard; with
the same number of threads for the autoencoder. A second one keeps its weights channels-last, as `encode`
does, so it shows what the overlap alone is worth. The three take turns, and the medians of the rounds' ratios
count: a machine with other work to do slows all three of a round alike. CPU time is told beside it.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._report import report
from rglcd_pipelines.artifacts import Artifact, digest_file, draft, publish
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.data.shards import Sample, read_shard, write_shard
from rglcd_pipelines.diffusion.vae import Vae, load_vae

BATCH = 32


def settings(resolution: int, threads: int) -> EncodeConfig:
    untrained = {"block_out_channels": [24, 48, 64]}
    return check(
        EncodeConfig,
        {
            "vae": {"source": "untrained", "untrained": untrained},
            "resolution": resolution,
            "batch_size": BATCH,
            "torch_threads": threads,
            "workers": 1,
            "progress": False,
        },
    )


def make_pairs(
    place: Path, images: int, per_shard: int, draw: Callable[[int], tuple[bytes, str]]
) -> Artifact:
    """Pairs as `ingest` leaves them."""
    shards: list[dict[str, Any]] = []
    with draft(place, {}) as work:
        for first in range(0, images, per_shard):
            file = work.path / f"pairs-{len(shards):05d}.tar"
            drawn = ((i, *draw(i)) for i in range(first, min(images, first + per_shard)))
            samples = write_shard(
                file, (Sample(f"{i:06d}", data, kind, b"an icon") for i, data, kind in drawn)
            )
            shards.append({"name": file.name, "samples": samples, "sha256": digest_file(file)})
        return publish(work, place, "pairs", {}, {"shards": shards}, {})


def small_png(index: int) -> tuple[bytes, str]:
    """64 px, as flat as an icon."""
    return _encoded(_noise(index, 8, (64, 64), Image.Resampling.NEAREST), "PNG"), "png"


def photo_jpeg(index: int) -> tuple[bytes, str]:
    """192 × 256 px, to be resized to 128."""
    return _encoded(_noise(index, 48, (192, 256), Image.Resampling.BICUBIC), "JPEG"), "jpg"


def _noise(seed: int, side: int, size: tuple[int, int], how: Image.Resampling) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, how)


def _encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=90)
    return file.getvalue()


def plain_loop(pairs: Artifact, vae: Vae, resolution: int, threads: int, place: Path) -> float:
    """Images a second of the loop that one writes first."""
    torch.set_num_threads(threads)
    began = perf_counter()
    total = 0
    for shard in pairs.manifest["shards"]:
        samples = [s for s in read_shard(pairs.path / shard["name"]) if isinstance(s, Sample)]
        latents: list[np.ndarray] = []
        for first in range(0, len(samples), BATCH):
            batch = [_opened(sample, resolution) for sample in samples[first : first + BATCH]]
            pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
            with torch.no_grad():
                encoded: Any = vae.model.encode(pixels)
            latents.append(encoded.latent_dist.mean.half().numpy())
        np.save(place / shard["name"], np.concatenate(latents))
        total += len(samples)
    return total / (perf_counter() - began)


def _opened(sample: Sample, resolution: int) -> np.ndarray:
    image = Image.open(io.BytesIO(sample.image or b"")).convert("RGB")
    scale = resolution / min(image.size)
    if scale != 1:
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = (image.width - resolution) // 2, (image.height - resolution) // 2
    return np.asarray(image.crop((left, top, left + resolution, top + resolution)))


def compare(pairs: Artifact, resolution: int, threads: int, rounds: int, folder: Path) -> dict[str, float]:
    """Medians of images/s and CPU milliseconds an image, of ours and both loops, and of how they compare."""
    config = settings(resolution, threads)
    plain, last = (load_vae(config.vae, "cpu", torch.float32) for _ in range(2))
    last.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images = sum(shard["samples"] for shard in pairs.manifest["shards"])
    found: list[dict[str, float]] = []
    for round_ in range(rounds + 1):
        now: dict[str, float] = {}

        def ours(now: dict[str, float] = now, round_: int = round_) -> float:
            made = encode(pairs, config, folder / f"latents-{resolution}-{round_}").metrics
            now["not_vae"] = 1 - made["vae_share"]
            return made["images_per_second"]

        ways = {
            "ours": ours,
            "plain": lambda: plain_loop(pairs, plain, resolution, threads, folder),
            "plain_channels_last": lambda: plain_loop(pairs, last, resolution, threads, folder),
        }
        for name in sorted(ways, reverse=bool(round_ % 2)):
            began = process_time()
            now[f"{name}_images_per_second"] = ways[name]()
            now[f"{name}_cpu_ms"] = (process_time() - began) / images * 1000
        for other in ("plain", "plain_channels_last"):
            now[f"against_{other}"] = now["ours_images_per_second"] / now[f"{other}_images_per_second"]
        if round_:  # the first one warms caches
            found.append(now)
    return {name: median(now[name] for now in found) for name in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="threads of the autoencoder")
    options = parser.parse_args()
    figures: dict[str, float] = {"images": options.images, "threads": options.threads}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, images, resolution, draw in (
            ("png_64", options.images, 64, small_png),
            ("jpeg_128", options.images // 8, 128, photo_jpeg),
        ):
            pairs = make_pairs(folder / label, images, max(1, images // 4), draw)
            found = compare(pairs, resolution, options.threads, options.rounds, folder)
            figures |= {f"{label}_{what}": value for what, value in found.items()}
    cases = ("png_64", "jpeg_128")
    speed = min(figures[f"{case}_against_plain"] for case in cases)
    share = max(figures[f"{case}_not_vae"] for case in cases)
    bars = {"speed_against_plain_loop": (speed, ">= 1"), "share_not_vae": (share, "< 0.1")}
    sys.exit(not report("encode", figures, bars))


if __name__ == "__main__":
    main()
