"""The API key: wanted, and told to nobody."""

import json
import logging
from pathlib import Path

import pytest

from rglcd_pipelines.errors import ConfigError, RglcdError
from tests.rewards.judge.conftest import MakeJudge
from tests.rewards.judge_server import KEY, Endpoint, Entry, Fault
from tests.rewards.judging import all_right, captions, expected, pictures


def test_a_wrong_key_and_none_where_one_is_wanted(
    endpoint: Endpoint, make: MakeJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-another")
    with pytest.raises(ConfigError, match=r"answers 401.*the environment variable JUDGE_KEY") as caught:
        make().score(pictures(1), captions(1))
    assert "sk-another" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"answers 401.*judge\.key_variable: set it to the name"):
        make(key_variable=None).score(pictures(1), captions(1))
    endpoint.key = None
    assert all_right(make(key_variable=None))
    assert endpoint.authorizations == ["Bearer sk-another", None, None]


@pytest.mark.parametrize("value", [None, "", " \n", "sk-one\nsk-two", "sk ab", "sk-\x00a", "schlüssel"])
def test_a_key_that_cannot_be(value: str | None, make: MakeJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None and "\0" in value:
        value = value.replace("\0", "\x01")  # an environment holds no zeros
    monkeypatch.delenv("JUDGE_KEY")
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(ConfigError, match=r"rewards\.eye\.judge\.key_variable: .*JUDGE_KEY") as caught:
        make()
    assert "sk" not in str(caught.value)
    monkeypatch.setenv("JUDGE_KEY", f"{KEY}\n")  # as `export JUDGE_KEY=$(<file)` does not, but an editor may
    assert all_right(make())


def chatty(entries: list[Entry]) -> str:
    return f"Sure! {KEY} {json.dumps(entries)}"


def test_the_key_is_told_to_nobody_else(
    endpoint: Endpoint,
    make: MakeJudge,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    faults = [Fault(status=500), Fault(status=429), Fault(cut=True), Fault(says=chatty)]
    ends = [Fault(status=status) for status in (400, 401, 403, 404, 413, 301, 500)]
    ends += [Fault(says=chatty), Fault(body=f"<html>{KEY}"), Fault(body=f'{{"error": "{KEY}"}}')]
    told = []
    for name in ("httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    with caplog.at_level(logging.DEBUG):
        for number, end in enumerate(ends):
            judge = make()
            endpoint.faults, endpoint.always = [*faults], None
            assert judge.judge(pictures(1, number), captions(1, number)) == expected(pictures(1, number))
            endpoint.always = end
            with pytest.raises(RglcdError) as caught:
                judge.score(pictures(1, 100), captions(1, 100))
            told += [str(caught.value), repr(caught.value), repr(judge.config)]
    written = [file.read_bytes() for file in (tmp_path / "judge").iterdir()]
    said = "\n".join(
        [*told, caplog.text, *capfd.readouterr(), *(repr(vars(each)) for each in caplog.records)]
    )
    assert "attempt 2 of 4" in said
    assert any(each.name.startswith("httpcore2") for each in caplog.records)
    assert KEY not in said
    assert not any(KEY.encode() in content for content in written)
    assert len(written) >= 2
