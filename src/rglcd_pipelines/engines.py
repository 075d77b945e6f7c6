"""Who does work that comes in units: this process, one process per GPU, or the actors of a Ray cluster.

What comes of a unit has the same bytes whoever does it. When a run ends early, by an error or by Ctrl-C, its
workers are stopped; the units that they finished stay in the draft for the next run.
"""

import json
import logging
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rglcd_pipelines import errors
from rglcd_pipelines.errors import ConfigError, RglcdError

if TYPE_CHECKING:
    from ray.util.queue import Queue as RayQueue


POLL_SECONDS = 0.2

Report = Callable[[int], Any]
"""Told how many more samples are done; 0 when a unit begins."""


class StoppedError(Exception):
    """The run ends early; what is unfinished stays for the next one."""


@dataclass(frozen=True)
class Done:
    """A unit that was just done: which worker did it, when, and how long its model was busy."""

    samples: int
    worker: str
    began: float
    ended: float
    model_seconds: float


class Worker(Protocol):
    """A model and what is around it; several lanes may give it units at once."""

    @property
    def stop(self) -> threading.Event:
        """Set when the run ends early."""
        ...

    def work(self, unit: Any, report: Report) -> Done:
        """Do a unit, whole."""
        ...

    def close(self) -> None: ...


class Job(Protocol):
    """What all workers of a run have in common; it goes to other processes and machines."""

    @property
    def stage(self) -> str:
        """Whose parameters are meant, such as its batch_size."""
        ...

    @property
    def workers(self) -> int: ...

    @property
    def lanes(self) -> int:
        """Units that a worker does at once."""
        ...

    @property
    def device(self) -> str:
        """cpu or cuda."""
        ...

    def worker(self, index: int) -> Worker:
        """The worker of that number; in a process of its own, if there are several."""
        ...


@dataclass(frozen=True)
class Engine:
    """Where units are done."""

    gpus: int
    """How many GPUs it has."""
    run: Callable[[Sequence[Any], Job, Report], list[Done]]


@contextmanager
def open_engine(stage: str, kind: str, workers: int | None) -> Iterator[Engine]:
    """The engine that a stage's settings ask for, local or ray, for as long as it is needed.

    `stage` is whose parameters `engine` and `workers` are.
    """
    if kind == "ray":
        with _ray_cluster(stage, workers) as gpus:
            yield Engine(gpus, run_ray)
    else:
        import torch

        yield Engine(torch.cuda.device_count() if torch.cuda.is_available() else 0, partial(run_local, stage))


def run_local(stage: str, units: Sequence[Any], job: Job, report: Report) -> list[Done]:
    """One worker in this process, or several in their own; `stage` is who says how many."""
    workers = min(job.workers, len(units))
    if workers > 1:
        return _run_processes(stage, units, job, workers, report)
    work: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for unit in [*units, *[None] * job.lanes]:
        work.put(unit)
    done: list[Done] = []
    with closing(job.worker(0)) as worker:
        _run_lanes(worker, job.lanes, work.get, done.append, report)
    return done


def _run_lanes(
    worker: Worker, lanes: int, take: Callable[[], Any], tell: Callable[[Done], Any], report: Report
) -> None:
    """Have the worker's lanes do the units that `take` gives, until it gives None to each."""
    problems: list[Exception] = []

    def lane() -> None:
        try:
            while not worker.stop.is_set() and (unit := take()) is not None:
                tell(worker.work(unit, report))
        except Exception as problem:
            problems.append(problem)
            worker.stop.set()

    with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
        try:
            wait([pool.submit(lane) for _ in range(lanes)])
        finally:
            worker.stop.set()
    if problems:
        raise problems[0]  # what followed it is only the other lane that stopped


def _run_processes(stage: str, units: Sequence[Any], job: Job, workers: int, report: Report) -> list[Done]:
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    work: Any = context.Queue()
    events: Any = context.Queue()
    for unit in [*units, *[None] * (workers * job.lanes)]:
        work.put(unit)
    processes = [
        context.Process(target=_process, args=(job, index, work, events), daemon=True)
        for index in range(workers)
    ]
    done: list[Done] = []
    try:
        for process in processes:
            process.start()
        while len(done) < len(units):
            try:
                event = events.get(timeout=POLL_SECONDS)
            except queue.Empty:
                _look_for_dead(processes, job.stage, stage)
                continue
            if isinstance(event, Exception):
                raise event
            if isinstance(event, Done):
                done.append(event)
            else:
                report(event)
    finally:
        work.cancel_join_thread()
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()
    return done


def _look_for_dead(processes: list[Any], stage: str, workers: str) -> None:
    """`workers` is the stage whose parameter says how many there are."""
    for index, process in enumerate(processes):
        if process.exitcode:
            code = process.exitcode
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            raise RglcdError(
                f"{stage}: worker {index} of {len(processes)} {how}. If memory ran out, lower "
                f"{stage}.batch_size or {workers}.workers. Run the same command again; it goes on from "
                "what is finished."
            )


def _process(job: Job, index: int, work: Any, events: Any) -> None:
    """A worker's process: units from one queue, samples counted, units done or the error to the other."""
    # Ctrl-C reaches every process of a terminal; it is the parent that acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with closing(job.worker(index)) as worker:
            _run_lanes(worker, job.lanes, work.get, events.put, events.put)
    except RglcdError as error:
        events.put(error)
    except Exception:
        events.put(RuntimeError(f"in worker {index} of {job.stage}:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers, and they must not write beside those of the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _ray_cluster(stage: str, workers: int | None) -> Iterator[int]:
    """A running Ray: the one that RAY_ADDRESS names, or one of this machine; gives the number of its GPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Under `uv run` Ray would pack this folder and build an environment from it for every actor.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError(
            f"{stage}.engine: ray needs a package that is not installed: pip install rglcd-pipelines[ray]. "
            f"Or set {stage}.engine to local."
        ) from None
    own = not ray.is_initialized()
    if own:
        # One CPU more than there are workers: Ray Data's own tasks would wait for ever without it.
        cpus = None if "RAY_ADDRESS" in os.environ else max(os.cpu_count() or 1, (workers or 1) + 1)
        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield int(ray.cluster_resources().get("GPU", 0))
    finally:
        if own:
            ray.shutdown()


def run_ray(units: Sequence[Any], job: Job, report: Report) -> list[Done]:
    """Ray Data hands one unit after the other to a pool of actors."""
    import ray
    from ray.util.queue import Queue

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    counted = Queue(actor_options={"num_cpus": 0})
    rows = [{"unit": index} for index in range(len(units))]
    answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _RayWorker,  # pyright: ignore[reportArgumentType]  (a class whose objects are called)
        fn_constructor_args=(job, list(units), counted, Path.cwd()),
        compute=ray.data.ActorPoolStrategy(
            size=min(job.workers, len(units)),
            max_concurrent_calls_per_actor=job.lanes,
            enable_true_multi_threading=True,
        ),
        num_cpus=1,
        num_gpus=1 if job.device == "cuda" else 0,
    )
    done: list[Done] = []
    with _counting(counted, report):
        for answer in answers.iter_rows():
            if answer["error"]:
                raise _error_of(answer)
            done.append(Done(**json.loads(answer["answer"])))
    return done


def _error_of(answer: dict[str, str]) -> RglcdError:
    """What an actor told; of a kind that `errors` does not know, as such of no kind."""
    return getattr(errors, answer["error"], RglcdError)(answer["answer"])


class _RayWorker:
    """An actor. Errors for the user come back as rows; Ray would bury them under its own."""

    def __init__(self, job: Job, units: list[Any], counted: "RayQueue", folder: Path) -> None:
        with suppress(OSError):
            os.chdir(folder)  # classes of users' own may have been told of files by relative paths
        self._worker = job.worker(0)  # Ray shows each actor its own GPU only, as the first
        self._units = units
        self._count: Any = counted.actor.put_nowait  # pyright: ignore[reportOptionalMemberAccess]

    def __call__(self, row: dict[str, int]) -> dict[str, str]:
        try:
            done = self._worker.work(self._units[row["unit"]], self._count.remote)
        except RglcdError as error:
            return {"error": type(error).__name__, "answer": str(error)}
        return {"error": "", "answer": json.dumps(asdict(done))}


@contextmanager
def _counting(counted: "RayQueue", report: Report) -> Iterator[None]:
    """Report what the actors count, until the end of the block and of what they counted until then."""
    from ray.util.queue import Empty

    ended = threading.Event()

    def count() -> None:
        while True:
            try:
                report(counted.get(timeout=POLL_SECONDS))
            except Empty:
                if ended.is_set():
                    return

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10 * POLL_SECONDS)
