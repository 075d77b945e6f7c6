"""What a judge has cost: counted over all runs, and capped."""

import json
from pathlib import Path

import pytest

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.judge.budget import FILE, CapReachedError, Spent
from rglcd_pipelines.rewards.judge.settings import JudgeConfig
from tests.rewards.judge.conftest import MakeJudge
from tests.rewards.judge_server import TOKENS_IN, TOKENS_OUT, Endpoint, Fault
from tests.rewards.judging import all_right, captions, pictures

PRICES = {"price_in": 2_000.0, "price_out": 10_000.0}
COST = (TOKENS_IN * 2_000 + TOKENS_OUT * 10_000) / 1e6
"""Of each picture."""


def test_every_token_is_counted(make: MakeJudge, endpoint: Endpoint) -> None:
    judge = make()
    assert judge.spent() == Spent()
    assert all_right(judge, 6)
    assert judge.spent() == Spent(2, 2, 0, 6 * TOKENS_IN, 6 * TOKENS_OUT)
    assert all_right(judge, 6)
    assert all_right(make(), 7)
    assert make().spent() == Spent(3, 3, 0, 7 * TOKENS_IN, 7 * TOKENS_OUT)
    # The prices may come later than the requests.
    assert make(**PRICES).spent().cost(make(**PRICES).config) == pytest.approx(7 * COST)
    assert len(endpoint.requests) == 3


def test_the_cap_stops_it_and_outlives_the_run(make: MakeJudge, endpoint: Endpoint) -> None:
    capped = PRICES | {"per_request": 1, "most_cost": 2.5 * COST}
    with pytest.raises(CapReachedError) as caught:
        make(**capped).score(pictures(9), captions(9))
    told = str(caught.value)
    for words in (
        f"rewards.eye.judge.most_cost: {3 * COST:.4f} of {2.5 * COST:g} is spent, by 3 requests to eye-1.",
        "judge and are not paid for again: raise rewards.eye.judge.most_cost",
    ):
        assert words in told
    assert len(endpoint.requests) == 3
    with pytest.raises(CapReachedError, match="most_cost"):
        make(**capped).score(pictures(9), captions(9))
    assert all_right(make(**capped))  # what is known costs nothing
    assert len(endpoint.requests) == 3
    assert all_right(make(**(capped | {"most_cost": 20 * COST})), 9)
    assert len(endpoint.requests) == 9


def test_at_the_cap_to_the_cent_it_stops_too(make: MakeJudge, endpoint: Endpoint) -> None:
    with pytest.raises(CapReachedError):
        make(**PRICES, per_request=1, most_cost=2 * COST).score(pictures(9), captions(9))
    assert len(endpoint.requests) == 2


def test_the_number_of_requests_is_capped(make: MakeJudge, endpoint: Endpoint) -> None:
    with pytest.raises(CapReachedError, match=r"rewards\.eye\.judge\.most_requests: 2 requests .* of 2"):
        make(per_request=1, most_requests=2).score(pictures(9), captions(9))
    assert len(endpoint.requests) == 2
    with pytest.raises(CapReachedError, match=r"raise rewards\.eye\.judge\.most_requests and run"):
        make(per_request=1, most_requests=2).score(pictures(9), captions(9))
    assert all_right(make(per_request=4, most_requests=4), 9)
    assert endpoint.sizes == [1, 1, 4, 3]


def test_another_model_has_its_own_account(make: MakeJudge) -> None:
    assert all_right(make())
    assert make(model="eye-2").spent() == Spent()


def test_who_refuses_takes_no_money(make: MakeJudge, endpoint: Endpoint) -> None:
    endpoint.faults = [Fault(status=429), Fault(status=500), Fault(body='{"error": "down"}')]
    judge = make(most_requests=1)
    assert all_right(judge)
    assert (judge.spent().begun, judge.spent().answered) == (1, 1)


def test_what_was_cut_off_may_have_cost_as_much_as_the_others(make: MakeJudge, endpoint: Endpoint) -> None:
    endpoint.faults = [None, Fault(cut=True)]
    judge = make(**PRICES, per_request=1, most_cost=2.5 * COST, attempts=2)
    assert all_right(judge, 1)
    with pytest.raises(CapReachedError, match=r"3 requests .*1 of them without an answer so far, count"):
        judge.score(pictures(9), captions(9))
    assert (judge.spent().begun, judge.spent().answered) == (3, 2)
    assert judge.spent().cost(judge.config) == pytest.approx(3 * COST)


def test_answers_that_do_not_say_their_tokens(make: MakeJudge, endpoint: Endpoint) -> None:
    endpoint.always = Fault(usage=False)
    assert all_right(make(**PRICES, per_request=1), 2)
    assert make().spent() == Spent(2, 2, 2)
    with pytest.raises(CapReachedError, match=r"did not say how many .*set rewards\.eye\.judge\.most_requ"):
        make(**PRICES, per_request=1, most_cost=1.0).score(pictures(4), captions(4))
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("usage", ["null", "7", "{}", '{"prompt_tokens": -1, "completion_tokens": 2}',
                                   '{"prompt_tokens": "1", "completion_tokens": 1e3}'])  # fmt: skip
def test_what_is_no_number_of_tokens(usage: str, make: MakeJudge, endpoint: Endpoint) -> None:
    words = json.dumps([{"picture": 1, "content": 1, "detail": 1, "natural": 4, "clean": 4}])
    said = {"choices": [{"message": {"content": words}}], "usage": json.loads(usage)}
    endpoint.faults = [Fault(body=json.dumps(said))]
    judge = make()
    assert judge.judge(pictures(1), captions(1)) == [(1, 4, 2)]
    assert judge.spent() == Spent(1, 1, 1)


def test_a_damaged_account_is_told(make: MakeJudge, tmp_path: Path) -> None:
    assert all_right(make())
    (tmp_path / "judge" / FILE).write_bytes(b"x" * 8192)
    with pytest.raises(DataError, match=r"spent\.sqlite: is damaged .*counts from nothing again"):
        make()


def test_nothing_asked_costs_nothing() -> None:
    config = JudgeConfig.model_validate({"base_url": "http://a/v1", "model": "b", **PRICES})
    assert Spent().cost(config) == Spent(begun=3).cost(config) == Spent(3, 3, 3).cost(config) == 0
    assert Spent(4, 3, 1, 2_000_000, 0).cost(config) == pytest.approx(4000 * 1.5)
