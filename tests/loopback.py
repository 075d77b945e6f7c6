"""Servers on loopback that tests talk to: started, told to a test by their URL, and gone after it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar


class Served(Protocol):
    """What a server knows, and what it is asked."""

    url: str


ServedT = TypeVar("ServedT", bound=Served)


class Handler(BaseHTTPRequestHandler):
    """Answers in the name of `hub`."""

    protocol_version = "HTTP/1.1"
    hub: Any

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        """Send what was asked for; its head alone, unless with a `body`."""
        raise NotImplementedError

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: the tests look at what the hub was asked."""


@contextmanager
def serving(hub: ServedT, handler: type[Handler]) -> Iterator[ServedT]:
    """The hub, at its URL, while inside."""
    own = type("Own", (handler,), {"hub": hub})  # servers of several hubs do not share one
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
