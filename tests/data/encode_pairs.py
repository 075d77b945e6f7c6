"""Pairs to encode, and a program that encodes them, for tests that stop it midway."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from rglcd_pipelines.artifacts import Artifact, digest_file, draft, open_artifact, publish
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.data.shards import Sample, write_shard

UNTRAINED = {"block_out_channels": [8, 16], "latent_channels": 4, "norm_num_groups": 4}
SETTINGS: dict[str, Any] = {
    "vae": {"source": "untrained", "untrained": UNTRAINED},
    "resolution": 16,
    "batch_size": 4,
    "progress": False,
}


def config(**changes: Any) -> EncodeConfig:
    return check(EncodeConfig, SETTINGS | changes, "encode")


def picture(index: int, width: int = 20, height: int = 16) -> Image.Image:
    coarse = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def make_pairs(place: Path, sizes: list[int], images: list[Image.Image] | None = None) -> Artifact:
    """Pairs as `ingest` leaves them, a shard for each of `sizes`."""
    images = images or [picture(index) for index in range(sum(sizes))]
    shards: list[dict[str, Any]] = []
    made_from = {"sizes": sizes, "images": len(images)}
    with draft(place, made_from) as work:
        first = 0
        for size in sizes:
            file = work.path / f"pairs-{len(shards):05d}.tar"
            samples = [
                Sample(f"k{i:04d}", png(images[i]), "png", f"caption {i}, é".encode(), b'{"i": %d}' % i)
                for i in range(first, first + size)
            ]
            write_shard(file, samples)
            shards.append({"name": file.name, "samples": size, "sha256": digest_file(file)})
            first += size
        return publish(work, place, "pairs", made_from, {"shards": shards}, {})


def read(file: Path) -> tuple[dict[str, list[Any]], np.ndarray]:
    """The columns of a latent file beside the latents, and those."""
    table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    shape = (-1, *json.loads(metadata["shape"]))
    latents = np.frombuffer(b"".join(table["latent"].to_pylist()), metadata["dtype"]).reshape(shape)
    return table.drop_columns(["latent"]).to_pydict(), latents


def contents(artifact: Artifact) -> dict[str, bytes]:
    """Every file in the folder."""
    return {file.name: file.read_bytes() for file in artifact.path.iterdir()}


def all_latents(artifact: Artifact) -> np.ndarray:
    return np.concatenate([read(artifact.path / file["name"])[1] for file in artifact.manifest["files"]])


if __name__ == "__main__":
    pairs, place, changes = sys.argv[1:]
    made = encode(open_artifact(Path(pairs), "pairs"), config(**json.loads(changes)), Path(place))
    print(json.dumps({"reused": made.reused, "modules": sorted(sys.modules)}))
