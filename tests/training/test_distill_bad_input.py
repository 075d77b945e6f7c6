"""What stops a student: numbers that are none, data of somebody else, impossible settings, a full disk."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file

from rglcd_pipelines.errors import ConfigError, DataError, RglcdError
from rglcd_pipelines.training.distill import distill
from tests.data.make_latents import columns, make_latents
from tests.training.make_job import BATCH, STEPS, Bench
from tests.training.test_distill import losses

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("term", "options"), [("reward", {"bad": "score"}), ("pull", {"bad": "gradient"})])
def test_what_is_no_number_stops_before_a_weight_changes(
    bench: Bench, tmp_path: Path, term: str, options: dict[str, str]
) -> None:
    job = bench.job(tmp_path / "student", "bright")
    reward = {"kind": "tests.training.bad_reward:Bad", "options": options | {"after": 3}}
    bad = type(job).model_validate(job.model_dump() | {"rewards": {"brightness": reward}})
    with pytest.raises(
        RglcdError, match=rf"\(term {term}\) is no finite number at step 4\. No weight .* step 2"
    ):
        distill(bad)
    assert not (tmp_path / "student").exists()
    (scratch,) = (tmp_path / ".partial").glob("scratch-*")
    for place in (scratch / "checkpoints").glob("step-*"):
        for tensor in load_file(place / "online.safetensors").values():
            assert tensor.isfinite().all()
    rows = (scratch / "losses.csv").read_text(encoding="utf-8").splitlines()
    assert rows[-1].startswith("2,")


def test_latents_of_another_autoencoder_or_size(bench: Bench, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "student")
    others = make_latents(tmp_path / "others")
    with pytest.raises(DataError, match=r"others: these latents were made with the VAE a/vae of digest 'd1'"):
        distill(job.model_copy(update={"latents": str(others.path)}))
    digest = bench.latents.manifest["vae"]["digest"]
    larger = make_latents(tmp_path / "larger", made=columns(10, (4, 12, 12)), vae=digest)
    with pytest.raises(DataError, match=r"its latents are \[4, 12, 12\], but .* draws \[4, 8, 8\]"):
        distill(job.model_copy(update={"latents": str(larger.path)}))
    few = make_latents(tmp_path / "few", made=columns(BATCH - 1), vae=digest)
    with pytest.raises(DataError, match=r"few: 3 latents are fewer than a batch of 4"):
        distill(job.model_copy(update={"latents": str(few.path)}))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"steps": STEPS + 1}, "distill.steps is 7, but the teacher answers trajectories.draws.steps = 6"),
        ({"accumulate": 3}, "4 samples a step cannot be shared by 1 processes with accumulate = 3"),
    ],
)
def test_settings_that_do_not_fit_together(
    bench: Bench, tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        distill(bench.job(tmp_path / "student", **settings))


def test_an_optimizer_that_is_not_installed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)  # importing it fails
    job = bench.job(tmp_path / "student", optimizer={"kind": "adamw8bit", "lr": 1e-4})
    with pytest.raises(ConfigError, match=r"pip install bitsandbytes\. Or set it to adamw"):
        distill(job)


def test_a_disk_that_is_full_is_told_and_nothing_is_lost(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, written = bench.job(tmp_path / "student"), []
    from safetensors import torch as files

    save_file = files.save_file

    def full(tensors: Any, file: Path) -> None:
        written.append(file)
        if len(written) > 4:
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        save_file(tensors, file)

    with monkeypatch.context() as patch:
        patch.setattr(files, "save_file", full)
        with pytest.raises(DataError, match=r"step-0000004: the disk is full\. Free some space"):
            distill(job)
    saved = [place.name for place in (tmp_path / ".partial").glob("scratch-*/checkpoints/step-*")]
    assert saved == ["step-0000002"]
    whole = distill(bench.job(tmp_path / "whole"))
    assert losses(distill(job).path) == losses(whole.path)


def test_a_reward_without_a_gradient_is_no_guide(bench: Bench, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "student", "bright")
    reward = {"kind": "tests.training.bad_reward:Blind"}
    blind = type(job).model_validate(job.model_dump() | {"rewards": {"brightness": reward}})
    with pytest.raises(ConfigError, match="blind says that it is not differentiable"):
        distill(blind)


def test_a_job_is_a_file_that_says_all(bench: Bench, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "student")
    job.write(tmp_path / "resolved.json")
    assert type(job).read(tmp_path / "resolved.json") == job
    told = json.loads((tmp_path / "resolved.json").read_text()) | {"varint": 1}
    (tmp_path / "resolved.json").write_text(json.dumps(told))
    with pytest.raises(ConfigError, match=r"resolved\.json\.varint: there is no such parameter"):
        type(job).read(tmp_path / "resolved.json")
    with pytest.raises(DataError, match=r"--to-nodes=VARIANT\.resolve"):
        type(job).read(tmp_path / "nowhere.json")
