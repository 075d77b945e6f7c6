"""A folder that a stage leaves behind, as a catalog entry: nodes pass its handle, never its content."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from rglcd_pipelines.artifacts import MANIFEST, Artifact, open_artifact
from rglcd_pipelines.errors import DataError


class ArtifactDataset(AbstractDataset[Artifact, Artifact]):
    """The finished folder at `filepath`.

    The stage itself puts the folder in its place, whole, so saving only makes sure that it did.
    """

    def __init__(self, filepath: str, kind: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self._kind = kind
        self.metadata = metadata

    def load(self) -> Artifact:
        return open_artifact(self._path, self._kind)

    def save(self, data: Artifact) -> None:
        if data.path.resolve() != self._path.resolve():
            raise DataError(
                f"{data.path}: the {self._kind} were written here, but the catalog has them at {self._path}. "
                "Change `places` in globals.yml, where both come from, instead of one of them."
            )
        open_artifact(self._path, self._kind)

    def _exists(self) -> bool:
        return (self._path / MANIFEST).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "kind": self._kind}
