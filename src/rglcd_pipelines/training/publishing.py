"""A student on the hub: what is sent, and that all of it arrives in one commit. Importing this is quick."""

import hashlib
import json
import logging
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field, field_validator

from rglcd_pipelines.artifacts import MANIFEST, Artifact, digest_file, open_artifact
from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError, DataError, first_line

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.hf_api import RepoFile

KIND = "student"
CARD = "README.md"
MAIN = "main"

NAME = re.compile(r"(?!.*(?:--|\.\.))\w(?:[\w.-]*\w)?/\w(?:[\w.-]{0,94}\w)?(?<!\.git)", re.ASCII)
"""What the hub takes for a name; checked here so that a mistake is told before anything is asked of it."""

WORDS = {".json", ".md", ".csv", ".txt"}
"""Endings of files that people read."""
LOCAL_PATH = re.compile(r"""(?:^|[\s"'`(=:,])(/[\w.~+-]+(?:/[\w.~+-]+)+)""", re.MULTILINE)

logger = logging.getLogger(__name__)


class PublishConfig(Config):
    """Where a student is published."""

    repository: str | None = None
    """The repository on the hub, as owner/name; it is made if it is not there."""
    private: bool = True
    """Whether only its owner may see it; false shows it to everybody."""
    message: str | None = Field(default=None, min_length=1)
    """The message of the commit; by default, which student it is."""
    revision: str = Field(default=MAIN, min_length=1)
    """The branch; it is made if it is not there."""
    local_paths: bool = False
    """Whether the student's files may name absolute paths of this machine; otherwise that is refused."""

    @field_validator("repository")
    @classmethod
    def _is_a_name(cls, repository: str | None) -> str | None:
        if repository is not None and not NAME.fullmatch(repository):
            raise ValueError(f"is {repository!r}, no name of a repository; give owner/name")
        return repository


@dataclass(frozen=True)
class Published:
    """A student on the hub."""

    repository: str
    """Where it is."""
    commit: str
    """The URL of the commit that holds it."""
    student: str
    """Its digest."""


def repository_of(settings: PublishConfig) -> str:
    """The repository; it has no default, as nobody but the user knows where the student may go."""
    if settings.repository is None:
        raise ConfigError(
            "publish.repository: is not set. Say where the student goes: "
            "kedro run --pipeline=publish --params=publish.repository=OWNER/NAME"
        )
    return settings.repository


def publish(settings: PublishConfig, place: Path, variant: str) -> Published:
    """The finished student at `place`, in one commit: all of it, or nothing."""
    repository = repository_of(settings)
    student = _open(place, variant)
    files = verified(student)
    if not settings.local_paths:
        refuse_local_paths(student.path, files)
    with _explained(repository, settings):
        url = _send(student, files, repository, settings)
    return Published(repository, url, student.digest)


def _open(place: Path, variant: str) -> Artifact:
    if not (place / MANIFEST).is_file():
        raise DataError(
            f"{place}: there is no student here, and publishing trains none. Make it, with the same --env if "
            f"there was one: kedro run --pipeline=distill --params=variant={variant}"
        )
    return open_artifact(place, KIND)


def verified(student: Artifact) -> dict[str, str]:
    """The digests of all files to be sent, once each is known to be what it was when the student was made."""
    listed = student.manifest.get("files")
    if not isinstance(listed, Mapping) or not listed:
        raise DataError(f"{student.path / MANIFEST}: lists no files. Remove the folder and distil it again.")
    for name, digest in listed.items():
        inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        file = student.path / name
        if not inside or not file.is_file() or digest_file(file) != digest:
            how = "was changed" if inside and file.is_file() else "is missing"
            raise DataError(
                f"{file}: {how} since the student was made, so nothing was published. Put back what was "
                f"there, or remove {student.path} and distil it again."
            )
    return {**listed, MANIFEST: digest_file(student.path / MANIFEST)}


def refuse_local_paths(folder: Path, names: Mapping[str, str]) -> None:
    """What a machine's folders are called is nobody's business, and nobody else's path leads anywhere."""
    for name in sorted(names):
        if Path(name).suffix not in WORDS:
            continue
        if found := LOCAL_PATH.search((folder / name).read_text(encoding="utf-8", errors="replace")):
            raise DataError(
                f"{folder / name}: names {found[1]}, a path of this machine, so nothing was published. Make "
                "the student with paths inside the project, or allow it: --params=publish.local_paths=true"
            )


def _send(student: Artifact, files: Mapping[str, str], repository: str, settings: PublishConfig) -> str:
    """The URL of the commit that holds the student."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()  # which would write a line for each step into a log
    token = get_token()
    if token is None:
        raise DataError(f"{repository}: there is no token to publish with. {LOG_IN}")
    api = HfApi(token=token)
    head = _head(api, repository, settings)
    there = _files_there(api, repository, head)
    changed = [name for name in files if not _is_same(student.path / name, files[name], there.get(name))]
    url = f"{api.endpoint}/{repository}/commit/{head}"
    # Cards are written on upon the hub's pages, and that is not for us to undo while the student is the same.
    if not set(changed) - ({CARD} & set(there)):
        logger.info("%s: this student is at %s already; nothing to do: %s", student.path, repository, url)
        return url
    stale = _stale(api, repository, head, there) - set(files) if MANIFEST in changed else set()
    name = student.manifest.get("variant", student.path.name)
    done = api.create_commit(
        repository,
        _operations(student.path, changed, stale),
        commit_message=settings.message or f"Student {name} ({student.digest[:12]})",
        revision=settings.revision,
        parent_commit=head,  # what it was compared with
    )
    logger.info("%s: published: %s", student.path, done.commit_url)
    return done.commit_url


def _head(api: "HfApi", repository: str, settings: PublishConfig) -> str:
    """The branch's newest commit; repository and branch are made if they are not there."""
    api.create_repo(repository, private=settings.private, exist_ok=True)
    if settings.revision != MAIN:
        api.create_branch(repository, branch=settings.revision, exist_ok=True)
    info = api.model_info(repository, revision=settings.revision)
    if settings.private and info.private is False:
        raise DataError(
            f"{repository}: is there already, and everybody may see it. Make it private on its Settings "
            "page, or publish for everybody: --params=publish.private=false"
        )
    if info.private and not settings.private:
        logger.warning("%s: stays private, as it was; its Settings page on the hub changes that", repository)
    if info.sha is None:
        raise DataError(f"{repository}: the hub does not tell its newest commit. {AGAIN}")
    return info.sha


def _files_there(api: "HfApi", repository: str, head: str) -> dict[str, "RepoFile"]:
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repository, recursive=True, revision=head)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def _is_same(file: Path, digest: str, there: "RepoFile | None") -> bool:
    """Whether the hub has the file already; it tells small files by git's digest, and large ones by ours."""
    if there is None or there.size != file.stat().st_size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == digest
    content = file.read_bytes()
    return there.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _stale(api: "HfApi", repository: str, head: str, there: Mapping[str, Any]) -> set[str]:
    """Files of the student that was published there before; what else is there is not ours to remove."""
    if MANIFEST not in there:
        return set()
    with tempfile.TemporaryDirectory() as folder:
        file = api.hf_hub_download(repository, MANIFEST, revision=head, local_dir=folder)
        try:
            listed = json.loads(Path(file).read_text(encoding="utf-8"))["files"]
            return set(listed) & set(there)
        except (ValueError, KeyError, TypeError):
            return set()


def _operations(
    folder: Path, changed: list[str], stale: set[str]
) -> "list[CommitOperationAdd | CommitOperationDelete]":
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    return [
        *(CommitOperationDelete(path_in_repo=name) for name in sorted(stale)),
        *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in changed),
    ]


LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."
AGAIN = "Check the network and HF_ENDPOINT, and run the same command again."
NO_XET = "If this hub does not know Xet, set HF_HUB_DISABLE_XET=1."


@contextmanager
def _explained(repository: str, settings: PublishConfig) -> Iterator[None]:
    """What the hub refuses, told by what to do about it."""
    from huggingface_hub import errors

    # Where a network fails, the hub's library lets the errors of its HTTP library through (httpx or httpx2,
    # by its version) or, where it uploads in several threads or by Xet, RuntimeErrors.
    network = (cast(type[Exception], errors.HfHubHTTPError.__bases__[0]), RuntimeError, OSError)
    try:
        yield
    except errors.OfflineModeIsEnabled:
        told = "cannot be published to while HF_HUB_OFFLINE is set. Unset it, and run the same command again."
    except errors.RevisionNotFoundError:
        told = f"has no branch {settings.revision!r}. Check publish.revision."
    except errors.HFValidationError as error:
        told = f"is no name of a repository ({first_line(error)}). Check publish.repository."
    except errors.HfHubHTTPError as error:
        told = _refusal(error)
    except network as error:
        why = ": ".join(dict.fromkeys(first_line(each) for each in (error, error.__cause__) if each))
        xet = f" {NO_XET}" if "xet" in why.lower() else ""
        told = f"the connection to the hub broke ({why}); it has all of the student or nothing. {AGAIN}{xet}"
    except json.JSONDecodeError as error:
        told = f"what answers is no hub ({first_line(error)}). {AGAIN}"
    except ValueError as error:
        told = f"the hub refuses the student ({_flat(str(error))}), and nothing was published."
    else:
        return
    raise DataError(f"{repository}: {told}")


def _refusal(error: Any) -> str:
    """What a hub means that answers with an error."""
    status, said = error.response.status_code, _flat(error.server_message or first_line(error))
    if status == 401:
        return f"the hub does not take the token ({said}). {LOG_IN}"
    if status == 403:
        return f"the token may not write there ({said}). Check publish.repository. {LOG_IN}"
    if status == 404:
        return f"is not there for this token ({said}). Check publish.repository. {LOG_IN}"
    if status in (409, 412):
        return f"was changed by somebody else just now ({said}). Run the same command again."
    return f"the hub answers {status} ({said}), and nothing was published. {AGAIN}"


def _flat(said: str) -> str:
    return " ".join(said.split()).rstrip(".")
