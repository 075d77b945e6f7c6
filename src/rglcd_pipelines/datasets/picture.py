"""A picture to look at, as a catalog entry."""

import io
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rglcd_pipelines.artifacts import atomic_file


class PictureDataset(AbstractDataset[Image.Image, Image.Image]):
    """A PNG at `filepath`, with what the picture's `info` says in words.

    Replaced whole and only when it changes: what stands there may be a read-only link into DVC's cache.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Image.Image:
        with Image.open(self._path) as picture:
            picture.load()
        return picture

    def save(self, data: Image.Image) -> None:
        content = io.BytesIO()
        told = PngInfo()
        for name, words in data.info.items():
            if isinstance(words, str):
                told.add_text(str(name), words)
        data.save(content, "PNG", optimize=True, pnginfo=told)
        if self._exists() and self._path.read_bytes() == content.getvalue():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path) as file:
            file.write(content.getvalue())

    def _exists(self) -> bool:
        return self._path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
