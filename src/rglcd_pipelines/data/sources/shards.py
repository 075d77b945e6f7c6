"""Webdataset shards that exist: tars of a folder, or of a dataset repository on the hub at one commit."""

import glob
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Self, cast

from braceexpand import braceexpand
from pydantic import model_validator

from rglcd_pipelines.artifacts import digest_json, explain_full_disk, write_json
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import DataError, first_line

logger = logging.getLogger(__name__)


class ShardsConfig(Config):
    """Which shards: those at `path`, or those of `repository`."""

    path: str | None = None
    """A tar, a folder of tars, or a pattern such as data/{00..07}.tar or data/*.tar."""

    repository: str | None = None
    """A dataset repository on the hub, such as pixparse/cc12m-wds."""

    revision: str | None = None
    """The full commit of the repository. Null: the newest one of the first run, which is then kept to."""

    pattern: str = "*.tar"
    """Which files of the repository are shards."""

    @model_validator(mode="after")
    def _says_one_place(self) -> Self:
        if (self.path is None) == (self.repository is None):
            raise ValueError("give either path (shards on this machine) or repository (shards on the hub)")
        if self.path is not None:
            # What webdataset takes for a command (pipe:) or an address never gets as far as being opened.
            if re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]*:", self.path):
                raise ValueError(
                    f"path {self.path!r} is a URL or a command, which is not opened. Give a path of this "
                    "machine, or use source: urls or repository for what must be downloaded."
                )
            if self.revision is not None:
                raise ValueError("revision belongs to repository; remove it, or give repository for path")
            return self
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f"revision {self.revision!r} pins nothing: branches and tags move. Give the full commit, "
                "40 hexadecimal digits; the History page of the repository names them."
            )
        return self


class ShardsSource:
    """The shards that a ShardsConfig names, in the order of their names; those of the hub come into `raw`."""

    def __init__(self, config: ShardsConfig, raw: Path) -> None:
        self.config = config
        self._raw = raw

    def identity(self) -> dict[str, Any]:
        if self.config.path is None:
            pinned = self.config.model_dump(include={"repository", "pattern"})
            return {"source": "hub", **pinned, "revision": self._revision()}
        files = _local_files(self.config.path)
        facts = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
        return {"source": "shards", "files": len(files), "listing": digest_json(facts)}

    def shards(self) -> Iterator[Path]:
        if self.config.path is not None:
            yield from _local_files(self.config.path)
            return
        folder = self._folder()
        with explain_full_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name in self._names(folder):
            yield self._fetch(folder, name)

    def expected(self) -> None:
        return None

    def losses(self) -> dict[str, int]:
        return {}

    def _revision(self) -> str:
        """The commit: as configured, or the one that was the newest when it was first asked for."""
        if self.config.revision is not None:
            return self.config.revision
        assert self.config.repository is not None
        pin = self._raw / f"{self.config.repository.replace('/', '--')}.json"
        if not pin.exists():
            from huggingface_hub import HfApi

            with _explained(self.config):
                commit = HfApi().dataset_info(self.config.repository).sha
            with explain_full_disk(pin):
                pin.parent.mkdir(parents=True, exist_ok=True)
            write_json(pin, {"repository": self.config.repository, "revision": commit})
            logger.info("%s is now pinned to %s (in %s); set it as shards.revision where others must get the "
                        "same pairs", self.config.repository, commit, pin)  # fmt: skip
        return json.loads(pin.read_text(encoding="utf-8"))["revision"]

    def _folder(self) -> Path:
        assert self.config.repository is not None
        return self._raw / f"{self.config.repository.replace('/', '--')}-{self._revision()[:12]}"

    def _names(self, folder: Path) -> list[str]:
        """The shards of the repository; a commit never changes, so the hub is asked but once."""
        listing = folder / ".listing.json"
        if not listing.exists():
            from huggingface_hub import HfApi

            assert self.config.repository is not None
            with _explained(self.config):
                files = HfApi().list_repo_files(
                    self.config.repository, revision=self._revision(), repo_type="dataset"
                )
            write_json(listing, sorted(files))
        files = json.loads(listing.read_text(encoding="utf-8"))
        names = [name for name in files if fnmatch(name, self.config.pattern)]
        if not names:
            some = ", ".join(files[:5]) or "none"
            raise DataError(
                f"shards.pattern: no file of {self.config.repository} matches {self.config.pattern!r}. "
                f"Its {len(files)} files begin with: {some}"
            )
        return names

    def _fetch(self, folder: Path, name: str) -> Path:
        """The shard, downloaded unless it is there; a connection that breaks is taken up where it broke."""
        from huggingface_hub import hf_hub_download

        assert self.config.repository is not None
        with _explained(self.config), explain_full_disk(folder):
            path = hf_hub_download(
                self.config.repository,
                name,
                repo_type="dataset",
                revision=self._revision(),
                local_dir=folder,
            )
        return Path(path)


def _local_files(pattern: str) -> list[Path]:
    """The tars that `pattern` names, sorted, each once."""
    try:
        patterns = list(braceexpand(pattern))
    except ValueError as error:
        raise DataError(f"shards.path: {pattern!r} cannot be read ({error}). Check its braces.") from None
    found: set[Path] = set()
    for one in patterns:
        path = Path(one)
        if path.is_dir():
            found.update(file for file in path.glob("*.tar") if file.is_file())
        elif path.is_file():
            found.add(path)
        else:
            # Path.glob takes no absolute pattern.
            matches = glob.glob(one, recursive=True)  # noqa: PTH207
            found.update(Path(file) for file in matches if Path(file).is_file())
    if not found:
        raise DataError(
            f"shards.path: no tar matches {pattern!r}. Check the path (the folder is {Path.cwd()})."
        )
    return sorted(found)


@contextmanager
def _explained(config: ShardsConfig) -> Iterator[None]:
    """What the hub refuses, told by what to do about it."""
    from huggingface_hub import errors

    # Where a network fails, the hub's library lets the errors of its HTTP library through (httpx or httpx2,
    # by its version) or, where it downloads by xet, RuntimeErrors.
    network = (cast(type[Exception], errors.HfHubHTTPError.__bases__[0]), RuntimeError, OSError)
    place = f"{config.repository} at {config.revision or 'its newest commit'}"
    try:
        yield
    except errors.GatedRepoError:
        told = "is gated. Accept its terms on the hub and set HF_TOKEN to a token of that account."
    except errors.RepositoryNotFoundError:
        told = "does not exist, or is private. Check shards.repository; for a private one, set HF_TOKEN."
    except errors.RevisionNotFoundError:
        told = "has no such commit. Check shards.revision on the History page of the repository."
    except errors.EntryNotFoundError as error:
        if not isinstance(error, errors.LocalEntryNotFoundError):
            told = f"lacks a file that it lists ({first_line(error)}). Check HF_ENDPOINT."
        else:
            told = f"cannot be reached ({first_line(error.__cause__ or error)}). {AGAIN}"
    except errors.OfflineModeIsEnabled:
        told = "is needed, but HF_HUB_OFFLINE is set. Unset it, or use shards.path."
    except network as error:
        told = f"cannot be read ({first_line(error)}). {AGAIN}"
    except errors.HFValidationError as error:
        told = f"is no name of a repository ({first_line(error)}). Check shards.repository."
    else:
        return
    raise DataError(f"{place}: {told}")


AGAIN = "Check the network and HF_ENDPOINT, and run the same command again; it goes on from what is there."
