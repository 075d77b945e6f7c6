"""A student and its teacher, narrow, and some prompts for them."""

from pathlib import Path

import pytest

from tests.evaluation.generate.gallery import Gallery
from tests.training.make_job import Bench


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder: Path = tmp_path_factory.mktemp("gallery")
    return Gallery(folder, Bench(folder / "bench"))
