"""Work that is killed at a chosen moment: at the n-th time that it opens, renames, makes or removes a file.

    python -m tests.killing MODULE:FUNCTION ARGUMENTS JOBS

forks a child for each job (imports take longer than the work), which kills itself there, or never, for 0.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}


def killed(work: str, arguments: Sequence[str], jobs: Sequence[tuple[Path, int]]) -> list[tuple[int, str]]:
    """Exit status and count of each job: a place, and when `work(*arguments, place)` dies; `work` is
    module:function."""
    told = json.dumps([[str(place), last] for place, last in jobs])
    command = [sys.executable, "-m", "tests.killing", work, json.dumps(list(arguments)), told]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [(status, count) for status, count in json.loads(done.stdout)]


def _work(work: Callable[..., object], arguments: list[str], place: str, last: int) -> int:
    """How often it touched the place, if it was not killed."""
    count = 0

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal count
        if event in EVENTS and str(values[0]).startswith(place):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work(*arguments, Path(place))
    return count


def main() -> None:
    where, arguments, jobs = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    module, _, name = where.partition(":")
    work = getattr(import_module(module), name)
    ends = []
    for place, last in jobs:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, str(_work(work, arguments, place, last)).encode())
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        os.close(writing)
        ends.append([os.waitstatus_to_exitcode(status), os.read(reading, 99).decode()])
        os.close(reading)
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
