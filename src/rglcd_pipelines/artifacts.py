"""What a stage leaves behind: a folder that is complete or absent, with a manifest of what it was made from.

A folder is drafted beside its place, under `.partial/NAME-FINGERPRINT`, and renamed into it when it is whole.
A run that is killed leaves its draft; the next run with the same `made_from` finds it and goes on, and a run
with other settings has another fingerprint, so it never continues somebody else's work.
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rglcd_pipelines.errors import DataError

MANIFEST = "manifest.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A finished folder: the handle that nodes pass to each other."""

    path: Path
    manifest: Mapping[str, Any]
    reused: bool = field(default=False, compare=False)
    """Whether it stood there already when it was asked for."""

    @property
    def digest(self) -> str:
        """Names the content: the manifest with its files' digests, less how it came to be."""
        return digest_json({k: v for k, v in self.manifest.items() if k != "made_from"})

    @property
    def metrics(self) -> dict[str, float]:
        """The figures of the run that made it, for tracking; where only the folder came here, those in it."""
        try:
            told = json.loads(_metrics_file(self.path).read_text(encoding="utf-8"))
            if told["artifact"] == self.digest:
                return told["metrics"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return dict(self.manifest.get("figures", {}))


@dataclass(frozen=True)
class Draft:
    """A folder in the making; what a killed run had finished in it is still there."""

    path: Path


def open_artifact(path: Path, kind: str) -> Artifact:
    """The finished folder at `path`, which must be a `kind` (such as "pairs")."""
    file = path / MANIFEST
    if not file.is_file():
        stage = STAGE_OF.get(kind, kind)
        raise DataError(f"{path}: there are no {kind} here. Make them with: kedro run --pipeline={stage}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        found = manifest["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: the manifest cannot be read ({error}). Remove {path} and run the stage again."
        ) from None
    if found != kind:
        raise DataError(f"{path}: holds {found}, not {kind}. Check the path.")
    return Artifact(path, manifest)


STAGE_OF = {
    "pairs": "ingest",
    "latents": "encode",
    "trajectories": "trajectories",
    "student": "distill",
    **dict.fromkeys(("prompts", "reference"), "prompts"),
    **dict.fromkeys(("samples", "scores"), "evaluate"),
    **dict.fromkeys(("captions", "lrm", "zero_shot", "labelled"), "lrm"),
    **dict.fromkeys(("autoencoder", "clip", "judge", "teacher", "preferences", "reward", "sets"), "world"),
}
"""Which pipeline makes which kind of folder, for messages."""


def standing(path: Path, kind: str, made_from: Mapping[str, Any]) -> Artifact | None:
    """What stands at `path`, if it is whole and made from exactly `made_from`.

    A draft that has its manifest is whole: its run was killed just before it could put it in its place.
    """
    whole = draft_folder(path, made_from)
    if (whole / MANIFEST).is_file():
        with _locked(whole.parent / f"{path.name}.lock", path):
            _put(whole, path)
    try:
        artifact = open_artifact(path, kind)
    except DataError:
        return None
    if artifact.manifest.get("made_from") != json.loads(canonical_json(made_from)):
        return None
    return Artifact(path, artifact.manifest, reused=True)


@contextmanager
def draft(path: Path, made_from: Mapping[str, Any]) -> Iterator[Draft]:
    """A folder beside `path` to write into: a fresh one, or the one that a killed run left."""
    folder = draft_folder(path, made_from)
    with explain_full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f"{path.name}.lock", path):
        _tell_abandoned(folder.parent, path.name, folder)
        _tell_abandoned(folder.parent, f"scratch-{path.name}", scratch_folder(path, made_from))
        yield Draft(folder)


def draft_folder(path: Path, made_from: Mapping[str, Any]) -> Path:
    """Where the draft of what will stand at `path` is."""
    return path.parent / ".partial" / f"{path.name}-{digest_json(made_from)[:16]}"


def scratch_folder(path: Path, made_from: Mapping[str, Any]) -> Path:
    """For what a draft needs while it is made and nobody needs afterwards, such as checkpoints."""
    whole = draft_folder(path, made_from)
    return whole.with_name(f"scratch-{whole.name}")


def _tell_abandoned(partial: Path, name: str, current: Path) -> None:
    """Unfinished work of other settings may be large, and only the user knows whether it is still wanted."""
    for other in sorted(partial.glob(f"{name}-*")):
        if other.is_dir() and other != current:
            size = sum(file.stat().st_size for file in other.rglob("*") if file.is_file())
            if size:
                logger.info("%s: unfinished work of other settings, %.1f MB; remove it or keep it for them",
                            other, size / 1e6)  # fmt: skip


def publish(
    work: Draft,
    path: Path,
    kind: str,
    made_from: Mapping[str, Any],
    body: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> Artifact:
    """Write the manifest into the draft and put the whole folder in its place.

    Times and speeds go into a file beside the folder: equal settings give equal folders, to the byte.
    """
    manifest = {"kind": kind, "made_from": json.loads(canonical_json(made_from)), **body}
    write_json(work.path / MANIFEST, manifest)
    artifact = Artifact(path, manifest)
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = {"artifact": artifact.digest, "finished": finished, "metrics": dict(metrics)}
    write_json(_metrics_file(path), told)
    _put(work.path, path)
    return artifact


def _put(whole: Path, path: Path) -> None:
    """A draft that has its manifest, and so all else, in its place."""
    old = whole.parent / f"{path.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    whole.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _metrics_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.metrics.json")


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it was written whole."""
    partial = path.with_name(f".{path.name}.tmp")
    try:
        with explain_full_disk(path):
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    with atomic_file(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


@contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """A disk that fills up is told by the file that did not fit; what was finished stays for the next run."""
    try:
        yield
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise DataError(
            f"{path}: the disk is full. Free some space on it and run the same command again; "
            "it goes on from what is finished."
        ) from None


def _is_full_disk(error: Exception) -> bool:
    """Python's own error, or that of a library in Rust, such as safetensors, which has a number in words."""
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError):
        return error.errno in full
    return any(f"(os error {number})" in str(error) for number in full)


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(folder: Path) -> dict[str, str]:
    """The digest of every file under `folder`, less its manifest and what a killed run was just writing."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {
        name: digest_file(file)
        for name, file in sorted(found.items())
        if name != MANIFEST and not file.name.startswith(".")
    }


def canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_json(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@contextmanager
def _locked(file: Path, place: Path) -> Iterator[None]:
    """One run at a time at one draft; the lock goes with the process, so a killed run leaves none."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{place}: another run is making this right now. Wait for it, or stop it."
            ) from None
        yield
