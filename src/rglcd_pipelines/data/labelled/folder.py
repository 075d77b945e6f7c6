"""A folder with a sub-folder for each class, as ImageNet's validation set is kept: n01440764, n01443537, …"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import digest_json
from rglcd_pipelines.data.labelled.source import Labelled
from rglcd_pipelines.data.shards import IMAGE_EXTENSIONS
from rglcd_pipelines.errors import DataError

PARAMETER = "lrm.zero_shot.set.path"


class FolderSource:
    """The images of `path`; its sub-folders in the order of their names are classes 0, 1, …"""

    def __init__(self, path: Path, per_class: int | None = None) -> None:
        self.path = path
        self._per_class = per_class

    def identity(self) -> dict[str, Any]:
        facts: list[list[Any]] = []
        for file, _ in self._files:
            with _told(file):
                found = file.stat()
            facts.append([self._name(file), found.st_size, found.st_mtime_ns])
        return {"source": "folder", "files": len(facts), "listing": digest_json(facts)}

    def classes(self) -> int:
        return self._files[-1][1] + 1

    def expected(self) -> int:
        return len(self._files)

    def samples(self, first: int = 0) -> Iterator[Labelled]:
        for file, label in islice(self._files, first, None):
            with _told(file):
                content = file.read_bytes()
            yield Labelled(self._name(file), str(file), content, label)

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()

    @cached_property
    def _files(self) -> list[tuple[Path, int]]:
        """Every image with its class; listed once, so that what is told of it fits together."""
        with _told(self.path):
            folders = sorted(path for path in self.path.iterdir() if path.is_dir() and not _is_hidden(path))
        if not folders:
            raise DataError(
                f"{PARAMETER}: {self.path} has no sub-folders. The images of each class belong into one of "
                "their own, named so that they sort in the order of the classes."
            )
        return [(file, label) for label, folder in enumerate(folders) for file in self._images(folder)]

    def _images(self, folder: Path) -> list[Path]:
        with _told(folder):
            images = sorted(path for path in folder.iterdir() if _is_image(path))
        if not images:
            raise DataError(
                f"{PARAMETER}: the class folder {folder} has no images. Fill it or remove it; "
                "every sub-folder is a class."
            )
        return images[: self._per_class]


def _is_image(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in IMAGE_EXTENSIONS and not _is_hidden(path)


def _is_hidden(path: Path) -> bool:
    """Such as the notes that desktops leave in folders."""
    return path.name.startswith(".")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{PARAMETER}: {path} cannot be read ({error.strerror}). Give the folder that holds a sub-folder "
            f"of images for each class; the command runs in {Path.cwd()}."
        ) from None
