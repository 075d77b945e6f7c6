"""Experts that cannot be differentiated, and students that are distilled towards them all the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.job import Job
from tests.rewards.judge_server import KEY, Endpoint, Fault, serve
from tests.rewards.judging import settings
from tests.training.make_job import PROMPTS, STEPS, Bench, towards
from tests.training.test_distill import WEIGHTS, Killed, dies_at, losses

pytestmark = pytest.mark.usefixtures("one_thread", "few_fresh")

COMPRESSION = {"kind": "compression", "compression": {"quality": 50, "contrast_weight": 2.0}}
WARMTH = {"kind": "tests.training.own_experts:Warmth"}
REQUESTS = 2
"""Of each step: two real pictures, and then four that student and target drew."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A judge that marks pictures by their colours."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(Endpoint()) as served:
        yield served


def judge(endpoint: Endpoint, cache: Path) -> dict[str, Any]:
    return {"kind": "judge", "judge": settings(endpoint, cache)}


def tau(value: float) -> dict[str, Any]:
    return {"chosen": {"tau_expert": value}}


def first_rewards(made: Artifact) -> list[float]:
    return [row["expert"] for row in losses(made.path)]


@pytest.mark.parametrize(("reward", "temperature"), [(COMPRESSION, 0.05), (WARMTH, 0.02)])
def test_a_student_and_its_model_learn_from_what_has_no_gradient(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reward: dict[str, Any], temperature: float
) -> None:
    """And killed at some step, they end with the same bits."""
    name = reward["kind"]
    job = towards(bench.job(tmp_path / "whole" / "student", "bright_lrm", **tau(temperature)), reward)
    whole = distill(job)
    rows = losses(whole.path)
    assert rows[-1]["matching"] < rows[0]["matching"], name
    assert len({row["expert"] for row in rows}) == STEPS
    plain = distill(bench.job(tmp_path / "plain"))
    assert whole.manifest["files"][WEIGHTS] != plain.manifest["files"][WEIGHTS]
    job = job.model_copy(update={"place": str(tmp_path / "killed" / "student")})
    assert job.lrm is not None
    told = job.lrm.model_copy(update={"real_rewards": str(tmp_path / "killed" / "real_rewards")})
    job = job.model_copy(update={"lrm": told})
    with monkeypatch.context() as patch:
        patch.setattr("rglcd_pipelines.training.step.StepSupply.take", dies_at(3))
        with pytest.raises(Killed):
            distill(job)
    assert distill(job).manifest["files"] == whole.manifest["files"]


def test_directly_they_are_refused(bench: Bench, tmp_path: Path, endpoint: Endpoint) -> None:
    for reward in (COMPRESSION, WARMTH, judge(endpoint, tmp_path / "judge")):
        job = towards(bench.job(tmp_path / "student", "bright"), reward)
        with pytest.raises(ConfigError, match=r"is not differentiable, .* set lrm to true in the variant"):
            distill(job)
        assert not (tmp_path / "student").exists()
    assert not endpoint.requests


def test_an_expert_that_only_prefers(bench: Bench, tmp_path: Path) -> None:
    """By how much is nothing to it, so experts that favour the same samples teach the same to the bit."""
    students = []
    for only in (True, False):
        for of in (1.0, 7.0):
            job = bench.job(tmp_path / f"{only}-{of}", "bright_lrm", matching={"only_prefers": only})
            students.append(distill(towards(job, WARMTH | {"options": {"of": of}})))
    files = [student.manifest["files"] for student in students]
    for name in (WEIGHTS, "latent_reward/open_clip_model.safetensors"):
        assert files[0][name] == files[1][name]
        assert files[2][name] != files[3][name]
    assert first_rewards(students[1]) == pytest.approx([7 * reward for reward in first_rewards(students[0])])


def test_a_judge_is_paid_once_for_each_real_picture(bench: Bench, tmp_path: Path, endpoint: Endpoint) -> None:
    """Not even its own memory is needed: here, each student's judge has another one."""
    plain = bench.job(tmp_path / "first", "bright_lrm", **tau(0.5))
    first = distill(towards(plain, judge(endpoint, tmp_path / "judge")))
    rows, paid = losses(first.path), sum(endpoint.sizes)
    assert rows[-1]["matching"] < rows[0]["matching"]
    (file,) = (tmp_path / "real_rewards").glob("*.f32")
    kept = np.fromfile(file, np.float32)
    real = int(np.isfinite(kept).sum())
    assert 2 * STEPS <= real <= 2 * STEPS + 4  # and those of the last count
    assert paid >= real + 4 * STEPS + len(PROMPTS)
    endpoint.sizes.clear()
    second = distill(
        towards(
            plain.model_copy(update={"place": str(tmp_path / "second")}), judge(endpoint, tmp_path / "other")
        )
    )
    assert sum(endpoint.sizes) == paid - real
    assert second.manifest["files"] == first.manifest["files"]
    endpoint.sizes.clear()
    other = bench.job(tmp_path / "third", "bright_lrm", chosen={"tau_expert": 0.5, "beta": 0.1})
    distill(towards(other, judge(endpoint, tmp_path / "third-judge")))
    assert sum(endpoint.sizes) <= paid - real
    assert np.array_equal(kept, np.fromfile(file, np.float32), equal_nan=True)


@pytest.mark.parametrize("after", [0, REQUESTS * 3 + 1, REQUESTS * STEPS + 3])
def test_a_judge_that_is_gone_ends_the_run_and_the_same_command_goes_on(
    bench: Bench, tmp_path: Path, endpoint: Endpoint, after: int
) -> None:
    """At first, while it learns, and when all is learnt and only the last count is missing."""

    def told(name: str) -> Job:
        job = bench.job(tmp_path / name / "student", "bright_lrm", **tau(0.5))
        return towards(job, judge(endpoint, tmp_path / name / "judge"))

    whole = distill(told("whole"))
    asked = sum(endpoint.sizes)
    endpoint.sizes.clear()
    endpoint.faults, endpoint.always = [None] * after, Fault(status=503)
    with pytest.raises(
        DataError, match=r"rewards\.brightness\.judge\.base_url: .* answers 503 .*after 4 att"
    ):
        distill(told("broken"))
    assert not (tmp_path / "broken" / "student").exists()
    served = sum(endpoint.sizes[:after])
    endpoint.always = None
    endpoint.sizes.clear()
    again = distill(told("broken"))
    assert again.manifest["files"] == whole.manifest["files"]
    assert again.manifest["figures"] == whole.manifest["figures"]
    assert sum(endpoint.sizes) == asked - served  # nothing was paid for twice
