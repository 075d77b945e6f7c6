"""Reward models from the hub, at one commit, in the hub's own cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from rglcd_pipelines.errors import DataError, first_line
from rglcd_pipelines.rewards.settings import Place

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)


def folder_of(place: Place, wanted: Sequence[str], where: str) -> Path:
    """The folder that holds the files of `place` whose names are `wanted`, fetched if need be.

    `where` is the parameter that `place` was given in. What is wanted and not there is not told here: some
    of it may be missing from a folder that is whole.
    """
    if place.source == "folder":
        return Path(place.id)
    from huggingface_hub import snapshot_download

    with explained(place, where):
        return Path(snapshot_download(place.id, revision=place.revision, allow_patterns=list(wanted)))


def file_of(place: Place, where: str, beside: Sequence[str] = ()) -> Path:
    """The file of `place`, and in the same folder what is wanted `beside` it."""
    assert place.file is not None
    folder = folder_of(place, [place.file, *beside], where)
    file = folder / place.file
    if file.is_file():
        return file
    if place.source == "folder" and not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check {where}.id.")
    names = _names(place, folder, where)
    near = get_close_matches(place.file, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(names[:8]) or 'nothing'}."
    raise DataError(f"{_called(place)}: holds no {place.file}; {hint} Check {where}.file.")


def _names(place: Place, folder: Path, where: str) -> list[str]:
    if place.source == "folder":
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    from huggingface_hub import HfApi

    with explained(place, where):
        return sorted(HfApi().list_repo_files(place.id, revision=place.revision))


def _called(place: Place) -> str:
    return place.id if place.source == "folder" else f"{place.id} at {place.revision}"


@contextmanager
def explained(place: Place, where: str) -> Iterator[None]:
    """What the hub refuses, told by what to do about it."""
    from huggingface_hub import errors

    # Where a network fails, the hub's library lets the errors of its HTTP library through (httpx or httpx2,
    # by its version) or, where it downloads by xet, RuntimeErrors.
    network = (cast(type[Exception], errors.HfHubHTTPError.__bases__[0]), RuntimeError, OSError)
    again = (
        "Check the network and HF_ENDPOINT, and run the same command again; it goes on from what is there. "
        f"Without a network, copy the files here and set {where}.source to folder."
    )
    try:
        yield
    except errors.GatedRepoError:
        told = "is gated. Accept its terms on the hub and set HF_TOKEN to a token of that account."
    except errors.RepositoryNotFoundError:
        told = f"does not exist, or is private. Check {where}.id; for a private one, set HF_TOKEN."
    except errors.RevisionNotFoundError:
        told = f"has no such commit. Check {where}.revision on the History page of the repository."
    except errors.OfflineModeIsEnabled:
        told = f"is needed, but HF_HUB_OFFLINE is set. Unset it, or set {where}.source to folder."
    except errors.LocalEntryNotFoundError as error:
        told = f"cannot be reached ({first_line(error.__cause__ or error)}). {again}"
    except errors.HFValidationError as error:
        told = f"is no name of a repository ({first_line(error)}). Check {where}.id."
    except network as error:
        told = f"cannot be read ({first_line(error)}). {again}"
    else:
        return
    raise DataError(f"{_called(place)}: {told}")
