"""The latent reward model beside its student: whose temperatures, whose samples, whose gradients."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.latent_reward.folder import load
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.training.batches import StepBatch, StepBatches
from rglcd_pipelines.training.distill import distill
from rglcd_pipelines.training.expert import Expert
from rglcd_pipelines.training.guide import RewardGuide, as_latents
from rglcd_pipelines.training.job import Job
from rglcd_pipelines.training.lrm import make_matcher
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.real_rewards import RealRewards
from rglcd_pipelines.training.settings import DrawsConfig
from rglcd_pipelines.training.step import ONLINE, TARGET, Loss, Work
from rglcd_pipelines.training.update import Watch
from tests.training.make_job import BATCH, PROMPTS, STEPS, Bench, towards
from tests.training.make_lrm import text_of
from tests.training.own_experts import Warmth
from tests.training.test_distill import losses

pytestmark = pytest.mark.usefixtures("one_thread", "few_fresh")

CPU = torch.device("cpu")
LRM_FIGURES = ("matching", "gap", "expert", "matching_gradient")


def matcher_of(bench: Bench, job: Job) -> Matcher:
    assert job.lrm is not None
    vae = load_vae(check(VaeConfig, bench.vae), CPU, torch.float32)
    return make_matcher(job, job.lrm, LatentReader(bench.latents), vae, BATCH, Ranks(0, 1, CPU))


def test_its_own_temperature_is_what_it_was_pretrained_to(bench: Bench, tmp_path: Path) -> None:
    scale = load(bench.lrm.path)[0].logit_scale.exp().item()
    assert scale > 2
    plain = matcher_of(bench, bench.job(tmp_path / "student", "bright_lrm"))
    assert plain.tau_lrm == pytest.approx(1 / scale)
    other = matcher_of(bench, bench.job(tmp_path / "student", "bright_lrm", matching={"tau_lrm": 0.25}))
    assert other.tau_lrm == 0.25


@pytest.mark.parametrize(
    ("variant", "matching", "scaled", "expected"),
    [
        (0.3, 0.4, False, 0.3),
        (None, 0.4, False, 0.4),
        (None, 0.4, True, 0.4),
        (None, None, False, None),
        (None, None, True, 1.0),
    ],
)
def test_whose_temperature_is_the_expert_s(
    bench: Bench,
    tmp_path: Path,
    variant: float | None,
    matching: float | None,
    scaled: bool,
    expected: float | None,
) -> None:
    """The variant's, else that of all variants, else the reward's own: here a CLIP's."""
    chosen, settings = {"tau_expert": variant}, {"tau_expert": matching}
    job = bench.job(tmp_path / "student", "bright_lrm", matching=settings, chosen=chosen)
    matcher = matcher_of(bench, towards(job, {"kind": "clip", **text_of(bench.lrm), "scaled": scaled}))
    own = 1 / load(bench.lrm.path)[0].logit_scale.exp().item()  # its text tower is of the same CLIP
    assert matcher.tau_expert == pytest.approx(own if expected is None else expected)


@pytest.mark.parametrize("reward", ["brightness", {"brightness": 2.0}, {"brightness": 1.0, "other": 1.0}])
def test_an_expert_without_a_temperature(
    bench: Bench, tmp_path: Path, reward: str | dict[str, float]
) -> None:
    job = bench.job(tmp_path / "student", "bright_lrm", chosen={"tau_expert": None, "reward": reward})
    told = job.model_dump()
    job = check(Job, told | {"rewards": told["rewards"] | {"other": told["rewards"]["brightness"]}})
    with pytest.raises(ConfigError, match=r"variants\.bright_lrm\.tau_expert: .*brightness has no temp"):
        distill(job)
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize(("count", "step"), [(1, 4), (2, 2), (4, 1)])
def test_it_learns_from_an_even_share_of_each_step(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, step: int
) -> None:
    job = bench.job(tmp_path / "student", "bright_lrm", matching={"batch_size": count})
    told: list[list[int]] = []
    score = Expert.score_real

    def seen(self: Expert, z0: Tensor, captions: Sequence[str], indices: np.ndarray) -> Tensor:
        told.append(indices.tolist())
        return score(self, z0, captions, indices)

    monkeypatch.setattr(Expert, "score_real", seen)
    distill(job)
    batches = StepBatches(LatentReader(bench.latents), job.asked.draws)
    assert told[:STEPS] == [batches.batch(number).indices[::step].tolist() for number in range(STEPS)]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [6, 12])
def test_the_share_is_the_same_for_any_number_of_processes(
    bench: Bench, tmp_path: Path, processes: int, count: int
) -> None:
    job = bench.job(tmp_path / "student", "bright_lrm", matching={"batch_size": count})
    assert job.lrm is not None
    vae, reader = load_vae(check(VaeConfig, bench.vae), CPU, torch.float32), LatentReader(bench.latents)
    rows = make_matcher(job, job.lrm, reader, vae, 12, Ranks(0, 1, CPU)).rows
    shares = [list(range(12))[Ranks(rank, processes, CPU).share(12)][rows] for rank in range(processes)]
    assert {len(share) for share in shares} == {count // processes}
    assert [row for share in shares for row in share] == list(range(12))[rows]


@pytest.mark.parametrize(("threads", "accumulate"), [(1, 2), (2, 1), (2, 2)])
def test_parts_of_a_batch_give_the_same_figures(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, accumulate: int
) -> None:
    """The student's gradient comes of parts; the model looks at what all of them said, in the right order."""
    plain = losses(distill(bench.job(tmp_path / "plain", "bright_lrm")).path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    other = losses(distill(bench.job(tmp_path / "other", "bright_lrm", accumulate=accumulate)).path)
    assert other[0] == pytest.approx(plain[0], rel=2e-5)
    for one, two in zip(plain, other, strict=True):  # AdamW makes much of little in its first steps
        for name in ("lcd", "reward", *LRM_FIGURES):
            assert two[name] == pytest.approx(one[name], rel=2e-3), name


def test_the_student_s_gradient_is_that_of_a_model_held_still(bench: Bench) -> None:
    """And it leaves no gradient behind in a model that learns."""
    vae = load_vae(check(VaeConfig, bench.vae), CPU, torch.float32)
    z = 0.2 * torch.randn(len(PROMPTS), 4, 8, 8, generator=torch.Generator().manual_seed(1))
    still, learns = (load(bench.lrm.path)[0].suit(CPU) for _ in range(2))
    trained = learns.train_last(1, 1)
    assert all(weight.requires_grad for weight in trained)
    expected, found = (
        RewardGuide(as_latents(LatentReward("lrm", model), vae), 1.0, 8).pull(z, PROMPTS)
        for model in (still, learns)
    )
    # Not to the bit: torch multiplies matrices that want a gradient another way.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected[1].norm().item())
    assert all(weight.grad is None for weight in learns.parameters())


@pytest.mark.parametrize("threads", [1, 2])
def test_what_a_step_of_the_student_hands_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """What both networks said, each row beside the real image that it is of, and not a gradient."""
    ask, step, looked = Loss.__call__, Matcher.step, list[int]()
    said: dict[int, tuple[Tensor, Tensor]] = {}

    def listens(self: Loss, work: Work) -> dict[str, Tensor]:
        terms = ask(self, work)
        rows = zip(terms[ONLINE], terms[TARGET], strict=True)
        said.update(zip(work.batch.indices.tolist(), rows, strict=True))
        return terms

    def clean(
        self: Matcher, number: int, batch: StepBatch, online: Tensor, target: Tensor, watch: Watch
    ) -> dict[str, Tensor]:
        assert all(weight.grad is None for weight in self.model.parameters())
        assert not online.requires_grad
        assert not target.requires_grad
        for index, *found in zip(batch.indices.tolist(), online, target, strict=True):
            assert all(torch.equal(one, other) for one, other in zip(found, said[index], strict=True))
        assert not torch.equal(online, target)
        looked.append(number)
        return step(self, number, batch, online, target, watch)

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(Loss, "__call__", listens)
    monkeypatch.setattr(Matcher, "step", clean)
    distill(bench.job(tmp_path / "student", "bright_lrm"))
    assert looked == list(range(STEPS))


def test_what_was_heard_first_of_a_real_image_stays(bench: Bench, tmp_path: Path) -> None:
    """A run that goes on hears what it would have, of one that counts in doubles and of a fickle one."""
    vae = load_vae(check(VaeConfig, bench.vae), CPU, torch.float32)
    batch = StepBatches(LatentReader(bench.latents), DrawsConfig(steps=1, batch_size=5)).batch(0)
    kept = RealRewards(tmp_path / "kept.f32", len(LatentReader(bench.latents)))
    expert = Expert(Warmth(CPU, of=1 / 3), vae, 2, bf16=False, kept=kept)

    def heard(rows: slice) -> Tensor:
        some = batch.rows(rows)
        return expert.score_real(some.z0, some.captions, some.indices)

    first, again = heard(slice(4)), heard(slice(4))
    assert first.dtype == expert.score(batch.z0, batch.captions).dtype == torch.float32
    assert torch.equal(first, again)
    assert len(set(first.tolist())) == 4
    expert.reward = Warmth(CPU, of=9.0)
    some = heard(slice(2, 5))
    assert torch.equal(some[:2], first[2:])
    torch.testing.assert_close(some[2], expert.score(batch.z0, batch.captions)[4])
    assert torch.equal(heard(slice(None)), torch.cat([first, some[2:]]))
