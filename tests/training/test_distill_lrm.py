"""Algorithm 4: a student that follows a latent reward model, which follows an expert."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rglcd_pipelines import curves
from rglcd_pipelines.artifacts import open_artifact
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.latent_reward.folder import WEIGHTS, load
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.training.card import LATENT_REWARD as LRM
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.expert import Expert
from rglcd_pipelines.training.matcher import Matcher
from tests.rewards.own_reward import Brightness
from tests.training.make_job import STEPS, Bench
from tests.training.test_distill import Killed, dies_at, losses

pytestmark = pytest.mark.usefixtures("one_thread")

LEARNS = ("visual.transformer.resblocks.1.", "transformer.resblocks.1.")
"""The last block of each tower."""


def test_the_latent_reward_model_comes_nearer_to_its_expert(bench: Bench, tmp_path: Path) -> None:
    told: dict[int, dict[str, float]] = {}
    with curves.listening(lambda _, step, figures: told.setdefault(step, {}).update(figures)):
        made = distill(bench.job(tmp_path / "student", "bright_lrm", steps=6))
    rows = losses(made.path)
    lrm = ["matching", "agreement", "correlation", "gap", "expert", "matching_gradient"]
    assert list(rows[0]) == ["step", "lcd", "reward", "pull", "gradient", "loss", *lrm, "lr"]
    assert rows[-1]["matching"] < rows[0]["matching"]
    assert set(lrm) <= set(told[2])
    assert {"expert_1_step", "expert_2_steps"} <= set(told[STEPS])
    figures = made.manifest["figures"]
    assert figures["gap_after"] < figures["gap_before"]
    assert made.manifest["figures"]["agreement_after"] >= figures["agreement_before"]


def test_nothing_but_the_last_blocks_ever_changes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published code freezes the others and thaws them again at each step."""
    first = load_file(bench.lrm.path / WEIGHTS)
    seen: list[dict[str, Tensor]] = []
    step = Matcher.step

    def watched(self: Matcher, *arguments: Any) -> dict[str, Tensor]:
        figures = step(self, *arguments)
        seen.append({name: weight.detach().clone() for name, weight in self.model.named_parameters()})
        return figures

    monkeypatch.setattr(Matcher, "step", watched)
    made = distill(bench.job(tmp_path / "student", "bright_lrm"))
    assert len(seen) == STEPS
    before = dict(load(bench.lrm.path)[0].named_parameters())
    learns = ("visual.transformer.resblocks.1.", "text.text_model.encoder.layers.1.")
    for state in seen:
        for name, weight in state.items():
            assert torch.equal(weight, before[name]) != name.startswith(learns), name
    last = load_file(made.path / LRM / WEIGHTS)
    assert last.keys() == first.keys()
    for name, weight in last.items():
        assert torch.equal(weight, first[name]) != name.startswith(LEARNS), name


def test_the_student_follows_the_model_and_not_its_expert(bench: Bench, tmp_path: Path) -> None:
    """The reward that is told is R^L of what the student says; beside a frozen one it is that at first."""
    matched = losses(distill(bench.job(tmp_path / "matched", "bright_lrm")).path)
    frozen = losses(distill(bench.job(tmp_path / "frozen", "frozen")).path)
    for name in ("lcd", "reward", "pull", "gradient"):
        assert matched[0][name] == pytest.approx(frozen[0][name], rel=1e-6)
        assert matched[1][name] != frozen[1][name] or name == "lcd"
    for row in matched:
        assert row["loss"] == pytest.approx(row["lcd"] - 0.5 * row["reward"], rel=1e-5)


class Impassable(torch.autograd.Function):
    """What lets nothing back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        raise AssertionError("a gradient passes the decoder")


def test_no_gradient_passes_the_decoder(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rglcd_pipelines.diffusion import decoder

    pictures, asked = decoder.pictures, []

    def watched(vae: Any, z: Tensor) -> Tensor:
        asked.append(len(z))
        return pictures(vae, Impassable.apply(z))

    monkeypatch.setattr("rglcd_pipelines.training.expert.pictures", watched)
    monkeypatch.setattr("rglcd_pipelines.training.guide.pictures", watched)
    distill(bench.job(tmp_path / "student", "bright_lrm"))
    assert sum(asked) >= STEPS * 3 * 2  # of two samples of each step, three pictures
    with pytest.raises(AssertionError, match="passes the decoder"):  # as it does without the model
        distill(bench.job(tmp_path / "direct", "bright"))


def test_captions_belong_to_their_latents(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published code asks the model for latents of one order and captions of another."""
    reader = LatentReader(bench.latents)
    kept = reader.batch(range(len(reader)))
    latents, captions = torch.from_numpy(kept.latents).float(), kept.captions
    embed, score = LatentClip.embed_captions, Expert.score
    read: list[Sequence[str]] = []

    def told(self: Any, texts: Sequence[str]) -> Tensor:
        read.append(list(texts))
        return embed(self, texts)

    def looked(self: Expert, z: Tensor, texts: Sequence[str]) -> Tensor:
        assert len(z) == len(texts)
        read.append(list(texts))
        return score(self, z, texts)

    monkeypatch.setattr(LatentClip, "embed_captions", told)
    monkeypatch.setattr(Expert, "score", looked)
    real = Expert.score_real

    def found(self: Expert, z0: Tensor, texts: Sequence[str], indices: Any) -> Tensor:
        assert [captions[int(index)] for index in indices] == list(texts)
        unscaled = z0 / self.vae.scaling_factor
        torch.testing.assert_close(unscaled, latents[indices], atol=1e-3, rtol=1e-3)
        return real(self, z0, texts, indices)

    monkeypatch.setattr(Expert, "score_real", found)
    distill(bench.job(tmp_path / "student", "bright_lrm"))
    pairs = [texts for texts in read if len(texts) == 4 and texts[:2] == texts[2:]]
    assert len(pairs) >= STEPS  # z1 and z2 of two samples, each with its caption


def test_what_is_known_of_real_images_is_not_asked_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    score = Brightness.score

    def counted(self: Brightness, images: Tensor, texts: Sequence[str]) -> Tensor:
        asked.append(len(images))
        return score(self, images, texts)

    monkeypatch.setattr(Brightness, "score", counted)
    first = distill(bench.job(tmp_path / "first", "bright_lrm"))
    before = sum(asked)
    asked.clear()
    second = distill(bench.job(tmp_path / "second", "bright_lrm", chosen={"beta": 0.25}))
    assert before - sum(asked) >= 2 * (STEPS - 1)
    assert losses(first.path)[0]["expert"] == losses(second.path)[0]["expert"]


@pytest.mark.parametrize("at", [1, 4, 5])
def test_killed_and_started_again_to_the_bit(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole = distill(bench.job(tmp_path / "whole" / "student", "bright_lrm"))
    job = bench.job(tmp_path / "killed" / "student", "bright_lrm")
    with monkeypatch.context() as patch:
        patch.setattr("rglcd_pipelines.training.step.StepSupply.take", dies_at(at))
        with pytest.raises(Killed):
            distill(job)
    again = distill(job)
    assert again.manifest["files"] == whole.manifest["files"]
    assert again.manifest["figures"] == whole.manifest["figures"]


def test_the_model_is_kept_with_its_student(bench: Bench, tmp_path: Path) -> None:
    made = distill(bench.job(tmp_path / "student", "bright_lrm"))
    model, about = load(made.path / LRM)
    assert about.vae == open_artifact(bench.latents.path, "latents").manifest["vae"]["digest"]
    assert model.score(torch.zeros(1, 4, 8, 8), ["a cat"]).shape == (1,)


def test_a_variants_own_bonus_is_the_stages(bench: Bench, tmp_path: Path) -> None:
    """Said by the variant or by the stage, the model learns the same; without it, something else."""
    none = losses(distill(bench.job(tmp_path / "none" / "student", "bright_lrm", steps=2)).path)
    own = bench.job(tmp_path / "own" / "student", "bright_lrm", steps=2, chosen={"real_bonus": 1.5})
    of_all = bench.job(tmp_path / "all" / "student", "bright_lrm", steps=2, matching={"real_bonus": 1.5})
    found = losses(distill(own).path)
    assert found == losses(distill(of_all).path)
    assert found[0]["matching"] != none[0]["matching"]
