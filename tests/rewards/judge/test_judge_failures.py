"""An endpoint that fails for a while, and one that never works."""

import logging
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.judge.client import retry_after
from rglcd_pipelines.rewards.judge.judge import JudgeReward
from tests.rewards.judge.conftest import MakeJudge
from tests.rewards.judge_server import MODEL, Endpoint, Fault, serve
from tests.rewards.judging import all_right, captions, pictures


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status) for status in (408, 409, 425, 429, 500, 502, 503, 529)),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(body='{"error": {"message": "upstream is down", "code": 502}}'),
        Fault(cut=True),
        Fault(drop=True),
    ],
    ids=lambda fault: f"{fault.status}-{'cut' * fault.cut}{'drop' * fault.drop}",
)
def test_what_may_be_over_is_tried_again(fault: Fault, endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.faults = [fault, fault]
    assert all_right(make())
    assert endpoint.sizes == [3, 3, 3]


def test_an_endpoint_that_does_not_answer_is_asked_again(endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.faults = [Fault(hang=True)]
    judge = make(timeout=0.5, attempts=50)
    assert all_right(judge)
    assert endpoint.hanging.is_set()
    assert len(endpoint.sizes) >= 2


def test_who_never_answers_is_given_up(
    endpoint: Endpoint, make: MakeJudge, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.always = Fault(status=503)
    words = r"rewards\.eye\.judge\.base_url: .*it answers 503 .*after 4 attempts.*run the same command again"
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match=words):
        make().score(pictures(1), captions(1))
    assert len(endpoint.requests) == 4
    told = [record.getMessage() for record in caplog.records if record.name.startswith("rglcd_pipelines")]
    assert [re.findall(r"attempt (\d) of 4", line) for line in told] == [["2"], ["3"], ["4"]]


def test_nobody_is_there(make: MakeJudge, tmp_path: Path) -> None:
    with serve(Endpoint()) as gone:
        pass
    judge = make(base_url=gone.base_url, cache=str(tmp_path / "other"))
    with pytest.raises(DataError, match=r"rewards\.eye\.judge\.base_url: .*the connection failed"):
        judge.score(pictures(1), captions(1))
    assert judge.spent().begun == 0


def waits_of(make: MakeJudge, **changes: Any) -> tuple[JudgeReward, list[float]]:
    waited: list[float] = []
    return make(wait=lambda _, seconds: waited.append(seconds), **changes), waited


def test_each_wait_is_longer_and_by_chance(endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.faults = [Fault(status=500)] * 6
    judge, waited = waits_of(make, backoff=2.0, longest_wait=30.0, attempts=7)
    assert all_right(judge, 1)
    assert len(set(waited)) == 6
    for longest, seconds in zip([2, 4, 8, 16, 30, 30], waited, strict=True):
        assert longest / 2 <= seconds <= longest


def test_it_waits_as_long_as_it_is_asked_to(endpoint: Endpoint, make: MakeJudge) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    endpoint.faults = [Fault(status=429, headers={"Retry-After": after}) for after in ("17", then, "soon")]
    judge, waited = waits_of(make, backoff=0.5, longest_wait=7200.0)
    assert all_right(judge, 1)
    assert waited[0] == 17
    assert 3000 < waited[1] <= 3600
    assert waited[2] <= 2


def test_but_not_longer_than_it_may(endpoint: Endpoint, make: MakeJudge) -> None:
    endpoint.faults = [Fault(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(DataError, match=r"3600 s, more than rewards\.eye\.judge\.longest_wait, 60 s"):
        make().score(pictures(1), captions(1))
    assert len(endpoint.requests) == 1


@given(st.text() | st.floats().map(str) | st.datetimes(timezones=st.just(UTC)).map(format_datetime))
def test_any_retry_after_is_a_wait_or_none(header: str) -> None:
    seconds = retry_after(header, datetime(2026, 1, 1, tzinfo=UTC))
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault(status=400),
            ["answers 400 ([the key] is bad)", "judge.model", "per_request", "most_tokens"],
        ),
        (Fault(status=401), ["answers 401", "JUDGE_KEY", "rewards.eye.judge.key_variable"]),
        (Fault(status=403), ["answers 403", "JUDGE_KEY"]),
        (Fault(status=404), ["answers 404", "/v1", "rewards.eye.judge.model", MODEL]),
        (Fault(status=413), ["answers 413", "Lower rewards.eye.judge.per_request"]),
        (Fault(status=422), ["answers 422"]),
        (Fault(status=301, headers={"Location": "http://127.0.0.1:1/"}), ["answers 301", "leads to"]),
        (Fault(body="<html>Sign in</html>"), ["not as chat completions do (<html>Sign in</html>)", "/v1"]),
        (Fault(body="{}"), ["not as chat completions do"]),
        (Fault(body="[" * 100_000), ["not as chat completions do"]),
        (Fault(body='{"choices": 7}'), ["not as chat completions do"]),
    ],
    ids=lambda value: f"{value.status}-{(value.body or '')[:8]}" if isinstance(value, Fault) else "",
)
def test_what_will_never_work_is_told_at_once(
    fault: Fault, words: list[str], endpoint: Endpoint, make: MakeJudge
) -> None:
    endpoint.always = fault
    judge = make(per_request=1)
    with pytest.raises(ConfigError) as caught:
        judge.score(pictures(4), captions(4))
    told = str(caught.value)
    assert all(word in told for word in ["rewards.eye.judge.base_url", *words]), told
    assert len(endpoint.requests) == 1
    assert judge.spent().begun == 0
