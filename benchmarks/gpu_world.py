"""The miniature world's distillation, and the tests that need a GPU: the whole way at a small size."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from benchmarks.gpu_models import CAPTIONS
from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import load_teacher
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.identity import teacher_identity
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.settings import TrajectoriesConfig
from rglcd_pipelines.training.trajectories import make_trajectories
from tests.data.make_latents import columns, make_latents

WORLD = Path("data/06_models/base/world")
CONF = Path("conf/base")
REPORTS = 10
"""Steps from one figure of speed to the next."""


class World:
    """The committed world's models, latents drawn by chance, and its teacher's answers to them."""

    def __init__(self, folder: Path, steps: int, batch: int) -> None:
        self.folder = folder
        told = _parameters("trajectories")
        self.teacher = check(TeacherConfig, told["teacher"])
        self.vae = check(VaeConfig, {"source": "folder", "id": str(WORLD / "teacher/vae")})
        draws = told["trajectories"]["draws"] | {"steps": steps, "batch_size": batch}
        self.asked = check(TrajectoriesConfig, {"draws": draws})
        digest = load_vae(self.vae, "cpu", torch.float32).digest
        made = columns(4 * batch)
        made["captions"] = [CAPTIONS[row % len(CAPTIONS)] for row in range(4 * batch)]
        self.latents = make_latents(folder / "latents", 1024, made, digest)
        self.answers = self._answers()

    def _answers(self) -> Artifact:
        identity = teacher_identity(self.teacher)
        place = self.folder / "answers"
        return make_trajectories(
            self.asked, self.latents, lambda: load_teacher(self.teacher), identity, place
        )

    def job(self, variant: str) -> Job:
        """Of a variant as `conf/base` has it, but no longer than the answers reach."""
        told = _parameters("distill")
        # The watch takes part in no step, and its judges need packages that a GPU machine may not have.
        unwatched = {"watch": {"every": None}}
        settings = told["distill"] | {"steps": self.asked.draws.steps, "report_every": REPORTS} | unwatched
        return check(
            Job,
            {
                "variant": variant,
                "chosen": told["variants"][variant],
                "settings": settings,
                "rewards": told["rewards"],
                "teacher": self.teacher.model_dump(),
                "vae": self.vae.model_dump(),
                "asked": self.asked.model_dump(),
                "latents": str(self.latents.path),
                "answers": str(self.answers.path),
                "place": str(self.folder / variant),
            },
        )

    def images_per_second(self, variant: str) -> float:
        """Of its distillation, from first to last as a user starts it; the median of its reports."""
        speeds: list[float] = []

        def hear(_: str, __: int, figures: Mapping[str, float]) -> None:
            speeds.append(figures["images_per_second"])

        with curves.listening(hear):
            distill(self.job(variant))
        return median(speeds[1:] or speeds)  # in the first one, kernels are loaded


def measure_world(folder: Path, steps: int, batch: int) -> dict[str, Any]:
    """Images a second of the teacher's answers, and of plain and of reward-guided distillation."""
    world = World(folder, steps, batch)
    figures: dict[str, Any] = {"world_batch": batch}
    figures["world_answers_images_per_second"] = world.answers.metrics["samples_per_second"]
    for variant in ("lcm", "hps"):
        figures[f"world_{variant}_images_per_second"] = world.images_per_second(variant)
    return figures


def run_gpu_tests(folder: Path, seconds: float) -> dict[str, Any]:
    """How many of the tests with the mark `gpu` pass here.

    Only their own files are opened: others import what a GPU machine may not have.
    """
    mark = re.compile(r"\bpytest\.mark\.gpu\b")
    files = [file for file in Path("tests").rglob("test_*.py") if mark.search(file.read_text("utf-8"))]
    told = folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "--continue-on-collection-errors"]
    command += [f"--junitxml={told}", *map(str, sorted(files))]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"gpu_tests": f"stopped after {seconds:.0f} s"}
    if not told.is_file():
        return {"gpu_tests": f"pytest ended with exit code {ran.returncode}: {ran.stderr.strip()[-200:]}"}
    if ran.returncode:
        print(ran.stdout[-8000:])
    return _counts(told)


def _counts(told: Path) -> dict[str, Any]:
    suites = list(ET.parse(told).getroot().iter("testsuite"))
    counts = {
        kind: sum(int(suite.get(kind, 0)) for suite in suites)
        for kind in ("tests", "failures", "errors", "skipped")
    }
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    return {"gpu_tests_passed": passed, "gpu_tests_failed": failed, "gpu_tests_skipped": counts["skipped"]}


def _parameters(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / f"parameters_{name}.yml").read_text("utf-8"))
