"""A training's job, as a catalog entry: the resolved.json that `python -m rglcd_pipelines.training` takes."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from rglcd_pipelines.errors import RglcdError
from rglcd_pipelines.training.job import Job


class JobDataset(AbstractDataset[Job, Job]):
    """A JSON file at `filepath`; replaced only when it changes, for DVC may have a link to it."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Job:
        return Job.read(self._path)

    def save(self, data: Job) -> None:
        try:
            if self._exists() and Job.read(self._path) == data:
                return
        except RglcdError:
            pass  # what cannot be read is replaced
        data.write(self._path)

    def _exists(self) -> bool:
        return self._path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
