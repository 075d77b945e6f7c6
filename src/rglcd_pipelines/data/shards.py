"""Webdataset shards: tars whose neighbouring members of one name are one sample.

Reading trusts nothing: members are streamed and never extracted, and whatever is not a plain file with a
plain name comes back as `Damage` instead of a sample. Writing is deterministic, so that equal samples give
equal bytes.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rglcd_pipelines.artifacts import atomic_file

IMAGE_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"})
WANTED = IMAGE_EXTENSIONS | {"txt", "json", "cls"}
"""The parts of a sample that are read; others are passed over, whatever their size."""

BLOCK = 512
MAX_MEMBER_BYTES = 64 * 2**20
MAX_HEADER_BYTES = 2**20
"""The most that a name and other facts of a member may take; tarfile reads all of them into memory."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One pair as it stands in a shard; a part that is missing is None."""

    key: str
    image: bytes | None = None
    extension: str = "png"
    caption: bytes | None = None
    meta: bytes | None = None
    """The `.json` beside the pair: the attributes of a rendered image, or what a downloader noted."""
    label: bytes | None = None
    """The `.cls` of a labelled set: the number of the image's class."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in a shard that is no sample: `reason` is one of the names that the table of pairs knows."""

    key: str
    reason: str


def read_shard(path: Path, max_member_bytes: int = MAX_MEMBER_BYTES) -> Iterator[Sample | Damage]:
    """Everything in the tar at `path`, in order; a damaged end is told after what came before it."""
    parts: dict[str, bytes] = {}
    key = ""
    found = False
    try:
        with tarfile.open(path, "r|", tarinfo=_Header) as tar:
            for member in tar:
                found = True
                damage = _refuse(member, max_member_bytes)
                if damage is not None:
                    yield damage
                    continue
                if member.isdir():
                    continue
                stem, extension = _split(member.name)
                if stem != key or extension in parts:
                    if parts:
                        yield _sample(key, parts)
                    key, parts = stem, {}
                parts[extension] = _content(tar, member) if extension in WANTED else b""
            damage = _end(path, tar.offset, found)
    except (tarfile.TarError, EOFError, ValueError):
        damage = Damage(path.name, "truncated_shard" if found else _unreadable(path))
    # Where the end is damaged, the last sample may lack a part that the missing bytes held: it is not given.
    if parts and (damage is None or damage.reason == "data_after_end"):
        yield _sample(key, parts)
    if damage is not None:
        yield damage


def write_shard(path: Path, samples: Iterable[Sample]) -> int:
    """A tar of `samples` at `path`, whole or not at all; returns how many there were."""
    count = 0
    # Not by webdataset's TarWriter: it imports torch, and when a disk is full the stream that it leaves
    # behind writes once more as it is collected, into a file that is closed by then.
    with atomic_file(path) as file:
        tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        for sample in samples:
            parts = {
                sample.extension: sample.image,
                "txt": sample.caption,
                "json": sample.meta,
                "cls": sample.label,
            }
            for extension, content in sorted(parts.items()):
                if content is not None:
                    member = tarfile.TarInfo(f"{sample.key}.{extension}")
                    member.size, member.mode = len(content), 0o444
                    tar.addfile(member, io.BytesIO(content))
            count += 1
        tar.close()  # writes the end: not for a tar that is not whole
    return count


class _Header(tarfile.TarInfo):
    """A member's header, refused when it claims to be as large as only a bomb is."""

    EXTENDED = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in self.EXTENDED and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError("oversized header")
        return super()._proc_member(tar)  # pyright: ignore[reportAttributeAccessIssue]


def _refuse(member: tarfile.TarInfo, max_bytes: int) -> Damage | None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        return Damage(member.name, "unsafe_name")
    if not (member.isreg() or member.isdir()) or member.issparse():
        return Damage(member.name, "not_a_file")
    if member.size > max_bytes:
        return Damage(member.name, "too_large")
    return None


def _split(name: str) -> tuple[str, str]:
    """`a/b.c.jpg` is the part `c.jpg` of the sample `a/b`, as webdataset has it."""
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), extension.lower()


def _sample(key: str, parts: dict[str, bytes]) -> Sample:
    extension = next((name for name in parts if name in IMAGE_EXTENSIONS), None)
    return Sample(
        key=key,
        image=parts[extension] if extension else None,
        extension=extension or "",
        caption=parts.get("txt"),
        meta=parts.get("json"),
        label=parts.get("cls"),
    )


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # _refuse lets only plain files and folders through
    content = file.read()
    if len(content) != member.size:
        raise tarfile.ReadError("unexpected end of data")
    return content


def _end(path: Path, offset: int, found: bool) -> Damage | None:
    """What is wrong at `offset`, where tarfile saw the end: it takes any broken header for one."""
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(BLOCK)
        if len(block) < BLOCK or any(block):
            return Damage(path.name, "truncated_shard")
        if any(any(rest) for rest in iter(lambda: file.read(2**20), b"")):
            return Damage(path.name, "data_after_end")
    return None if found else Damage(path.name, "empty_shard")


def _unreadable(path: Path) -> str:
    return "unreadable_shard" if path.stat().st_size else "empty_shard"
