"""What the tests of trainings share."""

from collections.abc import Iterator

import pytest
import torch

from tests.training.make_job import Bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A batch is one part then, and what a reward is asked can be counted; test_lanes.py has several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def few_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests only pass by where it is counted how well a latent reward model agrees in the end."""
    monkeypatch.setattr("rglcd_pipelines.training.matched.FRESH", 4)
