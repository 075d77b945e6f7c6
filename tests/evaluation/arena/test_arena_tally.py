"""Votes added up: shares, intervals over prompts, agreement of raters, and the files of `votes`."""

import csv
import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.evaluation.arena.agreement import krippendorff_alpha
from rglcd_pipelines.evaluation.arena.count import count_votes, sentence
from rglcd_pipelines.evaluation.arena.key import Key, read_key
from rglcd_pipelines.evaluation.arena.make import make_arena
from rglcd_pipelines.evaluation.arena.settings import VotesConfig
from rglcd_pipelines.evaluation.arena.tally import intervals, tally
from rglcd_pipelines.evaluation.arena.votes import find_files, read_votes
from tests.evaluation.arena.make_drawn import all_samples, arena_config, make_prompts, write_votes


def test_alpha_worked_by_hand() -> None:
    # Ordered pairs of different ratings: 2 within units; 2 · 3 · 3 = 18 among all six ratings.
    assert krippendorff_alpha(["aa", "ab", "bb"]) == pytest.approx(1 - 5 * 2 / 18)
    # A unit with one rating says nothing of agreement.
    assert krippendorff_alpha(["aa", "ab", "bb", "a", "b", ""]) == pytest.approx(1 - 5 * 2 / 18)
    assert krippendorff_alpha(["aaa", "bbb"]) == 1
    assert krippendorff_alpha(["ab", "ab"]) == pytest.approx(1 - 3 * 4 / 8)


def test_alpha_of_krippendorffs_own_example() -> None:
    """Four observers, twelve units, missing ratings: 0.743 in his "Computing alpha-reliability"."""
    observers = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    units = [[rating for rating in unit if rating != "."] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_not_defined_without_two_raters_or_two_answers() -> None:
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha(["a", "b"]) is None
    assert krippendorff_alpha(["aa", "aa"]) is None


def test_alpha_of_chance_is_about_zero() -> None:
    draw = random.Random(0)
    assert krippendorff_alpha([draw.choices("abc", k=3) for _ in range(3000)]) == pytest.approx(0, abs=0.03)


def test_intervals_of_single_votes_are_those_of_a_proportion() -> None:
    counts = np.repeat(np.eye(3, dtype=int), (240, 40, 120), axis=0)
    shares, lead = intervals(counts, 4000, seed=0)
    assert list(shares) == ["ours", "tie", "theirs"]
    for p, share in zip((0.6, 0.1, 0.3), shares.values(), strict=True):
        assert share.value == pytest.approx(p)
        assert share.low is not None
        assert share.high is not None
        half = 1.96 * (p * (1 - p) / 400) ** 0.5
        assert (p - share.low, share.high - p) == pytest.approx((half, half), rel=0.12)
    half = 1.96 * ((0.9 - 0.3**2) / 400) ** 0.5  # the variance of +1, 0, -1
    assert lead.value == pytest.approx(0.3)
    assert (lead.low, lead.high) == pytest.approx((0.3 - half, 0.3 + half), rel=0.12)


def test_more_raters_of_the_same_opinion_narrow_nothing() -> None:
    counts = np.repeat(np.eye(3, dtype=int), (12, 3, 5), axis=0)
    assert intervals(counts, 500, seed=0) == intervals(counts * 5, 500, seed=0)


def test_an_unanimous_vote_is_not_certain() -> None:
    shares, lead = intervals(np.array([[2, 0, 0]] * 10), 500, seed=0)
    bound = 0.025**0.1
    assert (shares["ours"].low, shares["ours"].high) == pytest.approx((bound, 1))
    assert (shares["theirs"].low, shares["theirs"].high) == pytest.approx((0, 1 - bound))
    assert (lead.value, lead.low, lead.high) == pytest.approx((1, 2 * bound - 1, 1))
    shares, lead = intervals(np.array([[1, 0, 1]] * 10), 500, seed=0)
    assert (shares["ours"].low, shares["ours"].high) == pytest.approx((bound - 0.5, 1.5 - bound))
    assert lead.value == 0
    assert lead.low is not None
    assert lead.low < -0.5


def test_one_prompt_has_no_interval() -> None:
    shares, lead = intervals(np.array([[2, 1, 1]]), 500, seed=0)
    assert (shares["ours"].value, shares["ours"].low, shares["ours"].high) == (0.5, None, None)
    assert (lead.value, lead.low, lead.high) == (0.25, None, None)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    home = tmp_path_factory.mktemp("arena")
    return make_arena(arena_config(prompts=8), all_samples(home, make_prompts(6)), home / "arena")


def side_of(key: Key, comparison: str, choice: str) -> str:
    one = next(one for one in key.comparisons if one.id == comparison)
    return "tie" if choice == "tie" else ("a" if one.a == choice else "b")


def vote(folder: Path, arena: Artifact, rater: str, choose: dict[int, str], question: str) -> None:
    """One rater's file, who chooses the same of each pairing in every comparison."""
    key = read_key(arena)
    answers = {
        (one.id, question): side_of(key, one.id, choose[one.pairing])
        for one in key.comparisons
        if one.pairing in choose
    }
    write_votes(folder / f"{rater}.json", arena, rater, answers)


def test_votes_are_counted_by_pairing_and_question(tmp_path: Path, arena: Artifact) -> None:
    vote(tmp_path, arena, "ann", {0: "ours", 1: "theirs"}, "preference")
    vote(tmp_path, arena, "bob", {0: "ours", 1: "ours"}, "preference")
    vote(tmp_path, arena, "cem", {0: "theirs"}, "preference")
    vote(tmp_path, arena, "dee", {0: "tie"}, "appeal")
    key = read_key(arena)
    results = tally(read_votes(find_files(str(tmp_path)), key), key, 200, 0)
    found = {(r.pairing.theirs.model, r.question.id): r for r in results}
    assert len(found) == 6
    first = found["teacher", "preference"]
    assert (first.votes, first.raters, first.prompts) == (24, 3, 8)
    assert {c: share.value for c, share in first.shares.items()} == pytest.approx(
        {"ours": 2 / 3, "tie": 0, "theirs": 1 / 3}
    )
    # Within each of 8 units 2·2·1 = 4 different pairs of 3 ratings; 2·16·8 among all 24.
    assert first.agreement == pytest.approx(1 - 23 * (8 * 4 / 2) / (2 * 16 * 8))
    assert found["lcm", "preference"].shares["ours"].value == 0.5
    assert found["teacher", "appeal"].shares["tie"].value == 1
    assert found["teacher", "appeal"].agreement is None
    empty = found["lcm", "alignment"]
    assert (empty.votes, empty.shares, empty.lead, empty.agreement) == (0, {}, None, None)


def test_words_say_no_more_than_the_interval(tmp_path: Path, arena: Artifact) -> None:
    vote(tmp_path, arena, "ann", {0: "ours", 1: "theirs"}, "preference")
    vote(tmp_path, arena, "bob", {0: "ours", 1: "ours"}, "preference")
    vote(tmp_path, arena, "cem", {1: "theirs"}, "appeal")
    key = read_key(arena)
    said = [sentence(r) for r in tally(read_votes(find_files(str(tmp_path)), key), key, 200, 0)]
    assert "hps at 2 is preferred (16 votes, 2 raters)" in said[0]
    assert said[1].endswith("no votes")
    assert "which is preferred is open" in said[3]
    assert "lcm at 4 is preferred (8 votes, 1 rater)" in said[4]


def test_the_files_of_counted_votes(tmp_path: Path, arena: Artifact) -> None:
    files = tmp_path / "votes"
    vote(files, arena, "ann", {0: "ours", 1: "tie"}, "preference")
    vote(files, arena, "bob", {0: "theirs"}, "preference")
    config = VotesConfig(files=str(files), resamples=200)
    made = count_votes(config, arena, tmp_path / "counted")
    assert count_votes(config, arena, tmp_path / "counted").reused
    told = json.loads((made.path / "votes.json").read_text())
    assert (told["arena"], told["raters"], told["votes"]) == (arena.manifest["arena"], 2, 24)
    assert "ann" not in (made.path / "votes.json").read_text()
    assert told["sides"] == pytest.approx({"a": 1 / 3, "b": 1 / 3, "tie": 1 / 3})
    first = told["results"][0]
    assert first["ours"] == {"model": "hps", "column": "2"}
    assert (first["shares"]["ours"]["value"], first["lead"]["value"]) == (0.5, 0)
    rows = list(csv.DictReader(io.StringIO((made.path / "votes.csv").read_text())))
    assert len(rows) == 6
    assert (rows[0]["theirs_model"], rows[0]["question"], rows[0]["ours"]) == ("teacher", "preference", "0.5")
    assert (rows[5]["votes"], rows[5]["ours"], rows[5]["agreement"]) == ("0", "", "")
    image = Image.open(made.path / "votes.png")
    assert image.width > 1000
    assert made.metrics["preference/hps-2/teacher-ddim-50"] == 0.5
    assert made.metrics["preference/hps-4/lcm-4/lead"] == 0
    vote(files, arena, "cem", {0: "ours"}, "preference")
    more = count_votes(config, arena, tmp_path / "counted")
    assert not more.reused
    assert more.metrics["preference/hps-2/teacher-ddim-50"] == pytest.approx(2 / 3)


def test_equal_votes_give_equal_files_wherever_they_lie(tmp_path: Path, arena: Artifact) -> None:
    made = []
    for name in ("here", "there"):
        vote(tmp_path / name, arena, "ann", {0: "ours", 1: "tie"}, "preference")
        config = VotesConfig(files=str(tmp_path / name), resamples=200)
        made.append(count_votes(config, arena, tmp_path / f"counted-{name}"))
    assert made[0].digest == made[1].digest
