"""The loop that fits the small models: learns, resumes to the bit, and stops at numbers that are none."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rglcd_pipelines import curves
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError, RglcdError
from rglcd_pipelines.training import fit as fitting
from rglcd_pipelines.training.fit import CHECKPOINT, FitConfig, Task, fit, step_seed

STEPS = 40


def settings(**changes: object) -> FitConfig:
    values = {"steps": STEPS, "batch_size": 4, "lr": 0.05, "warmup_steps": 4, "precision": "fp32"}
    return check(FitConfig, values | changes)


class KilledError(Exception):
    pass


def line(killed_at: int | None = None, milestones: dict[int, Callable[[], None]] | None = None) -> Task:
    """Learning y = 3 x, with noise drawn in the loss."""
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    steps = []

    def draw(step: int) -> Tensor:
        steps.append(step)
        return torch.rand(4, 1, generator=torch.Generator().manual_seed(step))

    def loss(x: Tensor) -> dict[str, Tensor]:
        if killed_at is not None and len(steps) > killed_at + 1:
            raise KilledError
        error = (model(x) - 3 * x + 0.01 * torch.randn_like(x)) ** 2
        return {"loss": error.mean(), "worst": error.max()}

    return Task("line", model, draw, loss, milestones or {})


def test_it_learns_and_keeps_the_mean_of_the_weights(tmp_path: Path) -> None:
    task = line()
    fit(task, settings(steps=300, ema=0.9), tmp_path)
    assert float(task.model(torch.ones(1, 1)).detach()) == pytest.approx(3, abs=0.05)
    assert not task.model.training


def test_killed_and_started_again_gives_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rglcd_pipelines.training.fit.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    whole = line()
    (tmp_path / "whole").mkdir()
    fit(whole, settings(), tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(line(killed_at=17), settings(), tmp_path)
    assert (tmp_path / CHECKPOINT).is_file()
    resumed = line()
    fit(resumed, settings(), tmp_path)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_finished_run_only_gives_its_weights_back(tmp_path: Path) -> None:
    first, again = line(), line(killed_at=-1)
    fit(first, settings(), tmp_path)
    fit(again, settings(), tmp_path)
    assert torch.equal(next(first.model.parameters()), next(again.model.parameters()))


def test_milestones_see_the_mean_and_training_goes_on_from_the_weights(tmp_path: Path) -> None:
    seen: list[Tensor] = []
    task = line(milestones={STEPS // 2: lambda: seen.append(next(task.model.parameters()).detach().clone())})
    fit(task, settings(ema=0.9), tmp_path)
    without = line()
    (tmp_path / "other").mkdir()
    fit(without, settings(ema=0.9), tmp_path / "other")
    assert len(seen) == 1
    assert not torch.equal(seen[0], next(task.model.parameters()))
    assert torch.equal(next(without.model.parameters()), next(task.model.parameters()))


def test_the_figures_are_told_while_it_runs(tmp_path: Path) -> None:
    told: list[tuple[str, int, dict[str, float]]] = []
    with curves.listening(lambda name, step, figures: told.append((name, step, dict(figures)))):
        fit(line(), settings(steps=100), tmp_path)
    fit(line(), settings(steps=100), tmp_path)  # nobody listens
    assert [(name, step) for name, step, _ in told] == [("line", 50), ("line", 100)]
    assert set(told[0][2]) == {"loss", "worst", "gradient", "lr"}
    assert told[1][2]["loss"] < 1
    assert told[1][2]["lr"] == pytest.approx(0, abs=1e-9)


def test_a_loss_that_is_no_number_ends_the_run_with_the_last_checkpoint_kept(tmp_path: Path) -> None:
    task = line()
    broken = Task("line", task.model, task.draw, lambda x: {"loss": (task.model(x) * torch.nan).mean()})
    with pytest.raises(RglcdError, match=r"line: loss is nan at step 40.*learning rate"):
        fit(broken, settings(), tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("factor", ["loss", "gradient"])
def test_no_checkpoint_is_made_of_what_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: str
) -> None:
    monkeypatch.setattr(fitting, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    task, steps = line(), []

    def breaks(x: Tensor) -> dict[str, Tensor]:
        loss = task.loss(x)["loss"]
        steps.append(1)
        if len(steps) < 7:
            return {"loss": loss}
        # The gradient of a root at zero is infinite, and infinity times zero is no number.
        return {"loss": loss * torch.nan if factor == "loss" else loss + (0 * loss).sqrt()}

    with pytest.raises(RglcdError, match=rf"line: {factor} is nan at step 7\."):
        fit(Task("line", task.model, task.draw, breaks), settings(), tmp_path)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 6
    fit(line(), settings(), tmp_path)  # and it goes on


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(DataError, match=rf"{CHECKPOINT}: the checkpoint cannot be read.*Remove it"):
        fit(line(), settings(), tmp_path)


def test_every_step_has_a_seed_of_its_own() -> None:
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(2_000)}
    assert len(seeds) == 40_000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="warmup_steps is 200, more than steps = 40"):
        settings(warmup_steps=200)
