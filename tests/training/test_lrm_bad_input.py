"""What stops a student and its latent reward model, by the name of what is wrong, before anything is left."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError, RglcdError
from rglcd_pipelines.latent_reward.folder import CONFIG, WEIGHTS, load
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.learner import StudentLearner
from rglcd_pipelines.training.lrm_settings import MatchingConfig
from rglcd_pipelines.training.settings import VariantConfig
from tests.rewards.own_reward import Brightness
from tests.rewards.tiny_models import save_clip
from tests.training.make_job import BATCH, STEPS, Bench
from tests.training.make_lrm import make_lrm, text_of
from tests.training.test_distill import losses

pytestmark = pytest.mark.usefixtures("one_thread", "few_fresh")


def following(job: Job, lrm: Artifact, **other: Any) -> Job:
    """The job, but with another latent reward model."""
    told = job.model_dump()
    lrm_told = told["lrm"] | {"folder": str(lrm.path), "text": text_of(lrm)} | other
    return check(Job, told | {"lrm": lrm_told})


def refused(job: Job, error: type[RglcdError], words: str) -> None:
    with pytest.raises(error, match=words):
        distill(job)
    place = Path(job.place)
    assert not place.exists()
    assert not list(place.parent.glob(".partial/*/*.safetensors"))


def digest_of(bench: Bench) -> str:
    return bench.latents.manifest["vae"]["digest"]


def test_a_model_of_another_autoencoder(bench: Bench, tmp_path: Path) -> None:
    lrm = make_lrm(tmp_path / "lrm", "d2")
    latents = rf"\(digest d2\) than .*latents .*{digest_of(bench)[:12]}"
    words = rf"{lrm.path}: reads latents of another autoencoder {latents}"
    refused(following(bench.job(tmp_path / "student", "bright_lrm"), lrm), DataError, words)
    told = bench.job(tmp_path / "student", "frozen").model_dump()
    frozen = check(Job, told | {"rewards": {"lrm": {"kind": "latent", "id": str(lrm.path)}}})
    refused(frozen, DataError, words)


@pytest.mark.parametrize("shape", [(4, 12, 12), (4, 4, 4)])
def test_a_model_of_another_size_can_be_resampled(
    bench: Bench, tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    lrm = make_lrm(tmp_path / "lrm", digest_of(bench), shape)
    words = r"reads latents of \[4, {}, {}\], and those of .*latents are \[4, 8, 8\].*set {} to true"
    job = following(bench.job(tmp_path / "student", "bright_lrm"), lrm)
    refused(job, DataError, words.format(*shape[1:], "matching.resample"))
    told = bench.job(tmp_path / "student", "frozen").model_dump()
    latent = {"kind": "latent", "id": str(lrm.path)}
    refused(
        check(Job, told | {"rewards": {"lrm": latent}}),
        DataError,
        words.format(*shape[1:], r"rewards\.lrm\.resample"),
    )
    job = following(bench.job(tmp_path / "student", "bright_lrm", matching={"resample": True}), lrm)
    made = distill(job)
    assert len(losses(made.path)) == STEPS
    assert list(load(made.path / "latent_reward")[0].shape) == [4, 8, 8]
    frozen = check(
        Job, told | {"rewards": {"lrm": latent | {"resample": True}}, "place": str(tmp_path / "frozen")}
    )
    assert losses(distill(frozen).path)[0]["reward"] == pytest.approx(
        losses(made.path)[0]["reward"], rel=1e-5
    )


@pytest.mark.parametrize("resample", [False, True])
def test_a_model_of_other_channels_never_fits(bench: Bench, tmp_path: Path, resample: bool) -> None:
    lrm = make_lrm(tmp_path / "lrm", digest_of(bench), (3, 8, 8))
    job = bench.job(tmp_path / "student", "bright_lrm", matching={"resample": resample})
    refused(following(job, lrm), DataError, r"reads latents of \[3, 8, 8\], and those of .* are \[4, 8, 8\]")


def test_a_model_of_another_text_tower(bench: Bench, tmp_path: Path) -> None:
    other = save_clip(tmp_path / "clip")
    weights = load_file(other / "model.safetensors")
    save_file(
        {name: weight + 1 for name, weight in weights.items()}, other / "model.safetensors", {"format": "pt"}
    )
    job = bench.job(tmp_path / "student", "bright_lrm")
    job = following(job, bench.lrm, text={"id": str(other)})
    refused(job, DataError, rf"{bench.lrm.path}: was pretrained with another text tower than lrm\.text says")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda place: place.rename(place.with_name("gone")), r"lrm: there are no lrm here.*--pipeline=lrm"),
        (
            lambda place: (place / WEIGHTS).unlink(),
            r"lrm: holds no open_clip_model\.safetensors.*--pipeline=lrm",
        ),
        (lambda place: os.truncate(place / WEIGHTS, 1000), r"lrm/open_clip_model\.safetensors"),
        (lambda place: (place / CONFIG).write_text("{}"), r"lrm/open_clip_config\.json: describes no latent"),
        (
            lambda place: (place / "manifest.json").write_text("{"),
            r"lrm/manifest\.json: the manifest cannot be",
        ),
    ],
)
def test_a_model_that_is_not_there_or_damaged(bench: Bench, tmp_path: Path, damage: Any, words: str) -> None:
    lrm = make_lrm(tmp_path / "lrm", digest_of(bench))
    job = following(bench.job(tmp_path / "student", "bright_lrm"), lrm)
    damage(lrm.path)
    refused(job, DataError, words)


@pytest.mark.parametrize(
    ("matching", "words"),
    [
        (
            {"batch_size": 3},
            rf"matching\.batch_size: is 3, which does not divide the {BATCH} samples of a step",
        ),
        (
            {"batch_size": 2 * BATCH},
            rf"matching\.batch_size: is {2 * BATCH}, which does not divide the {BATCH}",
        ),
        ({"latent_blocks": 3}, r"matching\.latent_blocks: is 3, but there are 2 blocks; lower it"),
        ({"text_blocks": 9}, r"matching\.text_blocks: is 9, but there are 2 blocks; lower it"),
    ],
)
def test_impossible_matchings(bench: Bench, tmp_path: Path, matching: dict[str, Any], words: str) -> None:
    refused(bench.job(tmp_path / "student", "bright_lrm", matching=matching), ConfigError, words)


def test_settings_that_mean_nothing() -> None:
    with pytest.raises(
        ConfigError, match=r"variants\.mine: lrm needs an expert that it follows; name one as rew"
    ):
        check(VariantConfig, {"lrm": True}, "variants.mine")
    with pytest.raises(ConfigError, match=r"variants\.mine: tau_expert means nothing without lrm"):
        check(VariantConfig, {"reward": "hps", "beta": 1.0, "tau_expert": 0.1}, "variants.mine")
    known = {"optimizer": {"lr": 1e-3}, "batch_size": 4}
    with pytest.raises(
        ConfigError, match=r"matching: latent_blocks and text_blocks are 0, so nothing learns"
    ):
        check(MatchingConfig, known | {"latent_blocks": 0, "text_blocks": 0}, "matching")
    for name, value in (("tau_lrm", 0.0), ("tau_expert", -1.0), ("real_bonus", -0.1), ("divergence", "qp")):
        with pytest.raises(ConfigError, match=rf"matching\.{name}: "):
            check(MatchingConfig, known | {name: value}, "matching")


def test_a_latent_reward_model_is_no_expert(bench: Bench, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "student", "bright_lrm", chosen={"reward": "lrm"})
    refused(job, ConfigError, r"rewards\.lrm: looks at latents, and here are pictures to be looked at")


def test_kept_rewards_of_another_number_of_latents(bench: Bench, tmp_path: Path) -> None:
    distill(bench.job(tmp_path / "student", "bright_lrm"))
    (file,) = (tmp_path / "real_rewards").glob("*.f32")
    assert file.stat().st_size == 4 * 23
    os.truncate(file, 40)
    job = bench.job(tmp_path / "other", "bright_lrm", chosen={"beta": 0.25})
    refused(job, DataError, rf"{file}: has 40 bytes instead of 92\. Remove it; it is filled again")
    assert file.stat().st_size == 40
    file.unlink()
    distill(job)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("at", [6, 7], ids=["of real images", "of drawn ones"])
def test_an_expert_without_an_answer(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, bad: float
) -> None:
    """The model stays as it was; its student has made the step's own before the expert was asked."""
    whole = distill(bench.job(tmp_path / "whole" / "student", "bright_lrm"))
    job = bench.job(tmp_path / "broken" / "student", "bright_lrm")
    score, step = Brightness.score, StudentLearner.step
    asked, seen = list[int](), list[tuple[list[Tensor], list[Tensor]]]()

    def breaks(self: Brightness, images: Tensor, captions: Sequence[str]) -> Tensor:
        asked.append(len(images))
        found = score(self, images, captions)
        return found if len(asked) != at + 1 else torch.full_like(found, bad)

    def watches(self: StudentLearner, *arguments: Any) -> dict[str, Tensor]:
        assert self.matcher is not None
        figures = step(self, *arguments)
        both = self.student.trained, self.matcher.trained
        one, other = ([weight.detach().clone() for weight in weights] for weights in both)
        seen.append((one, other))
        return figures

    with monkeypatch.context() as patch:
        patch.setattr(Brightness, "score", breaks)
        patch.setattr(StudentLearner, "step", watches)
        words = r"distill: the latent reward .* \(term matching\) is no finite number at step 4\. .*step 2"
        with pytest.raises(RglcdError, match=words):
            distill(job)
    assert not Path(job.place).exists()
    assert len(seen) == 4
    for one, other in zip(seen[2][1], seen[3][1], strict=True):
        assert torch.equal(one, other)
    assert all(weight.isfinite().all() for weights in seen[3] for weight in weights)
    (file,) = (tmp_path / "broken" / "real_rewards").glob("*.f32")
    assert not np.isinf(np.fromfile(file, np.float32)).any()  # or the same command would find it again
    again = distill(job)
    assert again.manifest["files"] == whole.manifest["files"]


@pytest.mark.slow
def test_the_command_says_it_in_a_line(bench: Bench, tmp_path: Path) -> None:
    lrm = make_lrm(tmp_path / "lrm", "d2")
    following(bench.job(tmp_path / "student", "bright_lrm"), lrm).write(tmp_path / "resolved.json")
    command = [sys.executable, "-m", "rglcd_pipelines.training", str(tmp_path / "resolved.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"error: {lrm.path}: reads latents of another autoencoder")
    assert "Traceback" not in done.stderr


def test_a_batch_that_processes_cannot_share(bench: Bench, tmp_path: Path) -> None:
    """Told before any of them is started."""
    from rglcd_pipelines.training.launch import run

    job = bench.job(tmp_path / "student", "bright_lrm", matching={"batch_size": 1}, processes=2)
    with pytest.raises(ConfigError, match=r"matching\.batch_size: 1 samples cannot be shared by 2 processes"):
        run(job)
