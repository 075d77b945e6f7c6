"""The guard in the processes of img2dataset."""

import socket
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest

from rglcd_pipelines.data.sources.urls import guard
from tests.data.sources.urls.image_server import ImageServer, picture


def fetch(url: str, allow_private: bool = True, max_bytes: int = 2**20) -> bytes:
    with guard.opener(allow_private, max_bytes).open(Request(url), timeout=5) as answer:
        return answer.read()


def test_the_guard_lets_images_through(server: ImageServer) -> None:
    assert fetch(server.url("good", 1)) == picture(1)
    with pytest.raises(HTTPError, match="404"):
        fetch(server.url("missing", 1))


def test_the_guard_refuses_too_large_answers(server: ImageServer) -> None:
    for kind in ("large", "endless"):
        with pytest.raises(URLError, match="refused: too_large"):
            fetch(server.url(kind, 1))


def test_the_guard_follows_no_redirect_away_from_http(server: ImageServer) -> None:
    with pytest.raises(URLError, match="unknown url type: ftp"):
        fetch(server.url("away", 1))


def test_the_guard_refuses_names_of_private_addresses(
    server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_args, **_options: [(2, 1, 6, "", ("127.0.0.1", server.server_port))]
    )
    url = server.url("good", 1)
    named = url.replace("127.0.0.1", "example.com")
    assert fetch(named) == picture(1)
    for refused in (url, named):
        with pytest.raises(URLError, match="refused: private_host"):
            fetch(refused, allow_private=False)
    assert sum(server.asked.values()) == 1
