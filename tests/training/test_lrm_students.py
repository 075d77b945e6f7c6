"""A latent reward model beside students by LoRA, and held still as one reward among others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.guide import RewardGuide
from tests.training.make_job import STEPS, Bench
from tests.training.test_distill import Killed, dies_at, losses

pytestmark = pytest.mark.usefixtures("one_thread", "few_fresh")

LORA: dict[str, Any] = {"lora": {"rank": 4, "alpha": 8.0}, "optimizer": {"lr": 1e-2}}


def test_a_student_by_lora(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins as any student does: as its teacher. So the model learns the same from its first step."""
    whole = distill(bench.job(tmp_path / "whole" / "student", "bright_lrm", **LORA))
    plain = distill(bench.job(tmp_path / "plain" / "student", "bright_lrm"))
    ours, theirs = losses(whole.path), losses(plain.path)
    assert ours[0] | {"gradient": 0, "lr": 0} == pytest.approx(theirs[0] | {"gradient": 0, "lr": 0}, rel=1e-4)
    assert ours[0]["gradient"] != pytest.approx(theirs[0]["gradient"], rel=1e-2)
    assert ours[-1]["matching"] < ours[0]["matching"]
    job = bench.job(tmp_path / "killed" / "student", "bright_lrm", **LORA)
    with monkeypatch.context() as patch:
        patch.setattr("rglcd_pipelines.training.step.StepSupply.take", dies_at(3))
        with pytest.raises(Killed):
            distill(job)
    (saved,) = (tmp_path / "killed" / ".partial").glob("scratch-*/checkpoints/step-0000002")
    names = {file.stem for file in saved.glob("*.safetensors")}
    assert names == {"online", "target", "optimizer", "lrm", "lrm_optimizer", "lrm_settle"}
    again = distill(job)
    assert again.manifest["files"] == whole.manifest["files"]


@pytest.mark.parametrize("live", [False, True])
def test_half_precision_and_lanes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    """Threads beside each other round as they did, and the model stays in float32."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    first, second, exact = (
        distill(bench.job(tmp_path / name / "student", "bright_lrm", live=live, precision=precision))
        for name, precision in (("first", "bf16"), ("second", "bf16"), ("exact", "fp32"))
    )
    assert first.manifest["files"] == second.manifest["files"]
    rounded, plain = losses(first.path), losses(exact.path)
    assert rounded[0]["lcd"] != plain[0]["lcd"]
    for name in ("reward", "matching", "expert"):
        assert rounded[0][name] == pytest.approx(plain[0][name], rel=0.1, abs=0.05)


def test_held_still_and_mixed_with_a_reward_of_pictures(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both guide the student, each by its weight."""
    asked: list[tuple[Tensor, Sequence[str], Tensor, Tensor]] = []
    pull = RewardGuide.pull

    def seen(self: RewardGuide, z0_hat: Tensor, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        rewards, gradient = pull(self, z0_hat, captions)
        asked.append((z0_hat.detach(), captions, rewards, gradient))
        return rewards, gradient

    monkeypatch.setattr(RewardGuide, "pull", seen)
    for name, reward in (
        ("latents", "lrm"),
        ("pictures", "brightness"),
        ("mix", {"lrm": 0.3, "brightness": 2.0}),
    ):
        made = distill(bench.job(tmp_path / name, chosen={"reward": reward, "beta": 0.5}))
        assert "matching" not in losses(made.path)[0]
        assert not (made.path / "latent_reward").exists()
    assert len(asked) == 3 * STEPS
    latents, pictures, mix = (asked[first] for first in (0, STEPS, 2 * STEPS))
    assert torch.equal(latents[0], mix[0])
    assert list(latents[1]) == list(pictures[1]) == list(mix[1])
    torch.testing.assert_close(mix[2], 0.3 * latents[2] + 2.0 * pictures[2])
    torch.testing.assert_close(mix[3], 0.3 * latents[3] + 2.0 * pictures[3])
    assert latents[3].norm() > 1e-3 * pictures[3].norm()
    assert pictures[3].norm() > 1e-3 * latents[3].norm()
