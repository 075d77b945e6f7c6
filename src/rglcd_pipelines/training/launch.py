"""One process or several: who does a job."""

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact, open_artifact
from rglcd_pipelines.errors import ConfigError, RglcdError
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.jobs import AnyJob, any_job
from rglcd_pipelines.training.lrm_settings import check_matching, check_pretraining
from rglcd_pipelines.training.pretrain_job import PretrainJob
from rglcd_pipelines.training.settings import samples_of_a_step

SECONDS_TO_LISTEN = 10.0
"""For what is still on its way when all processes have ended."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trainer:
    """How one kind of job is done."""

    stage: str
    """What errors call it."""
    kind: str
    """What it makes."""
    train: Callable[[Any], Artifact]
    """Do it, in this process as one of all."""
    ready: Callable[[Any], Artifact | None]
    """What it would make, if that stands already."""
    check: Callable[[Any], object]
    """Refuse a job whose batch cannot be shared by its processes."""


def _trainer(job: AnyJob) -> Trainer:
    if isinstance(job, PretrainJob):
        from rglcd_pipelines.training import pretrain

        def shared(job: PretrainJob) -> None:
            check_pretraining(job.settings, job.settings.processes)

        return Trainer("lrm.pretrain", pretrain.KIND, pretrain.pretrain, pretrain.ready, shared)
    from rglcd_pipelines.training import distill

    def fits(job: Job) -> None:
        samples = samples_of_a_step(job.settings, job.chosen, job.asked, job.settings.processes)
        if job.lrm:
            check_matching(job.lrm.matching, samples, job.settings.processes, job.settings.steps)

    return Trainer("distill", distill.KIND, distill.distill, distill.ready, fits)


def run(job: AnyJob) -> Artifact:
    """What the job is for, made here, or by `processes` processes of this machine."""
    trainer = _trainer(job)
    started_by_torchrun = "WORLD_SIZE" in os.environ
    if job.settings.processes == 1 or started_by_torchrun:
        return trainer.train(job)
    if found := trainer.ready(job):
        return found
    trainer.check(job)
    _check_gpus(job.settings.processes, trainer.stage)
    _launch(job, trainer.stage)
    return open_artifact(Path(job.place), trainer.kind)


def _check_gpus(processes: int, stage: str) -> None:
    """Refuse two processes on one GPU, which would wait for each other."""
    import torch

    gpus = torch.cuda.device_count()
    if torch.cuda.is_available() and processes > gpus:
        raise ConfigError(
            f"{stage}.processes: is {processes}, but there are {gpus} GPUs here. Set it to {gpus} or less."
        )


def _launch(job: AnyJob, stage: str) -> None:
    """Torch elastic starts the processes, and ends all of them when one dies."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    count = job.settings.processes
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.5,
        start_method="spawn",
    )
    told: Any = multiprocessing.get_context("spawn").SimpleQueue()
    listener = threading.Thread(target=_listen, args=(told,), daemon=True)
    listener.start()
    try:
        elastic_launch(config, _work)(job.model_dump_json(), told, _threads(count))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise RglcdError(
            f"{stage}: process {rank} of {count} ended with exit code {failure.exitcode}; the others were "
            "stopped. What it said stands above. The same command goes on from the last checkpoint."
        ) from None
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + error.sigval) from None
    finally:
        told.put(None)
        listener.join(SECONDS_TO_LISTEN)


def _threads(processes: int) -> int:
    """Of each process: they share this machine's cores."""
    import torch

    return max(1, torch.get_num_threads() // processes)


def _work(job: str, told: Any, threads: int) -> None:
    """What each process does."""
    import torch

    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:

        def tell(name: str, step: int, what: Any) -> None:
            told.put((name, step, what))

        with curves.listening(tell, tell):
            found = any_job(json.loads(job), "the job")
            _trainer(found).train(found)
    except RglcdError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def _listen(told: Any) -> None:
    """Tell what the processes tell."""
    while (heard := told.get()) is not None:
        name, step, what = heard
        if isinstance(what, Image.Image):
            curves.show(name, step, what)
        else:
            curves.tell(name, step, what)
