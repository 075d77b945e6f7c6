"""A latent reward model that has learnt enough stays as it is, and its student goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.learner import StudentLearner
from tests.training.make_job import STEPS, Bench
from tests.training.test_distill import Killed, dies_at, losses

pytestmark = pytest.mark.usefixtures("one_thread", "few_fresh")

MET = {"settles": {"window": 2, "tolerance": 1e9}}
"""The second window is near enough to the first one, whatever both are: after the fourth step."""


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Tensor], list[Tensor]]]:
    """The weights of student and model after each step of what runs from now on."""
    seen: list[tuple[list[Tensor], list[Tensor]]] = []
    step = StudentLearner.step

    def watches(self: StudentLearner, *arguments: Any) -> dict[str, Tensor]:
        figures = step(self, *arguments)
        assert self.matcher is not None
        both = self.student.trained, self.matcher.trained
        one, other = ([weight.detach().clone() for weight in weights] for weights in both)
        seen.append((one, other))
        return figures

    monkeypatch.setattr(StudentLearner, "step", watches)
    return seen


def moved(before: list[Tensor], after: list[Tensor]) -> bool:
    return not all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("tolerance", "still"), [(1e9, [False, False, True, True, True]), (1e-30, [False] * 5)]
)
def test_the_model_stands_still_and_the_student_moves(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tolerance: float, still: list[bool]
) -> None:
    seen = watched(monkeypatch)
    settles = {"settles": {"window": 2, "tolerance": tolerance}}
    made = distill(bench.job(tmp_path / "student", "bright_lrm", matching=settles))
    assert len(seen) == STEPS
    for number in range(STEPS - 1):
        (student, model), (later, last) = seen[number], seen[number + 1]
        assert moved(student, later)
        assert moved(model, last) != still[number]
    assert all(row["matching"] > 0 for row in losses(made.path))  # it is watched all the same


def test_killed_before_and_after_it_settled(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are from steps 2 and 4."""
    whole = distill(bench.job(tmp_path / "whole" / "student", "bright_lrm", matching=MET))
    for at in (3, 4, 5):
        job = bench.job(tmp_path / f"killed-{at}" / "student", "bright_lrm", matching=MET)
        with monkeypatch.context() as patch:
            patch.setattr("rglcd_pipelines.training.step.StepSupply.take", dies_at(at))
            with pytest.raises(Killed):
                distill(job)
        with monkeypatch.context() as patch:
            seen = watched(patch)
            again = distill(job)
        assert len(seen) == STEPS - at // 2 * 2
        assert not moved(seen[-2][1], seen[-1][1])
        assert again.manifest["files"] == whole.manifest["files"]
        assert again.manifest["figures"] == whole.manifest["figures"]
