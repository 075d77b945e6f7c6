"""A server that misbehaves, and the real environment of img2dataset, built once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rglcd_pipelines.data.sources.urls import img2dataset
from tests.data.sources.urls.image_server import ImageServer, serving


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def environment() -> Path:
    return img2dataset.environment("multiprocessing")
