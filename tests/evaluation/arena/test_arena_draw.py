"""What the arena's seed draws: prompts evenly over groups, sides half and half, an order that is no clue."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.arena.draw import choose_prompts, draw_comparisons
from rglcd_pipelines.evaluation.arena.entrants import common_prompts
from rglcd_pipelines.evaluation.arena.settings import ArenaConfig
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from tests.evaluation.arena.make_drawn import (
    ARENA,
    GROUPS,
    all_samples,
    arena_config,
    make_prompts,
    make_samples,
)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_prompts_come_evenly_from_groups(sizes: list[int], count: int, seed: int) -> None:
    prompts = [Prompt(f"s/{g}/{i}", "s", str(g), "x", i) for g, size in enumerate(sizes) for i in range(size)]
    if count > len(prompts):
        with pytest.raises(ConfigError, match=rf"arena\.prompts: is {count}, but the set has {len(prompts)}"):
            choose_prompts(prompts, count, seed)
        return
    chosen = choose_prompts(prompts, count, seed)
    assert len({prompt.key for prompt in chosen}) == count
    found = Counter(prompt.group for prompt in chosen)
    most = max(found.values())
    assert all(found[str(g)] >= min(size, most - 1) for g, size in enumerate(sizes))
    assert choose_prompts(prompts, count, seed) == chosen


def test_every_pairing_meets_on_the_same_prompts_and_half_on_each_side() -> None:
    drawn = draw_comparisons(arena_config(prompts=8), make_prompts(10))
    assert len(drawn) == 16
    assert [one.id for one in drawn] == [f"{number:03d}" for number in range(1, 17)]
    pairs = [{one.prompt for one in drawn if one.pairing == pairing} for pairing in (0, 1)]
    assert pairs[0] == pairs[1]
    assert Counter(one.group for one in drawn) == dict.fromkeys(GROUPS, 8)
    assert Counter((one.pairing, one.a) for one in drawn) == dict.fromkeys(
        [(pairing, side) for pairing in (0, 1) for side in ("ours", "theirs")], 4
    )


def test_the_seed_draws_sides_and_order() -> None:
    one, same, other = (
        [
            (c.prompt, c.pairing, c.a)
            for c in draw_comparisons(arena_config(prompts=20, seed=s), make_prompts(10))
        ]
        for s in (0, 0, 1)
    )
    assert one == same
    assert one != other
    assert [prompt for prompt, _, _ in one] != [prompt for prompt, _, _ in other]
    assert {(prompt, pairing): side for prompt, pairing, side in one} != {
        (prompt, pairing): side for prompt, pairing, side in other
    }


def test_an_odd_prompt_takes_either_side() -> None:
    drawn = [draw_comparisons(arena_config(prompts=5, seed=seed), make_prompts()) for seed in range(20)]
    assert {sum(one.a == "ours" for one in comparisons) for comparisons in drawn} == {4, 5, 6}


def test_repeats_of_a_text_are_left_out(tmp_path: Path) -> None:
    samples = all_samples(tmp_path, make_prompts(3, repeats=2))
    assert common_prompts(arena_config(), samples) == make_prompts(3)


@pytest.mark.parametrize(
    ("model", "column", "told"),
    [
        ("hsp", "2", "there are no samples of 'hsp'; there are hps, lcm, teacher"),
        ("hps", "8", "the samples of hps have no column '8'; they have 2, 4"),
    ],
)
def test_unknown_entrants_are_told(tmp_path: Path, model: str, column: str, told: str) -> None:
    pairing = {"ours": {"model": model, "column": column}, "theirs": {"model": "lcm", "column": "4"}}
    with pytest.raises(ConfigError, match=told):
        common_prompts(arena_config(pairings=[pairing]), all_samples(tmp_path))


def test_an_unknown_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no set photos; there is styles"):
        common_prompts(arena_config(set="photos"), all_samples(tmp_path))


def test_a_model_that_lacks_prompts_is_told_by_name(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    samples["lcm"] = make_samples(tmp_path / "fewer", "lcm", make_prompts()[:-2])
    with pytest.raises(DataError) as told:
        common_prompts(arena_config(), samples)
    assert "lcm at 4 has 6 and lacks 2 (styles/photo/00002, styles/photo/00003)" in str(told.value)
    assert "hps" not in str(told.value)


def test_models_that_each_lack_prompts_of_the_other_are_told(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    samples["hps"] = make_samples(tmp_path / "fewer", "hps", make_prompts()[1:])
    samples["lcm"] = make_samples(tmp_path / "fewer", "lcm", make_prompts()[:-1])
    with pytest.raises(DataError) as told:
        common_prompts(arena_config(), samples)
    for line in (
        "hps at 2 has 7 and lacks 1 (styles/anime/00000)",
        "lcm at 4 has 7 and lacks 1 (styles/photo/00003)",
    ):
        assert line in str(told.value)


def test_other_noise_under_the_same_name_is_told(tmp_path: Path) -> None:
    samples = all_samples(tmp_path)
    first, *others = make_prompts()
    moved = [Prompt(first.key, first.set, first.group, first.text, first.seed + 1), *others]
    samples["teacher"] = make_samples(tmp_path / "other", "teacher", moved)
    with pytest.raises(DataError, match=r"hps at 2 and teacher at ddim-50 drew other .*styles/anime/00000"):
        common_prompts(arena_config(), samples)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pairings": []}, "arena.pairings"),
        ({"pairings": ARENA["pairings"] * 2}, "hps at 2 against teacher at ddim-50 twice"),  # pyright: ignore[reportOperatorIssue]
        ({"pairings": [{"ours": {"model": "hps", "column": "2"}, "theirs": {"model": "hps", "column": "2"}}]},
         "hps at 2 would meet itself"),
        ({"questions": [{"id": "a", "title": "A", "text": "?"}] * 2}, "id a twice"),
        ({"questions": []}, "arena.questions"),
        ({"title": "LCM or not?"}, "says 'lcm', the name of a model"),
        ({"prompts": 0}, "arena.prompts"),
        ({"prompt": 3}, "did you mean arena.prompts"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_told(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(ArenaConfig, ARENA | changes, "arena")


def test_the_papers_questions_are_the_default() -> None:
    assert [question.id for question in arena_config().questions] == ["preference", "appeal", "alignment"]
