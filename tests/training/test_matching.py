"""A step of the latent reward model towards its expert, against equation 12 written out by hand."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.diffusion.vae import Vae, VaeConfig, load_vae
from rglcd_pipelines.latent_reward.folder import load
from rglcd_pipelines.latent_reward.model import LatentClip
from rglcd_pipelines.training.batches import StepBatch, StepBatches
from rglcd_pipelines.training.expert import Expert
from rglcd_pipelines.training.learner import ADVICE
from rglcd_pipelines.training.lrm_settings import MatchingConfig
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.settings import DrawsConfig
from rglcd_pipelines.training.update import Watch
from tests.training.make_job import Bench

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
COUNT = 6
TAU_LRM, TAU_EXPERT, LR = 0.5, 0.2, 1e-3
WAYS: list[dict[str, Any]] = [
    {},
    {"divergence": "q_p"},
    {"only_prefers": True},
    {"real_bonus": 1.5},
    {"only_prefers": True, "real_bonus": 1.5, "divergence": "q_p"},
]


class Worded:
    """How bright a picture is, times the length of its caption: it matters which stands beside which."""

    name, differentiable = "worded", False

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        return images.mean((1, 2, 3)) * torch.tensor([float(len(caption)) for caption in captions])


@dataclass(frozen=True)
class Scene:
    """What a step is made of; captions and latents are all different."""

    vae: Vae
    model: LatentClip
    batch: StepBatch
    online: Tensor
    target: Tensor

    def matcher(self, rows: slice = slice(None), part: int = 4, **settings: Any) -> Matcher:
        """With a model of its own; a decoded part holds samples of more than one latent."""
        known = {"optimizer": {"lr": LR}, "batch_size": COUNT, "latent_blocks": 1, "text_blocks": 1}
        config = check(MatchingConfig, known | {"tau_lrm": TAU_LRM} | settings)
        expert = Expert(Worded(), self.vae, part, bf16=False)
        return Matcher(copy.deepcopy(self.model), expert, TAU_EXPERT, config, 10, rows, Ranks(0, 1, CPU))

    def step(self, matcher: Matcher) -> dict[str, Tensor]:
        watch = Watch(matcher.terms, CPU, ADVICE)
        return matcher.step(0, self.batch, self.online, self.target, watch)


@pytest.fixture(scope="module")
def scene(bench: Bench) -> Scene:
    vae = load_vae(check(VaeConfig, bench.vae), CPU, torch.float32)
    batch = StepBatches(LatentReader(bench.latents), DrawsConfig(steps=1, batch_size=COUNT)).batch(0)
    drawn = torch.Generator().manual_seed(1)
    online, target = (batch.z0 + 0.2 * torch.randn(batch.z0.shape, generator=drawn) for _ in range(2))
    return Scene(vae, load(bench.lrm.path)[0].suit(CPU), batch, online, target)


def by_hand(scene: Scene, model: LatentClip, row: int, config: MatchingConfig) -> Tensor:
    """The three divergences of one sample, from what both models say of one latent after the other."""
    caption, mine, theirs = scene.batch.captions[row], [], []
    for latents in (scene.batch.z0, scene.online, scene.target):
        z = latents[row : row + 1] / scene.vae.scaling_factor
        mine.append(model.score(z, [caption])[0] / TAU_LRM)
        with torch.no_grad():
            decoded: Any = scene.vae.model.decode(z)  # pyright: ignore[reportArgumentType]
        bright = (decoded.sample / 2 + 0.5).clamp(0, 1).mean()
        theirs.append(bright * len(caption))
    told = torch.zeros(())
    for i, j in ((0, 1), (0, 2), (1, 2)):
        one, other = theirs[i] / TAU_EXPERT, theirs[j] / TAU_EXPERT
        if config.only_prefers:
            one, other = (theirs[i] > theirs[j]) / TAU_EXPERT, (theirs[j] > theirs[i]) / TAU_EXPERT
        if i == 0:
            one = one + config.real_bonus
        p, q = torch.stack([mine[i], mine[j]]).log_softmax(0), torch.stack([one, other]).log_softmax(0)
        first, second = (p, q) if config.divergence == "p_q" else (q, p)
        told = told + (first.exp() * (first - second)).sum()
    return told


@pytest.mark.parametrize("ways", WAYS, ids=lambda ways: "+".join(ways) or "as in the paper")
@pytest.mark.parametrize("rows", [slice(None), slice(None, None, 3)], ids=["whole batch", "every third"])
def test_a_step_is_equation_12_and_adamw(
    scene: Scene, rows: slice, ways: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = scene.matcher(rows, **ways)
    gradients: list[Tensor] = []
    clip = matcher.update.clip

    def seen() -> Tensor:
        gradients.extend(weight.grad.clone() for weight in matcher.trained if weight.grad is not None)
        return clip()

    monkeypatch.setattr(matcher.update, "clip", seen)
    figures = scene.step(matcher)

    model = copy.deepcopy(scene.model)
    trained = model.train_last(1, 1)
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=0.0)
    chosen = range(COUNT)[rows]
    loss = torch.stack([by_hand(scene, model, row, matcher.config) for row in chosen]).mean()
    loss.backward()
    assert figures["matching"].item() == pytest.approx(loss.item(), rel=1e-4)
    expected = [weight.grad for weight in trained]
    norm = torch.cat([gradient.flatten() for gradient in expected if gradient is not None]).norm()
    assert figures["matching_gradient"].item() == pytest.approx(norm.item(), rel=1e-4)
    for found, gradient in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, gradient, atol=1e-5 * norm.item(), rtol=1e-3)
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    told = 0
    for weight, other in zip(matcher.trained, trained, strict=True):
        # AdamW's first step has the same length for all; of a gradient that rounding made, any direction.
        assert other.grad is not None
        clear = other.grad.abs() > 1e-4
        torch.testing.assert_close(weight[clear], other[clear], atol=LR / 20, rtol=0)
        told += int(clear.sum())
    assert told > sum(weight.numel() for weight in trained) / 2


def test_each_of_the_ways_is_another_loss(scene: Scene) -> None:
    losses = [scene.step(scene.matcher(**ways))["matching"].item() for ways in WAYS]
    assert len({round(loss, 3) for loss in losses}) == len(WAYS)


def test_the_figures_of_a_step(scene: Scene) -> None:
    matcher = scene.matcher()
    figures = scene.step(matcher)
    assert list(figures) == list(matcher.columns)
    model, same, apart, rewards, odds = scene.model, 0.0, 0.0, list[float](), list[tuple[float, float]]()
    latents = [scene.batch.z0, scene.online, scene.target]
    captions = scene.batch.captions
    for row in range(COUNT):
        mine = [
            model.score(z[row : row + 1] / scene.vae.scaling_factor, captions[row : row + 1]) for z in latents
        ]
        theirs = [matcher.expert.score(z[row : row + 1], captions[row : row + 1]) for z in latents]
        rewards.append(theirs[1].item())
        for i, j in ((0, 1), (0, 2), (1, 2)):
            p, q = (mine[i] - mine[j]) / TAU_LRM, (theirs[i] - theirs[j]) / TAU_EXPERT
            odds.append((p.item(), q.item()))
            same += float(q.sigmoid() if p > 0 else (-q).sigmoid()) / (3 * COUNT)
            apart += float((p.sigmoid() - q.sigmoid()).abs()) / (3 * COUNT)
    assert figures["agreement"].item() == pytest.approx(same, rel=1e-4)
    assert figures["correlation"].item() == pytest.approx(np.corrcoef(np.array(odds).T)[0, 1], rel=1e-4)
    assert figures["gap"].item() == pytest.approx(apart, rel=1e-4)
    assert figures["expert"].item() == pytest.approx(sum(rewards) / COUNT, rel=1e-5)


@pytest.mark.parametrize("part", [1, 5, 100])
def test_how_many_are_decoded_at_once_changes_nothing(scene: Scene, part: int) -> None:
    plain, other = scene.step(scene.matcher(part=4)), scene.step(scene.matcher(part=part))
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6)


def test_it_is_told_which_real_images_it_sees(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = scene.matcher(slice(None, None, 2))
    told: list[tuple[Tensor, Sequence[str], np.ndarray]] = []
    score = matcher.expert.score_real

    def seen(z0: Tensor, captions: Sequence[str], indices: np.ndarray) -> Tensor:
        told.append((z0, captions, indices))
        return score(z0, captions, indices)

    monkeypatch.setattr(matcher.expert, "score_real", seen)
    scene.step(matcher)
    ((z0, captions, indices),) = told
    whole = scene.batch
    assert len(set(whole.captions)) == len(set(whole.indices.tolist())) == COUNT
    assert list(captions) == whole.captions[::2]
    assert indices.tolist() == whole.indices[::2].tolist()
    assert torch.equal(z0, whole.z0[::2])


def test_a_number_that_is_none_changes_no_weight(scene: Scene) -> None:
    matcher, watch = scene.matcher(), Watch(Matcher.terms, CPU, ADVICE)
    before = [weight.detach().clone() for weight in matcher.trained]
    broken = scene.target.clone()
    broken[3, 0, 0, 0] = torch.nan
    matcher.step(0, scene.batch, scene.online, broken, watch)
    assert watch.first.tolist() == [0, 0]
    matcher.step(1, scene.batch, scene.online, scene.target, watch)  # nor does any step after it
    for weight, other in zip(matcher.trained, before, strict=True):
        assert torch.equal(weight, other)
    scene.step(matcher)  # of somebody who saw nothing of it
    assert not torch.equal(matcher.trained[0], before[0])
