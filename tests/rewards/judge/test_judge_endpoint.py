"""A judge and its endpoint: what is asked, by how many at a time, and what is taken for an answer."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from rglcd_pipelines.errors import ConfigError, DataError
from tests.rewards.judge.conftest import MakeJudge
from tests.rewards.judge_server import KEY, MODEL, Endpoint, Entry, Fault
from tests.rewards.judging import all_right, captions, expected, pictures


def test_it_says_what_the_judge_thinks(endpoint: Endpoint, make: MakeJudge) -> None:
    judge = make()
    verdicts = judge.judge(pictures(5), captions(5))
    assert verdicts == expected(pictures(5))
    scores = judge.score(pictures(5), captions(5))
    assert scores.dtype == torch.float32
    assert scores.tolist() == pytest.approx([each.overall for each in verdicts])
    assert not judge.differentiable
    assert endpoint.sizes == [4, 1]
    assert set(endpoint.authorizations) == {f"Bearer {KEY}"}
    for body in endpoint.requests:
        assert (body["model"], body["temperature"], body["max_tokens"]) == (MODEL, 0, 2000)


def test_gradients_end_at_it(make: MakeJudge) -> None:
    assert not make().score(pictures(2).requires_grad_(), captions(2)).requires_grad


def test_nothing_is_asked_about_nothing(endpoint: Endpoint, make: MakeJudge) -> None:
    assert make().score(pictures(0), []).shape == (0,)
    with pytest.raises(ValueError, match="2 images and 3 captions"):
        make().score(pictures(2), captions(3))
    broken = pictures(2)
    broken[1, 0, 0, 0] = float("nan")
    with pytest.raises(DataError, match=r"rewards\.eye: picture 2 of 2 holds values that are no numbers"):
        make().score(broken, captions(2))
    assert endpoint.requests == []


@pytest.mark.parametrize("at_once", [1, 3])
def test_as_many_requests_at_a_time_as_allowed(at_once: int, make: MakeJudge, endpoint: Endpoint) -> None:
    endpoint.together = at_once
    endpoint.barrier = threading.Barrier(at_once)  # none is answered before so many are there
    assert all_right(make(at_once=at_once, per_request=2), 12)
    assert endpoint.peak == at_once
    assert endpoint.sizes == [2] * 6


def test_threads_that_ask_the_same_ask_once(make: MakeJudge, endpoint: Endpoint) -> None:
    judge = make(at_once=4, per_request=2)

    def ask(first: int) -> bool:
        images = pictures(8, first)
        return judge.judge(images, captions(8, first)) == expected(images)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(ask, [0, 0, 2, 4, 4, 6]))
    assert sorted(endpoint.asked) == sorted(captions(14))
    assert set(endpoint.asked.values()) == {1}


def test_what_another_thread_gave_up_is_asked_after_all(make: MakeJudge, endpoint: Endpoint) -> None:
    endpoint.faults = [Fault(status=400, hang=True)]
    judge = make(per_request=1)
    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(judge.judge, pictures(3), captions(3))
        assert endpoint.hanging.wait(60)
        waiting = pool.submit(judge.judge, pictures(3, 1), captions(3, 1))
        while len(judge._under_way) < 4:  # the last of which nobody but the second thread wants
            time.sleep(0.01)
        endpoint.release.set()
        assert isinstance(failing.exception(60), ConfigError)
        assert waiting.result(60) == expected(pictures(3, 1))
    assert set(endpoint.asked.values()) == {1}


def fewer(entries: list[Entry]) -> str:
    return json.dumps(entries[:-1])


def mixed_up(entries: list[Entry]) -> str:
    return json.dumps(entries[::-1])


def chatty(entries: list[Entry]) -> str:
    return f"Sure! {KEY} {json.dumps(entries)}"


MALFORMED = [fewer, mixed_up, chatty, lambda _: "", lambda _: None, lambda entries: json.dumps(entries)[:-2]]


@pytest.mark.parametrize("says", MALFORMED)
def test_what_is_no_answer_is_asked_again(says: Any, endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.faults = [Fault(says=says)]
    assert all_right(make())
    assert endpoint.sizes == [3, 3]


@pytest.mark.parametrize("says", MALFORMED)
def test_and_then_for_each_picture(says: Any, endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.always, endpoint.only_single = Fault(says=says), True
    assert all_right(make())
    assert endpoint.sizes == [3, 3, 1, 1, 1]


def test_and_then_it_is_told(endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.always = Fault(says=chatty)
    with pytest.raises(DataError) as caught:
        make().score(pictures(2), captions(2))
    words = ["rewards.eye.judge.model", "is no JSON", "Sure! [the key] [{", 'picture "0"', "most_tokens"]
    assert all(word in str(caught.value) for word in words), caught.value
    assert endpoint.sizes == [2, 2, 1, 1]


def test_what_others_were_told_meanwhile_is_kept(endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.faults = [None, None, Fault(status=400)]
    with pytest.raises(ConfigError, match="answers 400"):
        make(per_request=1).score(pictures(4), captions(4))
    assert endpoint.sizes == [1, 1, 1]
    assert all_right(make(per_request=1), 4)
    assert endpoint.sizes == [1] * 5
