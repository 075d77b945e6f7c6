"""From pictures to figures: each is what the pictures say when they are measured by hand."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.decoder import pictures
from rglcd_pipelines.diffusion.vae import VaeConfig, load_vae
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.distances.frechet import frechet_distance, moments
from rglcd_pipelines.evaluation.distances.reference import make_reference
from rglcd_pipelines.evaluation.generate.absolute import absolute_reward
from rglcd_pipelines.evaluation.generate.generate import draw_samples
from rglcd_pipelines.evaluation.generate.models import StudentDrawer
from rglcd_pipelines.evaluation.generate.samples import Samples
from rglcd_pipelines.evaluation.prompts.make import make_prompts
from rglcd_pipelines.evaluation.scores.measuring import Measurer
from rglcd_pipelines.evaluation.scores.score import score_samples
from rglcd_pipelines.evaluation.scores.table import Scores
from rglcd_pipelines.evaluation.scores.worker import ScoreJob, ScoreWorker
from rglcd_pipelines.evaluation.settings import EvaluateConfig
from rglcd_pipelines.measures.diversity import feature_diversity
from rglcd_pipelines.measures.spectrum import high_frequency
from rglcd_pipelines.rewards.settings import RewardConfig
from rglcd_pipelines.training.distill import distill
from tests.evaluation.scores.own_features import Colours
from tests.training.make_job import Bench

COLOURS = ["red", "white", "blue", "pink", "black", "green", "grey", "brown", "cyan", "gold"]
REWARDS = {
    "bright": check(RewardConfig, {"kind": "tests.rewards.own_reward:Brightness", "cap": 0.1}),
    "small": check(RewardConfig, {"kind": "compression"}),
}
FACTS = {"variant": "lcm", "rewards": ["bright"], "beta": 0.5}


class Show:
    """A student's pictures, and what they are judged by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bench = Bench(folder / "bench")
        student = distill(bench.job(folder / "lcm", steps=2))
        self.config = config(folder)
        self.vae = check(VaeConfig, bench.vae)
        prompts = make_prompts(self.config.sets, folder / "prompts")
        drawer = StudentDrawer.of(student.path, self.config.draw)
        place = folder / "samples" / "lcm"
        self.samples = draw_samples("lcm", drawer, prompts, self.config.sets, self.config.draw, place)
        assert self.config.reference is not None
        assert self.config.features is not None
        cpu = torch.device("cpu")
        self.reference = make_reference(
            self.config.reference, self.config.features, cpu, folder / "reference"
        )

    def score(self, place: Path, config: EvaluateConfig | None = None) -> Artifact:
        told = config or self.config
        return score_samples(self.samples, told, REWARDS, self.vae, FACTS, self.reference, place)

    def images(self, column: str, name: str) -> Tensor:
        pictures = [
            np.asarray(Image.open(io.BytesIO(png))) for _, png in Samples(self.samples).pngs(column, name)
        ]
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def config(folder: Path, **changed: Any) -> EvaluateConfig:
    table, lines = folder / "prompts.csv", folder / "prompts.txt"
    rows = [f"a {size} {colour} cat,{size}" for size in ("small", "large") for colour in COLOURS]
    table.write_text("\n".join(["prompt,group", *rows]), encoding="utf-8")
    lines.write_text("\n".join(f"a {colour} dog" for colour in COLOURS), encoding="utf-8")
    real = folder / "real"
    real.mkdir(exist_ok=True)
    for index in range(9):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(real / f"{index}.png")
    told = {
        "sets": {
            "styles": {"kind": "file", "path": str(table), "use": ["benchmark"]},
            "captions": {"kind": "file", "path": str(lines), "use": ["fid"], "steps": ["2"]},
            "seeds": {
                "kind": "file",
                "path": str(lines),
                "count": 3,
                "repeats": 2,
                "use": ["diversity"],
                "steps": ["2"],
            },
        },
        "draw": {
            "steps": [1, 2],
            "teacher": {"slow": {"sampler": "ddim", "steps": 2}},
            "precision": "fp32",
            "batch_size": 4,
            "shard_size": 12,
            "progress": False,
        },
        "judges": ["bright", "small"],
        "suffix": "-mini",
        "features": {"kind": "tests.evaluation.scores.own_features:Colours"},
        "reference": {"kind": "folder", "path": str(real)},
        "batch_size": 5,
        "resamples": 200,
    }
    return check(EvaluateConfig, told | changed)


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Show:
    return Show(tmp_path_factory.mktemp("show"))


@pytest.fixture(scope="module")
def scores(show: Show, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    return Scores.open(show.score(tmp_path_factory.mktemp("scores") / "lcm"))


def value(scores: Scores, column: str, name: str, measure: str, group: str = "") -> float:
    found = scores.figure(column, name, measure, group)
    assert found is not None
    assert found.low is None or found.high is None or found.low <= found.value <= found.high
    return found.value


def test_judges_say_what_they_think_uncapped(show: Show, scores: Scores) -> None:
    images = show.images("2", "styles").float() / 255
    bright = images.mean((1, 2, 3)).numpy()
    np.testing.assert_allclose(scores.values("2", "styles", "bright"), bright, atol=1e-6)
    assert value(scores, "2", "styles", "bright") == pytest.approx(bright.mean(), abs=1e-6)
    assert value(scores, "2", "styles", "bright", "large") == pytest.approx(bright[10:].mean(), abs=1e-6)
    large = scores.figure("2", "styles", "bright", "large")
    assert large is not None
    assert large.deviation == pytest.approx(bright[10:].std(), abs=1e-6)  # ten chunks of one picture
    assert scores.measures["bright"].role == "optimised"
    assert scores.measures["small"].role == "held_out"
    assert scores.measures["small"].label == "small-mini"


def test_looks_are_measured_of_every_picture(show: Show, scores: Scores) -> None:
    for column, name in (("1", "styles"), ("2", "captions"), ("2", "seeds")):
        found = high_frequency(show.images(column, name).float() / 255).numpy()
        np.testing.assert_allclose(scores.values(column, name, "high_frequency"), found, rtol=1e-4)
    # Others only of the set that is a benchmark.
    assert scores.measured("2", "styles", "reconstruction")
    assert not scores.measured("2", "captions", "reconstruction")
    assert not scores.measured("2", "captions", "bright")


def test_distances_and_diversity_are_those_of_the_features(show: Show, scores: Scores) -> None:
    features = Colours(torch.device("cpu"))
    real = torch.stack(
        [
            torch.from_numpy(np.random.default_rng(index).integers(0, 256, (16, 16, 3), np.uint8))
            for index in range(9)
        ]
    ).permute(0, 3, 1, 2)
    ours = features(show.images("2", "captions")).numpy()
    expected = frechet_distance(moments(ours), moments(features(real).numpy()))
    assert value(scores, "2", "captions", "fid") == pytest.approx(expected, rel=1e-4)
    pairs = features(show.images("2", "seeds")).reshape(3, 2, 6)
    apart = float(feature_diversity(pairs).mean())
    assert value(scores, "2", "seeds", "diversity") == pytest.approx(apart, rel=1e-4)
    assert scores.figure("2", "styles", "fid") is None
    for measure in ("fid", "kid", "precision", "recall"):
        figure = scores.figure("2", "captions", measure)
        assert figure is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high
    assert scores.figure("2", "captions", "diversity") is None
    kept = scores.features("2", "captions")
    assert kept is not None
    np.testing.assert_allclose(kept, ours, rtol=1e-5)


def test_what_was_scored_is_not_scored_again(show: Show, tmp_path: Path) -> None:
    first = show.score(tmp_path / "lcm")
    assert show.score(tmp_path / "lcm").reused
    assert not (first.path / "parts").exists()
    other = show.config.model_copy(update={"judges": ["small"]})
    assert not show.score(tmp_path / "lcm", other).reused


def test_a_stopped_run_is_taken_up_where_it_was(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge that fails in the middle; what it had judged by then it is not asked again."""
    from tests.rewards.own_reward import Brightness

    whole = show.score(tmp_path / "whole" / "lcm")
    asked: list[int] = []
    score = Brightness.score

    def failing(self: Brightness, images: Tensor, captions: list[str]) -> Tensor:
        asked.append(len(images))
        if len(asked) == 5:
            raise DataError("the judge is gone")
        return score(self, images, captions)

    monkeypatch.setattr(Brightness, "score", failing)
    one_lane = show.config.model_copy(update={"lanes": 1})
    with pytest.raises(DataError, match="the judge is gone"):
        show.score(tmp_path / "broken" / "lcm", one_lane)
    assert not (tmp_path / "broken" / "lcm").exists()
    again = show.score(tmp_path / "broken" / "lcm", one_lane)
    assert sum(asked) < 2 * 40  # of two columns of twenty
    assert {file.name: file.read_bytes() for file in again.path.rglob("*.*")} == {
        file.name: file.read_bytes() for file in whole.path.rglob("*.*")
    }


def test_what_another_machine_computed_is_not_mixed_in(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that a GPU scored before the run was stopped is scored anew on this CPU."""
    from tests.rewards.own_reward import Brightness

    asked: list[int] = []
    score = Brightness.score

    def failing(self: Brightness, images: Tensor, captions: list[str]) -> Tensor:
        asked.append(len(images))
        if len(asked) == 5:
            raise DataError("the judge is gone")
        return score(self, images, captions)

    monkeypatch.setattr(Brightness, "score", failing)
    one_lane = show.config.model_copy(update={"lanes": 1})
    with pytest.raises(DataError, match="the judge is gone"):
        show.score(tmp_path / "lcm", one_lane)
    for part in tmp_path.glob(".partial/*/parts/*/*.npz"):
        with np.load(part) as file:
            told = {name: file[name] for name in file.files}
        told["computed"] = np.array('{"device": "cuda"}')
        told["bright"] = np.full_like(told["bright"], 7)
        np.savez(part, allow_pickle=False, **told)
    scores = Scores.open(show.score(tmp_path / "lcm", one_lane))
    assert scores.values("1", "styles", "bright").max() < 1
    assert scores.values("2", "styles", "bright").max() < 1


def test_the_autoencoder_gets_a_few_pictures_at_once(show: Show) -> None:
    cpu = torch.device("cpu")
    vae = load_vae(show.vae, cpu, torch.float32)
    seen: list[int] = []
    encode: Any = vae.model.encode

    def counted(images: Tensor) -> Any:
        seen.append(len(images))
        return encode(images)

    vae.model.encode = counted  # pyright: ignore[reportAttributeAccessIssue]
    images = show.images("2", "styles")[:10].float() / 255
    found = Measurer({}, vae).judged(images, [""] * 10, watched=True)["reconstruction"]
    assert sum(seen) == 10
    assert max(seen) <= 4
    with torch.no_grad():
        again = pictures(vae, encode(images * 2 - 1).latent_dist.mean * vae.scaling_factor)
    torch.testing.assert_close(found, (again - images).square().mean((1, 2, 3)).sqrt())


def test_too_little_memory_names_what_to_lower(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.rewards.own_reward import Brightness

    def full(*_: Any) -> Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Brightness, "score", full)
    with pytest.raises(ConfigError, match=r"evaluate\.batch_size: 5 pictures do not fit .* Set it lower"):
        show.score(tmp_path / "lcm")


def test_relative_places_are_made_absolute_for_the_workers(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of a cluster is started in another folder; here one goes to another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    init = ScoreWorker.__init__

    def moved(self: ScoreWorker, job: ScoreJob, index: int) -> None:
        monkeypatch.chdir(elsewhere)
        init(self, job, index)

    def score(place: Path) -> Artifact:
        monkeypatch.chdir(show.folder)
        samples = Artifact(show.samples.path.relative_to(show.folder), show.samples.manifest)
        vae = check(VaeConfig, {"source": "folder", "id": os.path.relpath(str(show.vae.id))})
        return score_samples(samples, show.config, REWARDS, vae, FACTS, show.reference, place)

    monkeypatch.setattr(ScoreWorker, "__init__", moved)
    with monkeypatch.context() as later:
        later.setattr(ScoreWorker, "close", lambda _: os.chdir(show.folder))
        made = score(Path("relative") / "lcm")
    whole = show.score(tmp_path / "lcm")
    assert made.digest == whole.digest
    assert made.manifest["made_from"] == whole.manifest["made_from"]


def test_a_rewards_places_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = {"kind": "open_clip", "id": "hps", "file": "w.pt", "architecture": "own.json"}
    reward = absolute_reward(check(RewardConfig, told | {"tokenizer": {"id": "words"}}))
    assert (reward.id, reward.architecture) == (str(tmp_path / "hps"), str(tmp_path / "own.json"))
    assert reward.tokenizer is not None
    assert reward.tokenizer.id == str(tmp_path / "words")
    asked = {"kind": "judge", "judge": {"base_url": "http://localhost/v1", "model": "m", "cache": "kept"}}
    judge = absolute_reward(check(RewardConfig, asked)).judge
    assert judge is not None
    assert judge.cache == str(tmp_path / "kept")
    hub = {"kind": "clip", "source": "hub", "id": "a/b", "revision": "0" * 40}
    assert absolute_reward(check(RewardConfig, hub)).id == "a/b"


def test_a_gpu_that_is_not_there_is_no_cpu(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    draw = show.config.draw.model_copy(update={"device": "cuda"})
    with pytest.raises(ConfigError, match=r"evaluate\.draw\.device: is cuda, but there is no GPU"):
        show.score(tmp_path / "lcm", show.config.model_copy(update={"draw": draw}))


def test_settings_that_do_not_fit_are_refused(show: Show, tmp_path: Path) -> None:
    other = show.config.model_copy(update={"judges": ["brigt"]})
    with pytest.raises(
        ConfigError, match=r"evaluate\.judges: there is no reward 'brigt'; did you mean bright"
    ):
        show.score(tmp_path / "lcm", other)
    with pytest.raises(ConfigError, match="gold is gold, which is not among judges"):
        config(tmp_path, gold="gold")
    with pytest.raises(ConfigError, match=r"reference is missing, which sets\.captions is to be compared"):
        config(tmp_path, reference=None)


def test_damaged_pictures_are_told_by_file(show: Show, tmp_path: Path) -> None:
    shard = show.samples.path / show.samples.manifest["shards"][0]["name"]
    content = shard.read_bytes()
    try:
        shard.write_bytes(content[:-1024])
        with pytest.raises(DataError, match=rf"{shard.name}: is missing or damaged\. Remove its folder"):
            show.score(tmp_path / "lcm")
    finally:
        shard.write_bytes(content)
