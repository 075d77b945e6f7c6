"""Folders of latents for tests and benchmarks, as the encode stage would leave them behind."""

from pathlib import Path
from typing import Any

import numpy as np

from rglcd_pipelines.artifacts import Artifact, draft, publish
from rglcd_pipelines.data.latents.file import Statistics, write_latents


def columns(
    samples: int, shape: tuple[int, ...] = (4, 8, 8), dtype: str = "float16", seed: int = 0
) -> dict[str, Any]:
    """What `write_latents` takes, drawn from `seed`."""
    draw = np.random.default_rng(seed)
    return {
        "keys": [f"{number:07d}" for number in range(samples)],
        "captions": [f"a flat icon of a lighthouse, № {n}{' in the fog' * (n % 4)}" for n in range(samples)],
        "metas": [f'{{"number": {number}}}' if number % 2 else "" for number in range(samples)],
        "sizes": draw.integers(32, 2000, (samples, 2), np.int32),
        "crops": draw.integers(0, 200, (samples, 2), np.int32),
        "latents": draw.standard_normal((samples, *shape), np.float32).astype(dtype),
    }


def make_latents(
    folder: Path, per_file: int = 5, made: dict[str, Any] | None = None, vae: str = "d1"
) -> Artifact:
    """The columns `made`, in files of `per_file` samples; `vae` is the digest of whoever encoded them."""
    made = columns(23) if made is None else made
    made_from = {"format": 1, "test": folder.name}
    with draft(folder, made_from) as work:
        files = [
            write_latents(
                work.path / f"latents-{number:05d}.arrow",
                **{name: column[start : start + per_file] for name, column in made.items()},
            )
            for number, start in enumerate(range(0, len(made["keys"]), per_file))
        ]
        body = {
            "vae": {"id": "a/vae", "revision": "r1", "digest": vae, "scaling_factor": 0.18215},
            "latent": {
                "shape": list(made["latents"].shape[1:]),
                "dtype": made["latents"].dtype.name,
                "kind": "mean",
            },
            "resolution": 64,
            "samples": len(made["keys"]),
            "statistics": Statistics.merge([file.statistics for file in files]).summary(),
            "files": [file.listed() for file in files],
        }
        return publish(work, folder, "latents", made_from, body, {})
