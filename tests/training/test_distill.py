"""A student from beginning to end: what it learns, what it leaves, and what stops it."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import digest_file
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.finished import sheet_of
from rglcd_pipelines.training.step import StepSupply
from tests.training.make_job import PROMPTS, STEPS, Bench

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


pytestmark = pytest.mark.usefixtures("one_thread")


def losses(place: Path) -> list[dict[str, float]]:
    with (place / "losses.csv").open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("variant", ["lcm", "bright"])
def test_a_student_is_a_folder_that_diffusers_samples(bench: Bench, tmp_path: Path, variant: str) -> None:
    job = bench.job(tmp_path / variant, variant)
    told: list[tuple[int, dict[str, float]]] = []
    seen: list[tuple[int, tuple[int, int]]] = []
    with curves.listening(
        lambda _, step, figures: told.append((step, dict(figures))),
        lambda _, step, picture: seen.append((step, picture.size)),
    ):
        made = distill(job)
    rows = losses(made.path)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    guided = ["reward", "pull"] if variant == "bright" else []
    assert list(rows[0]) == ["step", "lcd", *guided, "gradient", "loss", "lr"]
    for row in rows:
        assert row["loss"] == pytest.approx(row["lcd"] - 0.5 * row.get("reward", 0.0), rel=1e-5)
    assert [step for step, _ in told] == [2, 4, 6]
    assert told[0][1]["lcd"] == pytest.approx((rows[0]["lcd"] + rows[1]["lcd"]) / 2, rel=1e-6)
    assert {"images_per_second", "lr"} <= set(told[0][1])
    assert [step for step, _ in seen] == [STEPS]
    pipeline: Any = LatentConsistencyModelPipeline.from_pretrained(made.path)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(PROMPTS, num_inference_steps=2, guidance_scale=4.0, output_type="pt").images
    assert tuple(images.shape) == (2, 3, 16, 16)
    assert sheet_of(made.path, job).size == seen[0][1]
    assert distill(job).reused
    assert not list((tmp_path / ".partial").glob("scratch-*"))
    card = (made.path / "README.md").read_text(encoding="utf-8")
    assert f"| beta | {0.5 if variant == 'bright' else 0:g} |" in card
    assert "guidance_scale=9" in card
    assert "3 to 7" in " ".join(card.split())


def test_what_is_drawn_while_it_learns_is_what_diffusers_draws(bench: Bench, tmp_path: Path) -> None:
    """Algorithm 2 with our consistency function, and LatentConsistencyModelPipeline, image for image."""
    from rglcd_pipelines.diffusion.settings import TeacherConfig
    from rglcd_pipelines.diffusion.solver import DdimSolver
    from rglcd_pipelines.diffusion.teacher import load_teacher
    from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
    from rglcd_pipelines.training.samples import Sampler
    from rglcd_pipelines.training.settings import SamplesConfig

    made = distill(bench.job(tmp_path / "lcm"))
    pipeline: Any = LatentConsistencyModelPipeline.from_pretrained(made.path)
    pipeline.set_progress_bar_config(disable=True)
    teacher = load_teacher(TeacherConfig.model_validate(bench.teacher))
    vae = load_vae(VaeConfig.model_validate(bench.vae), "cpu", torch.float32)
    for steps in (1, 2, 4, 8):
        config = SamplesConfig(prompts=PROMPTS, omega=4.5, seed=7)
        ours = Sampler(config, teacher.conditioner, DdimSolver(teacher.schedule), vae, (4, 8, 8))
        theirs = pipeline(
            PROMPTS,
            num_inference_steps=steps,
            guidance_scale=5.5,
            generator=torch.Generator().manual_seed(7),
            output_type="pt",
        ).images
        torch.testing.assert_close(ours.draw(pipeline.unet, steps), theirs, atol=2e-5, rtol=0)


def test_the_live_teacher_gives_the_same_student(bench: Bench, tmp_path: Path) -> None:
    kept, live = (distill(bench.job(tmp_path / str(live), live=live)) for live in (False, True))
    assert losses(kept.path) == losses(live.path)
    assert digest_file(kept.path / WEIGHTS) == digest_file(live.path / WEIGHTS)


def test_the_losses_are_those_that_they_were(bench: Bench, tmp_path: Path) -> None:
    """Golden values: whoever changes them changes what everybody trains."""
    golden = {"lcm": GOLDEN_LCM, "bright": GOLDEN_BRIGHT}
    for variant, expected in golden.items():
        found = [row["loss"] for row in losses(distill(bench.job(tmp_path / variant, variant)).path)]
        assert found == pytest.approx(expected, rel=2e-3)


GOLDEN_LCM = [0.0204635, 0.0221314, 0.0258804, 0.0194998, 0.0244817, 0.0297597]
GOLDEN_BRIGHT = [-0.2189887, -0.2210639, -0.2145303, -0.2196587, -0.2153363, -0.2105924]


@pytest.mark.parametrize("variant", ["lcm", "bright"])
@pytest.mark.parametrize("change", [{"accumulate": 2}, {"gradient_checkpointing": True}, {"reward_part": 3}])
def test_what_costs_less_memory_gives_the_same_losses(
    bench: Bench, tmp_path: Path, variant: str, change: dict[str, Any]
) -> None:
    plain = losses(distill(bench.job(tmp_path / "plain", variant)).path)
    other = losses(distill(bench.job(tmp_path / "other", variant, **change)).path)
    assert other[0] == pytest.approx(plain[0], rel=1e-5)
    for one, two in zip(plain, other, strict=True):  # AdamW makes much of little in its first steps
        assert two["lcd"] == pytest.approx(one["lcd"], rel=2e-3)


class Killed(BaseException):
    """As kill -9: nothing of ours runs after it."""


@pytest.mark.parametrize("at", [1, 4, 5])
def test_killed_and_started_again_to_the_bit(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole = distill(bench.job(tmp_path / "whole", "bright"))
    take, job = StepSupply.take, bench.job(tmp_path / "killed", "bright")
    with monkeypatch.context() as patch:
        patch.setattr(StepSupply, "take", dies_at(at))
        with pytest.raises(Killed):
            distill(job)
    assert not (tmp_path / "killed").exists()
    taken: list[int] = []

    def counts(self: StepSupply, read: Any) -> Any:
        taken.append(1)
        return take(self, read)

    monkeypatch.setattr(StepSupply, "take", counts)
    again = distill(job)
    assert len(taken) == STEPS - at // 2 * 2  # from the last of the checkpoints, which are two steps apart
    assert again.manifest["files"] == whole.manifest["files"] | {
        "README.md": again.manifest["files"]["README.md"]
    }


def dies_at(step: int) -> Callable[[StepSupply, Any], Any]:
    take, taken = StepSupply.take, []

    def dies(self: StepSupply, read: Any) -> Any:
        taken.append(1)
        if len(taken) > step:
            raise Killed
        return take(self, read)

    return dies


def test_ctrl_c_saves_and_the_same_command_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, job = distill(bench.job(tmp_path / "whole")), bench.job(tmp_path / "stopped")
    take, taken = StepSupply.take, []

    def interrupted(self: StepSupply, read: Any) -> Any:
        taken.append(1)
        if len(taken) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return take(self, read)

    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)  # whatever started the tests
        patch.setattr(StepSupply, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            distill(job)
    saved = sorted((tmp_path / ".partial").glob("scratch-*/checkpoints/step-*"))
    assert [place.name for place in saved] == ["step-0000002", "step-0000003"]
    again = distill(job)
    assert again.manifest["files"][WEIGHTS] == whole.manifest["files"][WEIGHTS]
    assert losses(again.path) == losses(whole.path)


def test_other_settings_begin_anew(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StepSupply, "take", dies_at(4))
        with pytest.raises(Killed):
            distill(bench.job(tmp_path / "student"))
    other = bench.job(tmp_path / "student", optimizer={"lr": 2e-4})
    fresh = distill(bench.job(tmp_path / "fresh", optimizer={"lr": 2e-4}))
    assert losses(distill(other).path) == losses(fresh.path)
