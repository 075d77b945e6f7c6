"""What the latent reward model costs: its pretraining, and a student's step through it.

    python -m benchmarks.lrm [--rounds 5] [--batch 32]

1. A step of the pretraining with the captions' embeddings from the file, against the same step that asks the
   text tower for the batch's captions: at the paper's size, where the bar is, and in the miniature world,
   whose text tower is small, with the other captions that the product has there, and without any.
2. A student's step through the latent reward model, against one that follows the expert itself.
3. The same step against the published scheme of Algorithm 4, as `lrm_published` describes it. The teacher's
   answers are kept in both, and the student's part is the same code.

All have the miniature world's models, one thread, and the precision of the product. What the stages left is
used where it stands, otherwise stand-ins of the same sizes. The ways take turns, and the medians of CPU time
count, or those of its ratios in a round. Memory is the peak of a process of its own, beyond what it loaded.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import process_time

import torch

from benchmarks import lrm_paper
from benchmarks._report import peak_beyond, peak_of, report
from benchmarks.distill import BETA, CPU, PART, Bench, ours
from benchmarks.lrm_published import AsIsMatcher, AskedCaptions, PaddedTexts, PublishedMatcher
from benchmarks.lrm_world import (
    find_captions,
    find_latents,
    fresh_model,
    matched_model,
    read_draws,
    read_settings,
)
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.latent_reward.captions import Captions
from rglcd_pipelines.latent_reward.reward import LatentReward
from rglcd_pipelines.training.batches import StepBatches
from rglcd_pipelines.training.expert import Expert
from rglcd_pipelines.training.guide import RewardGuide, as_latents
from rglcd_pipelines.training.learner import ADVICE, StudentLearner
from rglcd_pipelines.training.lrm_settings import check_matching
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.pretrain import PairSupply, TowerLearner
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.real_rewards import RealRewards
from rglcd_pipelines.training.step import Loss
from rglcd_pipelines.training.update import Watch

ALONE = Ranks(0, 1, CPU)
Way = Callable[[int], object]
"""Does the step of a number."""


class Pretraining:
    """The latent tower's steps, with the captions' embeddings kept or asked for."""

    def __init__(self, folder: Path) -> None:
        config, _ = read_settings()
        self.settings, self.model = config.pretrain, fresh_model(config)
        latents = find_latents(folder)
        self.reader = LatentReader(latents, verify=False)
        self.kept = Captions(find_captions(config.text, latents, folder))
        self.learner = TowerLearner(self.model, self.settings, ALONE)

    def asked(self, padded: bool) -> AskedCaptions:
        tower, settings = copy.copy(self.model.text), self.settings
        tower.texts = PaddedTexts(tower.texts) if padded else tower.texts
        bf16 = settings.precision == "bf16"
        return AskedCaptions(self.kept.artifact, self.reader, tower, settings.batch_size, bf16)

    def way(self, captions: Captions, others: int) -> Way:
        """Steps that read what they learn from, which the product does in a thread beside them."""
        settings = self.settings.model_copy(update={"other_captions": others})
        supply = PairSupply(self.reader, captions, settings, ALONE)
        return lambda step: self.learner.step(step, supply.take(supply.read(step)))

    def compare(self, rounds: int) -> dict[str, float]:
        asked, padded, batch = self.asked(False), self.asked(True), self.settings.batch_size
        rows = range(batch)
        same = [(found.rows(rows) * self.kept.rows(rows)).sum(1).min() for found in (asked, padded)]
        assert min(same) > 0.999, f"what the text tower says is not what is kept: {same}"
        ways: dict[str, Way] = {}
        for others, ending in ((self.settings.other_captions, ""), (0, "_alone")):
            for name, captions in (("kept", self.kept), ("asked", asked), ("asked_padded", padded)):
                ways[name + ending] = self.way(captions, others)
        times = take_turns(ways, rounds)
        speeds = {f"{name}_per_second": batch / median(taken) for name, taken in times.items()}
        faster = {
            f"faster_than_{name}{ending}": ratio(times, name + ending, f"kept{ending}")
            for ending in ("", "_alone")
            for name in ("asked", "asked_padded")
        }
        return speeds | faster


class Steps:
    """A student's steps on one batch, each way with a latent reward model of its own."""

    def __init__(self, batch: int, folder: Path) -> None:
        config, self.matching = read_settings()
        check_matching(self.matching, batch, 1, steps=1)
        self.bench, self.model = Bench(batch), matched_model(config)
        reader = LatentReader(find_latents(folder), verify=False)
        self.bench.batch = StepBatches(reader, read_draws(batch)).batch(0)
        self.work = self.bench.work()
        self.real = RealRewards(folder / "real_rewards.f32", len(reader))

    def expert(self, keeps: bool) -> Expert:
        return Expert(self.bench.reward, self.bench.vae, PART, bf16=True, kept=self.real if keeps else None)

    def matcher(self, kind: type[Matcher], batch: int, keeps: bool) -> Matcher:
        """Which learns from so many of the batch's samples."""
        rows = slice(None, None, len(self.work.early) // batch)
        tau = self.matching.tau_expert or self.bench.reward.temperature  # pyright: ignore
        return kind(copy.deepcopy(self.model), self.expert(keeps), tau, self.matching, 1, rows, ALONE)

    def guide(self, matcher: Matcher) -> RewardGuide:
        return RewardGuide(as_latents(LatentReward("lrm", matcher.model), self.bench.vae), BETA, PART)

    def through(self, matcher: Matcher) -> Way:
        """The student's step and that of the model that it follows."""
        bench = self.bench
        guide = self.guide(matcher)
        loss = Loss(
            bench.student, bench.teacher.conditioner, bench.solver, bench.settings.distance, guide, True
        )
        learner = StudentLearner(loss, bench.settings, ALONE, matcher)
        learner.working().__enter__()
        return lambda _: learner.step(0, self.work)

    def directly(self) -> Way:
        """The student's step that follows the expert."""
        step = ours(self.bench, guided=True)
        return lambda _: step()

    def way(self, name: str) -> Way:
        some, all_ = self.matching.batch_size, len(self.work.early)
        if name == "direct":
            return self.directly()
        kind, batch, keeps = {
            "lrm": (Matcher, some, True),
            "lrm_first_epoch": (Matcher, some, False),
            "published": (PublishedMatcher, all_, False),
            "published_small": (PublishedMatcher, some, False),
            "published_as_is": (AsIsMatcher, all_, False),
        }[name]
        return self.through(self.matcher(kind, batch, keeps))

    def parts(self) -> dict[str, Way]:
        """What the model adds to a student's step: its pull, and a step of its own, the expert included."""
        matcher, batch = self.matcher(Matcher, self.matching.batch_size, True), self.work.batch
        guide, z = self.guide(matcher), self.work.early
        watch = Watch(matcher.terms, CPU, ADVICE)
        chosen = batch.rows(matcher.rows)
        drawn = torch.cat([z[matcher.rows], z[matcher.rows]])
        return {
            "pull": lambda _: guide.pull(z, batch.captions),
            "expert": lambda _: matcher.expert.score(drawn, [*chosen.captions, *chosen.captions]),
            "match": lambda _: matcher.step(0, batch, z, z, watch),
        }

    def compare(self, rounds: int) -> dict[str, float]:
        """Milliseconds an image of the student's batch, and of the parts of our step."""
        ways = ("direct", "lrm", "lrm_first_epoch", "published", "published_small", "published_as_is")
        times = take_turns({name: self.way(name) for name in ways}, rounds)
        times |= take_turns(self.parts(), rounds)
        ms = {name: 1000 * median(taken) / len(self.work.early) for name, taken in times.items()}
        shares = {"pull": ms["pull"], "expert": ms["expert"], "matching": ms["match"] - ms["expert"]}
        shares = {"student": ms["lrm"] - ms["pull"] - ms["match"]} | shares
        return {
            **{f"{name}_ms": ms[name] for name in ways},
            **{f"lrm_{name}_ms": value for name, value in shares.items()},
            "lrm_over_direct": ratio(times, "lrm", "direct"),
            "faster_than_published": ratio(times, "published", "lrm"),
            "faster_than_published_first_epoch": ratio(times, "published", "lrm_first_epoch"),
            "faster_than_published_small": ratio(times, "published_small", "lrm"),
            "faster_than_published_as_is": ratio(times, "published_as_is", "lrm"),
        }


def take_turns(ways: Mapping[str, Way], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each way in each round, after one that warms caches; every other round backwards."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name in sorted(ways, reverse=bool(round_ % 2)):
            began = process_time()
            ways[name](round_)
            if round_:
                times[name].append(process_time() - began)
    return times


def ratio(times: Mapping[str, list[float]], slow: str, fast: str) -> float:
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="the student's samples of a step")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.peak:
            step = Steps(options.batch, folder).way(options.peak)
            print(peak_beyond(lambda: step(0)))
            return 0
        pretrain = Pretraining(folder).compare(options.rounds)
        paper = ratio(take_turns(lrm_paper.ways(), max(2, options.rounds // 2)), "asked", "kept")
        steps = Steps(options.batch, folder).compare(options.rounds)
    figures: dict[str, float] = {"batch": options.batch}
    figures |= {f"pretrain_{name}": round(value, 2) for name, value in pretrain.items()}
    figures |= {name: round(value, 2) for name, value in steps.items()}
    figures |= {
        f"{way}_peak_mib": round(peak_of("lrm", way, options.batch)) for way in ("direct", "lrm", "published")
    }
    bars = {
        "pretrain_faster_at_the_papers_size": (round(paper, 3), ">= 1.6"),
        "step_faster": (round(steps["faster_than_published"], 3), ">= 1.8"),
    }
    return 0 if report("lrm", figures, bars) else 1


if __name__ == "__main__":
    sys.exit(main())
