"""A TSV of URLs and captions, as CC12M is published, downloaded by img2dataset into shards.

In `raw/urls-DIGEST`: `list.json` and `lists/` (what is to be downloaded), `shards/` (img2dataset's tars,
tables and statistics), `img2dataset.log`. A shard is finished when its statistics, its table and
its tar agree; the others are downloaded again by the next run.
"""

import fcntl
import logging
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from tqdm import tqdm

from rglcd_pipelines.artifacts import digest_json, explain_full_disk
from rglcd_pipelines.config import Config
from rglcd_pipelines.data.sources.urls import img2dataset
from rglcd_pipelines.data.sources.urls.downloaded import DownloadedShard
from rglcd_pipelines.data.sources.urls.list import UrlList, read_list, remembered_digest, update_list
from rglcd_pipelines.errors import DataError

FORMAT = 1
_LOCK_SECONDS = 10
_LEAST_PATIENCE = 900

logger = logging.getLogger(__name__)


class UrlsConfig(Config):
    """Which URLs to download, and how."""

    tsv: str
    """The file of rows `URL, tab, caption` without a header, as CC12M has it; its name may end in .gz."""
    max_urls: int | None = Field(default=None, ge=1)
    """How many URLs to download at most, from the first on."""
    allow_private_hosts: bool = False
    """Whether URLs may lead to machines of our own network."""
    resize_mode: Literal["no", "keep_ratio", "keep_ratio_largest", "center_crop", "border"] = "no"
    """What becomes of an image before it is stored; "no" stores a JPEG's bytes as they came."""
    image_size: int | None = Field(default=None, ge=1)
    """The side in pixels to resize to, where `resize_mode` is not "no"; smaller images are not enlarged."""
    min_image_size: int = Field(default=0, ge=0)
    """Images with a shorter side in pixels are not stored."""
    max_image_bytes: int = Field(default=32 * 2**20, ge=1, le=64 * 2**20)
    """Files larger than this are not downloaded."""
    processes: int = Field(default=8, ge=1)
    """How many processes download; with ray, its own count of CPUs takes the place of this."""
    threads: int = Field(default=64, ge=1)
    """How many downloads run at once in each process."""
    timeout: int = Field(default=10, ge=1)
    """Seconds that a server may be silent."""
    retries: int = Field(default=1, ge=0)
    """How often a download that failed is tried again at once."""
    urls_per_shard: int = Field(default=10_000, ge=1)
    """How many URLs go into a shard, which is also what a killed run loses."""
    distributor: img2dataset.Distributor = "multiprocessing"
    """What spreads the work: processes of this machine, Spark, or Ray (RAY_ADDRESS names a cluster, whose
    machines must see the same files)."""
    incremental_mode: Literal["incremental", "overwrite", "extend"] = "incremental"
    """Whether to go on from what is there ("incremental"), to start anew each time ("overwrite"), or to keep
    the shards even when the TSV was appended to or `max_urls` raised, and download the rest ("extend")."""
    user_agent_token: str | None = None
    """A name that servers see in the user agent and may address in their X-Robots-Tag headers."""
    disallowed_header_directives: list[str] = Field(
        default=["noai", "noimageai", "noindex", "noimageindex"],
    )
    """Images whose X-Robots-Tag header holds one of these are not kept."""

    @field_validator("user_agent_token")
    @classmethod
    def _is_token(cls, token: str | None) -> str | None:
        if token is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", token):
            raise ValueError("may hold letters, digits, '.', '_' and '-' only; choose another name")
        return token

    @model_validator(mode="after")
    def _resizes_to_something(self) -> Self:
        if (self.resize_mode == "no") != (self.image_size is None):
            raise ValueError(
                f"resize_mode {self.resize_mode!r} does not go with image_size {self.image_size}; give "
                "image_size exactly when images are to be resized"
            )
        return self


class UrlsSource:
    """The shards that img2dataset made of a TSV."""

    def __init__(self, config: UrlsConfig, raw: Path) -> None:
        if any(sign in str(raw.absolute()) for sign in ("*", "?", "[", "::")):
            raise DataError(
                f"{raw}: img2dataset takes '*', '?', '[' and '::' in a path for more than a name. "
                "Keep the data in a folder without them."
            )
        self._config = config
        self._raw = raw
        self._tsv = Path(config.tsv)

    def identity(self) -> dict[str, Any]:
        """How patiently and by how many the images are fetched is left out: it may change from run to run."""
        return self._settings() | {"tsv": self._digest(), "max_urls": self._config.max_urls}

    def shards(self) -> Iterator[Path]:
        with _alone(self._folder()) as held:
            if self._config.incremental_mode == "overwrite":
                for part in ("lists", "shards"):
                    shutil.rmtree(self._folder() / part, ignore_errors=True)
                (self._folder() / "list.json").unlink(missing_ok=True)
            listed = update_list(
                self._folder(),
                self._tsv,
                self._digest(),
                self._config.max_urls,
                self._config.urls_per_shard,
                self._config.allow_private_hosts,
            )
            shards = self._shards(listed)
            if not all(shard.is_finished() for shard in shards):
                self._download(shards, held)
        yield from (shard.tar for shard in shards)

    def expected(self) -> None:
        return None

    def losses(self) -> dict[str, int]:
        listed = read_list(self._folder())
        if listed is None:
            return {}
        lost = Counter(listed.dropped)
        for shard in self._shards(listed):
            lost.update(shard.losses())
        return dict(sorted(lost.items()))

    def _settings(self) -> dict[str, Any]:
        matter = {
            "allow_private_hosts", "resize_mode", "image_size", "min_image_size", "max_image_bytes",
            "urls_per_shard", "user_agent_token", "disallowed_header_directives",
        }  # fmt: skip
        return {"kind": "urls", "format": FORMAT, **self._config.model_dump(include=matter)}

    def _digest(self) -> str:
        name = digest_json(str(self._tsv.absolute()))[:16]
        return remembered_digest(self._tsv, self._raw / f"tsv-{name}.json")

    def _folder(self) -> Path:
        if self._config.incremental_mode == "extend":
            what = self._settings() | {"path": str(self._tsv.absolute())}
        else:
            what = self.identity()
        return self._raw / f"urls-{digest_json(what)[:16]}"

    def _shards(self, listed: UrlList) -> list[DownloadedShard]:
        sizes = listed.shard_sizes(self._config.urls_per_shard)
        return [DownloadedShard(self._folder() / "shards", number, size) for number, size in enumerate(sizes)]

    def _download(self, shards: list[DownloadedShard], held: int) -> None:
        config, folder = self._config, self._folder()
        environment = img2dataset.environment(config.distributor)
        for shard in shards:
            if not shard.is_finished():
                shard.forget()
        left = [shard for shard in shards if not shard.is_finished()]
        logger.info("Downloading %d URLs into %s", sum(shard.urls for shard in left), folder / "shards")
        arguments = _arguments(config, folder)
        log = folder / "img2dataset.log"
        with tqdm(
            total=sum(shard.urls for shard in left), desc="downloading", unit=" images", disable=None
        ) as bar:
            img2dataset.run(
                environment,
                arguments,
                {"allow_private": config.allow_private_hosts, "max_bytes": config.max_image_bytes},
                log,
                lambda: _progress(folder / "shards", left, bar),
                max(_LEAST_PATIENCE, 20 * config.timeout * (config.retries + 1)),
                held,
            )
        missing = [shard.tar.name for shard in shards if not shard.is_finished()]
        if missing:
            command = img2dataset.command_line(environment, arguments)
            raise DataError(
                f"img2dataset ended before it was done: {len(missing)} of {len(shards)} shards are missing "
                f"or incomplete ({', '.join(missing[:5])}). Put right what its output tells (a full disk, "
                "too little memory) and run the same command again; it goes on. "
                + img2dataset.told(command, log)
            )


def _arguments(config: UrlsConfig, folder: Path) -> dict[str, Any]:
    """img2dataset's arguments. A killed run in its overwrite or extend mode cannot go on, so it is always
    told to be incremental, and the other two are made here."""
    return {
        "url_list": (folder / "lists").absolute(),
        "output_folder": (folder / "shards").absolute(),
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "incremental_mode": "incremental",
        "distributor": config.distributor,
        "processes_count": config.processes,
        "thread_count": config.threads,
        "timeout": config.timeout,
        "retries": config.retries,
        "number_sample_per_shard": config.urls_per_shard,
        "resize_mode": config.resize_mode,
        "image_size": config.image_size,
        "resize_only_if_bigger": True,
        "min_image_size": config.min_image_size,
        "skip_reencode": True,
        "extract_exif": False,
        "enable_wandb": False,
        "user_agent_token": config.user_agent_token,
        "disallowed_header_directives": config.disallowed_header_directives,
    }


def _progress(folder: Path, shards: list[DownloadedShard], bar: "tqdm[Any]") -> int:
    """Show how many images are done; returns how many bytes there are, which grow while a shard is made."""
    bar.update(sum(shard.urls for shard in shards if shard.is_finished()) - bar.n)
    return sum(file.stat().st_size for file in folder.glob("*")) if folder.is_dir() else 0


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """One run at a time in `folder`; what a killed one has left behind gets a moment to end."""
    with explain_full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        for attempt in range(_LOCK_SECONDS * 10):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _LOCK_SECONDS * 10 - 1:
                    raise DataError(
                        f"{folder}: another run is downloading into it. Wait for it, or stop it."
                    ) from None
                time.sleep(0.1)
        yield lock.fileno()
