"""What the tests of ingestion share: a source, settings, and what a finished folder holds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.data.pairs.clean import CleanConfig
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.data.sources.shards import ShardsConfig, ShardsSource


class Listed(ShardsSource):
    """A folder's shards, remembering which were asked for, with losses of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ShardsConfig(path=str(folder)), Path("unused"))
        self.given: list[str] = []

    def shards(self) -> Iterator[Path]:
        for path in super().shards():
            self.given.append(path.name)
            yield path

    def losses(self) -> dict[str, int]:
        return {"dead_url": 3}


def config(rules: dict[str, Any] | None = None, **values: Any) -> CleanConfig:
    values = {"samples_per_shard": 10, "progress": False} | values
    return CleanConfig(rules=Rules.model_validate({"min_side": 8} | (rules or {})), **values)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an artifact, its manifest without what tells of the run."""
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(content["manifest.json"])
    content["manifest.json"] = json.dumps(
        {k: manifest[k] for k in manifest if k not in ("made", "metrics")}
    ).encode()
    return content


def rows(artifact: Artifact) -> list[dict[str, Any]]:
    return pq.read_table(artifact.path / "table.parquet").to_pylist()
