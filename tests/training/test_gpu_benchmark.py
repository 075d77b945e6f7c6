"""The benchmark of full-size training: what it builds and counts, and all of it narrow on a CPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from benchmarks import gpu
from benchmarks.gpu_clock import Clock
from benchmarks.gpu_models import SD_VAE, VIT_H_14, Choice, Rig
from benchmarks.gpu_step import PARTS, Step, flops, largest
from benchmarks.gpu_world import run_gpu_tests
from rglcd_pipelines.diffusion.vae import build_vae
from rglcd_pipelines.rewards.open_clip import names, read_architecture
from rglcd_pipelines.rewards.preprocess import bicubic

LACKING = ["kedro", "kedro_mlflow", "kedro_datasets", "mlflow", "dvc", "great_expectations"]
LACKING += ["open_clip", "webdataset", "qtawesome", "ftfy"]
"""What a GPU machine may not have."""


def told(out: str) -> dict[str, Any]:
    return json.loads(out.splitlines()[-1])


def test_the_reward_is_open_clips_vit_h_14() -> None:
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**VIT_H_14))
    assert set(model.state_dict()) == set(dict(names(read_architecture("ViT-H-14", "test"))))
    assert sum(weight.numel() for weight in model.parameters()) == 986_109_441


def test_the_autoencoder_is_stable_diffusions() -> None:
    with torch.device("meta"):
        model = build_vae(**SD_VAE, norm_num_groups=32)
    assert sum(weight.numel() for weight in model.parameters()) == 83_653_863


@pytest.mark.slow
def test_operations_of_full_size() -> None:
    """A UNet of 0.80 TFLOP at 512 px; with a live teacher, RG-LCD takes 13.4 ms at 790 TFLOP/s."""
    counted = flops("512", small=False)
    assert counted["target"] == pytest.approx(0.804e12, rel=0.002)
    assert counted["online"] == counted["target"]
    assert counted["backward"] == pytest.approx(2 * counted["online"], rel=0.01)
    live = sum(counted.values()) + 2 * counted["target"]
    assert live / 790e12 == pytest.approx(13.4e-3, rel=0.01)
    assert bicubic.cache_info().currsize == 0  # nothing without numbers is kept


def test_a_step_is_its_parts() -> None:
    rig, clock = Rig("768", True, Choice(reward_part=1), torch.device("cpu")), Clock()
    before = [weight.clone() for weight in rig.student.trained]
    step = Step(rig, rig.guide(), 2, clock)
    step()
    found = clock.take()
    assert set(found) == {*PARTS, "step"}
    assert sum(found[part][0] for part in PARTS) <= found["step"][0]
    assert clock.take() == {}
    step.watch.check("test")
    assert any(not torch.equal(a, b) for a, b in zip(before, rig.student.trained, strict=True))


@pytest.mark.parametrize("room", [4, 5, 31, 32, 100, 255, 256, 1000])
def test_the_largest_batch(room: int) -> None:
    tried: list[int] = []

    def fit(batch: int) -> bool:
        tried.append(batch)
        return batch <= room

    found, sure = largest(fit, known=4, most=256, deadline=1.0, now=lambda: 0.0)
    assert sure
    assert found <= min(room, 256)
    assert found + max(1, found // 16) >= min(room, 256)
    assert len(tried) <= 12
    assert len(tried) == len(set(tried))


def test_the_search_ends_in_time() -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0])
    assert largest(lambda _: True, 4, 256, deadline=2.0, now=lambda: next(clock)) == (16, False)


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err == "There is no CUDA device here; --small runs narrow models on the CPU.\n"


def test_what_there_is_no_time_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--small", "--minutes", "0"]) == 0
    figures = told(capsys.readouterr().out)["figures"]
    assert {"512_models", "768_models", "world"} <= set(figures["skipped"])


@pytest.mark.slow
def test_all_of_it_narrow_where_no_tracker_is_installed() -> None:
    code = (
        f"import sys; sys.modules |= dict.fromkeys({LACKING}); from benchmarks.gpu import main; "
        "sys.exit(main(['--small', '--peak-tflops', '1']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    figures = told(ran.stdout)["figures"]
    assert figures["failed"] == []
    assert ran.returncode == 0, ran.stderr
    for case in ("512_lcm", "512_rg", "768_lcm", "768_rg"):
        assert figures[f"{case}_largest_batch"] == 4
        assert 0 < figures[f"{case}_mfu"] < 1
        parts = [figures[f"{case}_{part}_ms"] for part in PARTS if part != "reward" or case.endswith("rg")]
        assert sum(parts) < 2 * figures[f"{case}_ms"]
    assert figures["world_hps_images_per_second"] > 0
    assert figures["512_rg_all_three_images_per_second"] > 0


@pytest.mark.slow
def test_it_counts_the_tests_that_need_a_gpu(tmp_path: Path) -> None:
    counts = run_gpu_tests(tmp_path, 300)
    assert counts["gpu_tests_failed"] == 0
    assert counts["gpu_tests_passed"] + counts["gpu_tests_skipped"] >= 1
