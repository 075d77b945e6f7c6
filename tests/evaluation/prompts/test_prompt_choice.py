"""Which prompts are drawn: as many of each group, evenly, the same ones always; and their names and noise."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.evaluation.prompts.choose import at_random, evenly, noise_seed, shares, slugs


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ([160, 160, 160, 160], 640, [160, 160, 160, 160]),
        ([800, 800, 800, 800], 400, [100, 100, 100, 100]),
        ([5, 5, 5], 7, [3, 2, 2]),
        ([2, 50, 9], 30, [2, 19, 9]),
        ([2, 50, 50], 31, [2, 15, 14]),
        ([3, 3], 100, [3, 3]),
        ([3, 3], 1, [1, 0]),
        ([10], 4, [4]),
    ],
)
def test_shares_by_hand(sizes: list[int], count: int, expected: list[int]) -> None:
    assert shares(sizes, count) == expected


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 300))
def test_shares_are_as_equal_as_the_groups_allow(sizes: list[int], count: int) -> None:
    taken = shares(sizes, count)
    assert sum(taken) == min(count, sum(sizes))
    assert all(0 <= one <= size for one, size in zip(taken, sizes, strict=True))
    # Nobody has two more than one who could have had more.
    most = max(taken)
    assert all(one >= most - 1 for one, size in zip(taken, sizes, strict=True) if one < size)


@given(st.data(), st.integers(1, 500))
def test_evenly(data: st.DataObject, size: int) -> None:
    count = data.draw(st.integers(1, size))
    places = evenly(size, count)
    assert len(places) == count
    assert places[0] == 0
    assert places[-1] < size
    gaps = {second - first for first, second in pairwise(places)}
    assert gaps <= {size // count, size // count + 1}


def test_at_random_is_one_draw_for_ever_and_others_with_other_seeds() -> None:
    names = [f"{number:012d}" for number in range(1_000)]
    drawn = at_random(names, 300, 0)
    assert drawn == sorted(set(drawn))
    assert drawn[:8] == at_random(names, 300, 0)[:8]
    assert set(at_random(names, 200, 0)) < set(drawn)
    assert (
        60 < len(set(at_random(names, 300, 1)) & set(drawn)) < 120
    )  # 90, if they know nothing of each other
    # Evenly over all of them: ten standard deviations would be 0.26 of a thousand.
    assert abs(sum(drawn) / 300 - 500) < 100


def test_noise_depends_on_seed_and_key_alone() -> None:
    # Samples are kept by key: another rule here would give every key other noise.
    assert noise_seed(0, "hpsv2/anime/00012") == 86871188679352
    keys = [f"hpsv2/anime/{number:05d}" for number in range(20_000)]
    seeds = {noise_seed(seed, key) for key in keys for seed in (0, 1)}
    assert len(seeds) == 40_000
    assert all(0 <= seed < 2**48 for seed in seeds)


def test_groups_in_keys() -> None:
    groups = ["", "Food & Beverage", "food-beverage", "concept-art", "日本", "風", "a", "A!", "a-2"]
    assert slugs(groups) == {
        "": "",
        "Food & Beverage": "food-beverage",
        "food-beverage": "food-beverage-2",
        "concept-art": "concept-art",
        "日本": "group",
        "風": "group-2",
        "a": "a",
        "A!": "a-2",
        "a-2": "a-2-2",
    }


@given(st.lists(st.text(max_size=12), unique=True, max_size=12))
def test_no_two_groups_are_called_alike(groups: list[str]) -> None:
    called = slugs(groups)
    assert list(called) == groups
    assert len(set(called.values())) == len(groups)
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in called.values())
