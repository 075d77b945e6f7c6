"""A judge on loopback, the key that it wants, and pictures whose marks are known."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.rewards.judge.judge import JudgeReward
from rglcd_pipelines.rewards.judge.settings import JudgeConfig
from tests.rewards.judge_server import KEY, Endpoint, serve
from tests.rewards.judging import settings

MakeJudge = Callable[..., JudgeReward]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serve(Endpoint()) as served:
        yield served


@pytest.fixture
def make(endpoint: Endpoint, tmp_path: Path) -> Iterator[MakeJudge]:
    """Makes judges that ask `endpoint` and share a cache, as later runs of a program would."""
    with ExitStack() as stack:

        def build(wait: Any = None, **changes: Any) -> JudgeReward:
            config = JudgeConfig.model_validate(settings(endpoint, tmp_path / "judge") | changes)
            judge = JudgeReward("eye", config, **({} if wait is None else {"wait": wait}))
            stack.callback(judge.close)
            return judge

        yield build
