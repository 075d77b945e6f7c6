"""A training's job, as a catalog entry: the resolved.json that `python -m rglcd_pipelines.training` takes."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.training.jobs import AnyJob, read_job


class JobDataset(AbstractDataset[AnyJob, AnyJob]):
    """A JSON file at `filepath`; replaced only when it changes, for DVC may have a link to it."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> AnyJob:
        return read_job(self._path)

    def save(self, data: AnyJob) -> None:
        try:
            if self._exists() and read_job(self._path) == data:
                return
        except RglcdError:
            pass  # what cannot be read is replaced
        data.write(self._path)

    def _exists(self) -> bool:
        return self._path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
