"""img2dataset as a child process, in an environment of its own: it needs older libraries than ours.

`img2dataset.lock` pins and hashes all that the environment may hold. It is made anew with

    printf 'img2dataset==1.47.0\\npyspark\\nray\\nsetuptools\\n' | uv pip compile - --universal \\
        --python-version 3.11 --generate-hashes --no-header --no-annotate --output-file img2dataset.lock

(setuptools, because pyspark comes as source). Environments are kept in the user's cache folder and shared by
all checkouts that have the same lock.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from rglcd_pipelines.artifacts import explain_full_disk
from rglcd_pipelines.data.sources.urls import guard
from rglcd_pipelines.errors import DataError

Distributor = Literal["multiprocessing", "pyspark", "ray"]

_COMPLETE = "complete"
_GUARD = "rglcd_guard"
_MAX_PIXELS = 2**28

logger = logging.getLogger(__name__)


def environment(distributor: Distributor) -> Path:
    """The folder with `bin/img2dataset`; built on first use, which needs the network."""
    lock = _text("img2dataset.lock")
    guards = {"__init__.py": _text("guard.py") + "\n\ninstall()\n", "addresses.py": _text("addresses.py")}
    python = _python()
    digest = hashlib.sha256("\0".join([lock, *guards.values(), distributor, python[0]]).encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rglcd_pipelines"
    folder = cache / f"img2dataset-{digest.hexdigest()[:16]}"
    if (folder / _COMPLETE).is_file():
        return folder
    with explain_full_disk(folder), _alone(cache, folder):
        if not (folder / _COMPLETE).is_file():
            # The scripts of an environment name its path: it is built in place and marked when it is whole.
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, distributor, lock, guards, python[1])
    return folder


def run(
    folder: Path,
    arguments: Mapping[str, Any],
    downloads: Mapping[str, Any],
    log: Path,
    progress: Callable[[], int],
    patience: float,
    held: int,
) -> None:
    """Run img2dataset with `arguments` to its end; its output goes to `log`.

    `downloads` are the arguments of `guard.opener`. `progress` is asked now and then for a number: when that
    stands still for `patience` seconds, a worker was lost (its pool waits for it for ever), and the run ends.
    The open file `held` is passed on, so that a lock on it is held until the child is gone.
    """
    command = command_line(folder, arguments)
    with explain_full_disk(log), log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=_variables(folder, downloads),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(held,),
        )
    try:
        code = _wait(process, progress, patience)
    finally:
        _end_group(process)
    if code is None:
        problem = f"made no progress for {patience:.0f} s; run the same command again to go on"
    elif code < 0:
        problem = f"was ended by {signal.Signals(-code).name}"
    elif code > 0:
        problem = f"failed with exit status {code}"
    else:
        return
    raise DataError(f"img2dataset {problem}. {told(command, log)}")


def command_line(folder: Path, arguments: Mapping[str, Any]) -> list[str]:
    """The command; values as JSON, which its parser takes for what they are, not for numbers or tuples."""
    return [
        str(folder / "bin" / "img2dataset"),
        *(f"--{name}={_value(value)}" for name, value in arguments.items() if value is not None),
    ]


def told(command: list[str], log: Path) -> str:
    """The command and the end of its output, for an error."""
    with log.open("rb") as file:
        lines = deque((line.decode(errors="replace").rstrip() for line in file), maxlen=20)
    return f"The command:\n  {shlex.join(command)}\nThe end of its output ({log}):\n" + "\n".join(
        f"  {line[-500:]}" for line in lines
    )


def _value(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    return str(value) if isinstance(value, bool) else json.dumps(value)


def _text(name: str) -> str:
    return files("rglcd_pipelines.data.sources.urls").joinpath(name).read_text(encoding="utf-8")


def _python() -> tuple[str, str]:
    """The Python to use, as its version and as uv's request for it: ours, unless it is too new."""
    if sys.version_info < (3, 13):
        return f"{sys.version_info.major}.{sys.version_info.minor}", sys.executable
    return "3.12", "3.12"  # img2dataset imports imghdr, which Python 3.13 no longer has


def _build(folder: Path, distributor: Distributor, lock: str, guards: Mapping[str, str], python: str) -> None:
    from uv import find_uv_bin

    logger.info("Building the environment of img2dataset (%s) in %s", distributor, folder)
    wanted = ["img2dataset"] + ([] if distributor == "multiprocessing" else [distributor])
    pins = [re.findall(rf"(?m)^{name}==\S+", lock)[0] for name in wanted]
    _uv([find_uv_bin(), "venv", "--no-config", "--no-project", "--python", python, str(folder)])
    constraints = folder / "img2dataset.lock"
    constraints.write_text(lock, encoding="utf-8")
    _uv(
        [
            *(find_uv_bin(), "pip", "install", "--python", str(folder / "bin" / "python"), *pins),
            *("--constraints", str(constraints), "--require-hashes"),
            *("--build-constraints", str(constraints), "--require-build-hashes"),
        ]
    )
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    (packages / _GUARD).mkdir()
    for name, text in guards.items():
        (packages / _GUARD / name).write_text(text, encoding="utf-8")
    (packages / f"{_GUARD}.pth").write_text(f"import {_GUARD}\n", encoding="utf-8")
    (folder / _COMPLETE).touch()


def _uv(command: list[str]) -> None:
    done = subprocess.run(
        command,
        env=_own_variables(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        output = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-15:])
        raise DataError(
            "The environment of img2dataset could not be built. It is downloaded once, on first use: check "
            "the network (UV_DEFAULT_INDEX names a package index other than the default), then run the same "
            f"command again.\nThe command:\n  {shlex.join(command)}\nThe end of its output:\n{output}"
        )


@contextmanager
def _alone(cache: Path, folder: Path) -> Iterator[None]:
    """One process at a time builds an environment; the others wait for it."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _own_variables() -> dict[str, str]:
    """Our environment variables without those that would lead Python or uv back to our own packages."""
    ours = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def _variables(folder: Path, downloads: Mapping[str, Any]) -> dict[str, str]:
    python = str(folder / "bin" / "python")
    return _own_variables() | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",  # or a folder called ray, such as Ray leaves in /tmp, is taken for the package
        "PYTHONUNBUFFERED": "1",
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "DO_NOT_TRACK": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # A picture of a few kilobytes may claim gigabytes of pixels: OpenCV then refuses to decode it.
        "OPENCV_IO_MAX_IMAGE_PIXELS": str(_MAX_PIXELS),
        guard.VARIABLE: json.dumps(dict(downloads)),
    }


def _wait(process: subprocess.Popen[bytes], progress: Callable[[], int], patience: float) -> int | None:
    """The exit status, or None when `progress` stood still for too long."""
    seen, since = progress(), time.monotonic()
    while True:
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            now = progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                return None
        else:
            progress()
            return code


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started and did not end itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
