"""A latent tower from beginning to end: what it learns, what it leaves, and what being killed changes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rglcd_pipelines import curves
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.latent_reward.captions import text_identity
from rglcd_pipelines.latent_reward.folder import WEIGHTS, load, read_about
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.latent_reward.text import load_text
from rglcd_pipelines.rewards.open_clip import Text, text_weights
from rglcd_pipelines.training.pretrain import PairSupply, made_from, pretrain
from tests.training.make_pretrain import BATCH, RESNET, STEPS, VIT, Pretraining
from tests.training.test_distill import Killed, losses

pytestmark = pytest.mark.usefixtures("one_thread")
LONGER: dict[str, Any] = {
    "steps": 40,
    "optimizer": {"lr": 3e-3, "warmup_steps": 5, "schedule": "cosine", "weight_decay": 0.1},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    return Pretraining(tmp_path_factory.mktemp("pretraining"))


def mean(rows: list[dict[str, float]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


@pytest.mark.parametrize("tower", [VIT, RESNET], ids=["vit", "resnet"])
def test_it_learns_which_caption_belongs_to_which_latent(
    bench: Pretraining, tmp_path: Path, tower: dict[str, Any]
) -> None:
    told: list[tuple[str, int, dict[str, float]]] = []
    with curves.listening(lambda name, step, figures: told.append((name, step, dict(figures)))):
        made = pretrain(bench.job(tmp_path / "lrm", tower, **LONGER))
    rows = losses(made.path)
    assert list(rows[0]) == ["step", "contrastive", "right", "gradient", "scale", "lr"]
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert mean(rows[:3], "right") < 0.5 < 0.8 < mean(rows[-10:], "right")
    assert mean(rows[-10:], "contrastive") < mean(rows[:3], "contrastive") / 3
    assert rows[0]["scale"] == pytest.approx(1 / 0.07, rel=1e-3)
    assert len({row["scale"] for row in rows}) == 40
    assert [(name, step) for name, step, _ in told] == [("lrm", step) for step in range(2, 41, 2)]
    assert told[0][2]["right"] == pytest.approx((rows[0]["right"] + rows[1]["right"]) / 2)
    # What was learnt is what was saved: by chance, one in 24 finds its own caption among all.
    model, about = load(made.path)
    reader = LatentReader(bench.latents)
    batch = reader.batch(range(len(reader)))
    seen = model.embed_latents(torch.from_numpy(batch.latents).float())
    nearest = (seen @ model.embed_captions(batch.captions).T).argmax(1)
    assert (nearest == torch.arange(len(reader))).float().mean() > 0.3
    assert math.exp(model.logit_scale.item()) == pytest.approx(rows[-1]["scale"], rel=1e-5)
    assert about.vae == bench.latents.manifest["vae"]["digest"]


def test_what_it_leaves(bench: Pretraining, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "lrm")
    made = pretrain(job)
    manifest = made.manifest
    assert (manifest["kind"], manifest["shape"], manifest["vae"]) == ("lrm", [4, 8, 8], "d1")
    assert {"open_clip_config.json", WEIGHTS, "tokenizer.json", "losses.csv"} <= set(manifest["files"])
    assert set(manifest["files"]) == {file.name for file in made.path.iterdir()} - {"manifest.json"}
    assert manifest["figures"]["contrastive"] == pytest.approx(
        mean(losses(made.path), "contrastive"), abs=1e-6
    )
    assert manifest["made_from"] == made_from(job)
    assert read_about(made.path).text == text_identity(job.text)
    assert made.metrics["seconds"] > 0
    assert not list((tmp_path / ".partial").glob("scratch-*"))
    again = pretrain(job)
    assert again.reused
    assert again == made


def test_the_text_tower_stays_as_it_is(bench: Pretraining, tmp_path: Path) -> None:
    made = pretrain(bench.job(tmp_path / "lrm"))
    tower, _ = load_text(check(TextConfig, bench.text))
    sizes = {"context_length": 32, "vocab_size": 758, "width": 32, "layers": 2, "heads": 2}
    before = text_weights(tower.state_dict(), check(Text, sizes))
    after = load_file(made.path / WEIGHTS)
    assert {name for name in after if not name.startswith("visual.")} == {*before, "logit_scale"}
    for name, weight in before.items():
        assert torch.equal(after[name], weight)


def test_the_losses_are_those_that_they_were(bench: Pretraining, tmp_path: Path) -> None:
    """Golden values: whoever changes them changes what everybody trains."""
    for tower, expected in ((VIT, GOLDEN_VIT), (RESNET, GOLDEN_RESNET)):
        rows = losses(pretrain(bench.job(tmp_path / tower["kind"], tower, other_captions=5)).path)
        assert [row["contrastive"] for row in rows] == pytest.approx(expected, rel=1e-4)


GOLDEN_VIT = [4.847441, 2.94994, 2.57912, 2.220895, 1.832369, 2.467475]
GOLDEN_RESNET = [3.680915, 4.549362, 3.976359, 2.47711, 1.715022, 1.991828]


def test_the_learning_rate_rises_and_falls(bench: Pretraining, tmp_path: Path) -> None:
    optimizer = {"lr": 0.01, "warmup_steps": 3, "schedule": "cosine"}
    rows = losses(pretrain(bench.job(tmp_path / "lrm", optimizer=optimizer)).path)
    falls = [0.5 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    expected = [0.01 * rises * fall for rises, fall in zip([1 / 3, 2 / 3, 1, 1, 1, 1], falls, strict=True)]
    assert [row["lr"] for row in rows] == pytest.approx(expected)


@pytest.mark.parametrize("at", [1, 4, 5])
@pytest.mark.parametrize(
    ("tower", "settings"),
    [
        pytest.param(VIT, {}, id="vit"),
        pytest.param(RESNET, {}, id="resnet"),
        pytest.param(RESNET, {"channels_last": True}, id="channels_last"),
    ],
)
def test_killed_and_started_again_to_the_bit(
    bench: Pretraining,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tower: dict[str, Any],
    settings: dict[str, Any],
    at: int,
) -> None:
    whole = pretrain(bench.job(tmp_path / "whole", tower, **settings))
    job, take = bench.job(tmp_path / "killed", tower, **settings), PairSupply.take
    with monkeypatch.context() as patch:
        patch.setattr(PairSupply, "take", dies_at(at))
        with pytest.raises(Killed):
            pretrain(job)
    assert not (tmp_path / "killed").exists()
    taken: list[int] = []

    def counts(self: PairSupply, read: Any) -> Any:
        taken.append(1)
        return take(self, read)

    monkeypatch.setattr(PairSupply, "take", counts)
    again = pretrain(job)
    assert len(taken) == STEPS - at // 2 * 2  # from the last of the checkpoints, which are two steps apart
    assert again.manifest["files"] == whole.manifest["files"]


def dies_at(step: int) -> Callable[[PairSupply, Any], Any]:
    take, taken = PairSupply.take, list[int]()

    def dies(self: PairSupply, read: Any) -> Any:
        taken.append(1)
        if len(taken) > step:
            raise Killed
        return take(self, read)

    return dies


@pytest.mark.parametrize(
    "settings", [{"report_every": 1}, {"checkpoints": {"every": 5, "keep": 1}}, {"processes": 2}]
)
def test_settings_of_no_consequence(bench: Pretraining, tmp_path: Path, settings: dict[str, Any]) -> None:
    plain, other = bench.job(tmp_path / "lrm"), bench.job(tmp_path / "lrm", **settings)
    assert made_from(plain) == made_from(other)
    first = pretrain(plain)
    assert pretrain(other).reused
    elsewhere = pretrain(bench.job(tmp_path / "elsewhere", **settings))
    assert elsewhere.manifest["files"] == first.manifest["files"]


@pytest.mark.parametrize(
    "settings",
    [{"seed": 1}, {"other_captions": 3}, {"batch_size": 4}, {"optimizer": {"lr": 2e-3, "weight_decay": 0.1}}],
)
def test_settings_of_consequence(bench: Pretraining, tmp_path: Path, settings: dict[str, Any]) -> None:
    first = pretrain(bench.job(tmp_path / "lrm"))
    again = pretrain(bench.job(tmp_path / "lrm", **settings))
    assert not again.reused
    assert again.manifest["files"][WEIGHTS] != first.manifest["files"][WEIGHTS]


def test_captions_of_nobody_make_it_harder(bench: Pretraining, tmp_path: Path) -> None:
    plain = losses(pretrain(bench.job(tmp_path / "plain")).path)
    harder = losses(pretrain(bench.job(tmp_path / "harder", other_captions=1000)).path)  # more than there are
    assert harder[0]["contrastive"] > plain[0]["contrastive"] + 0.1
    assert harder[0]["right"] == plain[0]["right"]


@pytest.mark.parametrize(
    ("settings", "tolerance"), [({"channels_last": True}, 1e-4), ({"precision": "bf16"}, 0.1)]
)
@pytest.mark.parametrize("tower", [VIT, RESNET], ids=["vit", "resnet"])
def test_faster_ways_come_to_much_the_same(
    bench: Pretraining, tmp_path: Path, tower: dict[str, Any], settings: dict[str, Any], tolerance: float
) -> None:
    plain = losses(pretrain(bench.job(tmp_path / "plain", tower)).path)
    faster = losses(pretrain(bench.job(tmp_path / "faster", tower, **settings)).path)
    assert faster[0]["contrastive"] == pytest.approx(plain[0]["contrastive"], rel=tolerance)
    assert mean(faster, "contrastive") == pytest.approx(mean(plain, "contrastive"), rel=3 * tolerance)


def test_each_step_has_its_own_latents_and_their_captions(bench: Pretraining) -> None:
    from rglcd_pipelines.latent_reward.captions import Captions
    from rglcd_pipelines.training.ranks import Ranks

    job = bench.job(Path("nowhere"), other_captions=4)
    reader, cpu = LatentReader(bench.latents), torch.device("cpu")
    every = torch.from_numpy(Captions(bench.captions).rows(range(len(reader))))

    def read(rank: int, count: int, step: int) -> Any:
        return PairSupply(reader, Captions(bench.captions), job.settings, Ranks(rank, count, cpu)).read(step)

    seen = torch.cat([read(0, 1, step).latents for step in range(3)])
    assert len(seen) == len(seen.unique(dim=0)) == len(reader)  # an epoch
    for step in (0, 2, 7):
        whole, halves = read(0, 1, step), [read(rank, 2, step) for rank in range(2)]
        assert len(whole.latents) == BATCH
        assert torch.equal(torch.cat([half.latents for half in halves]), whole.latents)
        assert torch.equal(torch.cat([half.texts for half in halves]), whole.texts)
        assert all(torch.equal(half.others, whole.others) for half in halves)
        for latent, text in zip(whole.latents, whole.texts, strict=True):
            numbers = [
                n
                for n in range(len(reader))
                if torch.equal(torch.from_numpy(reader[n].latent).float(), latent)
            ]
            assert len(numbers) == 1
            assert torch.equal(every[numbers[0]], text)
        assert all(any(torch.equal(other, row) for row in every) for other in whole.others)
    assert not torch.equal(read(0, 1, 0).others, read(0, 1, 1).others)
