"""Who does the work of `encode`: this process, one process per GPU, or the actors of a Ray cluster.

A unit's latent file has the same bytes whoever makes it. When a run ends early, by an error or by Ctrl-C, its
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rglcd_pipelines import errors
from rglcd_pipelines.data.latents.settings import EncodeConfig
from rglcd_pipelines.data.latents.worker import LANES, Done, Job, Report, Unit, Worker
from rglcd_pipelines.errors import ConfigError, RglcdError

if TYPE_CHECKING:
    from ray.util.queue import Queue as RayQueue


POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Engine:
    """Where units are encoded."""

    gpus: int
    """How many GPUs it has."""
    run: Callable[[list[Unit], Job, Report], list[Done]]


@contextmanager
def open_engine(config: EncodeConfig) -> Iterator[Engine]:
    """The engine that the settings ask for, for as long as it is needed."""
    if config.engine == "ray":
        with _ray_cluster(config.workers) as gpus:
            yield Engine(gpus, run_ray)
    else:
        import torch

        yield Engine(torch.cuda.device_count() if torch.cuda.is_available() else 0, run_local)


def run_local(units: list[Unit], job: Job, report: Report) -> list[Done]:
    """One worker in this process, or several in their own."""
    workers = min(job.workers, len(units))
    if workers > 1:
        return _run_processes(units, job, workers, report)
    work: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
    for unit in [*units, *[None] * LANES]:
        work.put(unit)
    done: list[Done] = []
    with closing(Worker(job, 0)) as worker:
        _run_lanes(worker, work.get, done.append, report)
    return done


def _run_lanes(
    worker: Worker, take: Callable[[], Unit | None], tell: Callable[[Done], Any], report: Report
) -> None:
    """Have the worker's lanes encode the units that `take` gives, until it gives None to each."""
    problems: list[Exception] = []

    def lane() -> None:
        try:
            while not worker.stop.is_set() and (unit := take()) is not None:
                tell(worker.encode(unit, report))
        except Exception as problem:
            problems.append(problem)
            worker.stop.set()

    with ThreadPoolExecutor(LANES, thread_name_prefix="lane") as pool:
        try:
            wait([pool.submit(lane) for _ in range(LANES)])
        finally:
            worker.stop.set()
    if problems:
        raise problems[0]  # what followed it is only the other lane that stopped


def _run_processes(units: list[Unit], job: Job, workers: int, report: Report) -> list[Done]:
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    work: Any = context.Queue()
    events: Any = context.Queue()
    for unit in [*units, *[None] * (workers * LANES)]:
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
                _look_for_dead(processes)
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


def _look_for_dead(processes: list[Any]) -> None:
    for index, process in enumerate(processes):
        if process.exitcode:
            code = process.exitcode
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            raise RglcdError(
                f"encode: worker {index} of {len(processes)} {how}. If memory ran out, lower "
                "encode.batch_size or encode.workers. Run the same command again; it goes on from what is "
                "finished."
            )


def _process(job: Job, index: int, work: Any, events: Any) -> None:
    """A worker's process: units from one queue, images counted, units done or the error to the other."""
    # Ctrl-C reaches every process of a terminal; it is the parent that acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with closing(Worker(job, index)) as worker:
            _run_lanes(worker, work.get, events.put, events.put)
    except RglcdError as error:
        events.put(error)
    except Exception:
        events.put(RuntimeError(f"in worker {index} of encode:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers, and they must not write beside those of the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _ray_cluster(workers: int | None) -> Iterator[int]:
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
            "encode.engine: ray needs a package that is not installed: pip install rglcd-pipelines[ray]. "
            "Or set encode.engine to local."
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


def run_ray(units: list[Unit], job: Job, report: Report) -> list[Done]:
    """Ray Data hands one unit after the other to a pool of actors."""
    import ray
    from ray.util.queue import Queue

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    images = Queue(actor_options={"num_cpus": 0})
    rows = [asdict(unit) | {"shard": str(unit.shard), "target": str(unit.target)} for unit in units]
    answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _RayWorker,  # pyright: ignore[reportArgumentType]  (a class whose objects are called)
        fn_constructor_args=(job, images),
        compute=ray.data.ActorPoolStrategy(
            size=min(job.workers, len(units)),
            max_concurrent_calls_per_actor=LANES,
            enable_true_multi_threading=True,
        ),
        num_cpus=1,
        num_gpus=1 if job.device == "cuda" else 0,
    )
    done: list[Done] = []
    with _counting(images, report):
        for answer in answers.iter_rows():
            if answer["error"]:
                raise getattr(errors, answer["error"])(answer["answer"])
            done.append(Done(**json.loads(answer["answer"])))
    return done


class _RayWorker:
    """An actor. Errors for the user come back as rows; Ray would bury them under its own."""

    def __init__(self, job: Job, images: "RayQueue") -> None:
        self._worker = Worker(job, 0)  # Ray shows each actor its own GPU only, as the first
        self._count: Any = images.actor.put_nowait  # pyright: ignore[reportOptionalMemberAccess]

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        unit = Unit(Path(row["shard"]), row["sha256"], row["samples"], Path(row["target"]))
        try:
            done = self._worker.encode(unit, self._count.remote)
        except RglcdError as error:
            return {"error": type(error).__name__, "answer": str(error)}
        return {"error": "", "answer": json.dumps(asdict(done))}


@contextmanager
def _counting(images: "RayQueue", report: Report) -> Iterator[None]:
    """Report what the actors count, until the end of the block and of what they counted until then."""
    from ray.util.queue import Empty

    ended = threading.Event()

    def count() -> None:
        while True:
            try:
                report(images.get(timeout=POLL_SECONDS))
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
