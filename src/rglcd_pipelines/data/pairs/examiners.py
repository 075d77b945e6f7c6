"""Many shards examined side by side, their rows given in order."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from rglcd_pipelines.data.pairs.examine import Row, examine_shard
from rglcd_pipelines.data.pairs.rules import Rules
from rglcd_pipelines.errors import DataError

T = TypeVar("T")
Numbered = tuple[int, Path]
Examined = tuple[int, Path, list[Row]]


def examine_all(
    shards: Iterator[Numbered], rules: Rules, workers: int, may_start: Callable[[int], bool]
) -> Generator[Examined, None, None]:
    """The rows of each shard, in order; the next one is asked for only when it is needed.

    `may_start(n)` says whether another shard should be started while `n` are under way already.
    """
    if workers == 1:
        for number, path in shards:
            yield number, path, _told(path, lambda path=path: examine_shard(path, rules))
        return
    # Spawned, as a fork would copy the locks of whatever threads the parent runs (torch's, Arrow's).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
        waiting: deque[tuple[int, Path, Future[list[Row]]]] = deque()
        try:
            while True:
                while len(waiting) <= workers and (not waiting or may_start(len(waiting))):
                    number, path = next(shards, (None, None))
                    if number is None or path is None:
                        break
                    future = _told(path, lambda path=path: pool.submit(examine_shard, path, rules))
                    waiting.append((number, path, future))
                if not waiting:
                    return
                number, path, future = waiting.popleft()
                yield number, path, _told(path, future.result)
        finally:
            pool.shutdown(cancel_futures=True)


def _told(path: Path, examine: Callable[[], T]) -> T:
    try:
        return examine()
    except BrokenProcessPool:
        raise DataError(
            f"{path}: a worker process died while this shard, or one after it, was examined. If memory "
            "ran out, lower clean.workers. Run the same command again; it goes on from what is finished."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the file.") from None


def _begin_worker() -> None:
    """A worker goes when its parent goes: a pool whose owner was killed would otherwise wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
