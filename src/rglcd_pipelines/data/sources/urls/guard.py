"""What each process of img2dataset does when it starts.

img2dataset gives every URL to `urllib.request.urlopen`, which follows redirects and name servers wherever
they lead and reads answers of any size; and its workers go on for a whole shard when the process that asked
for them is killed. This file and addresses.py are copied into its environment, where Python imports them at
start; so they use nothing but the standard library. The machines of a Ray or Spark cluster bring environments
of their own, where nothing of this holds.
"""

import json
import os
import socket
import sys
import threading
import time
import urllib.request
from http.client import HTTPConnection, HTTPResponse
from ipaddress import ip_address
from types import ModuleType
from typing import Any
from urllib.error import URLError

from .addresses import is_public, refusal

VARIABLE = "RGLCD_DOWNLOADS"
"""The environment variable with the arguments of `opener` as JSON; without it nothing is changed."""

REFUSED = "refused: "


def install() -> None:
    if VARIABLE in os.environ:
        # img2dataset imports wandb before it asks whether to use it: a second a process, and telemetry.
        sys.modules["wandb"] = ModuleType("wandb")
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        urllib.request.install_opener(opener(**json.loads(os.environ[VARIABLE])))


def opener(allow_private: bool, max_bytes: int) -> urllib.request.OpenerDirector:
    """What `urlopen` shall use: http(s), public hosts unless `allow_private`, answers up to `max_bytes`."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Http(allow_private),
        _Https(allow_private),
        _Capped(max_bytes),
    ):
        director.add_handler(handler)
    return director


class _Guarded(urllib.request.AbstractHTTPHandler):
    """Judges the URL of every hop, and the address that its host's name turns out to be."""

    def __init__(self, allow_private: bool) -> None:
        super().__init__()
        self._allow_private = allow_private

    def do_open(self, http_class: Any, req: urllib.request.Request, **http_conn_args: Any) -> HTTPResponse:
        reason = refusal(req.full_url, self._allow_private)
        if reason is not None:
            raise URLError(REFUSED + reason)
        # A proxy looks the name up itself, and may well stand in our own network.
        proxied = req.has_proxy() or getattr(req, "_tunnel_host", None) is not None

        def connection(host: str, **options: Any) -> HTTPConnection:
            made = http_class(host, **options)
            if not (self._allow_private or proxied):
                made._create_connection = public_connection
            return made

        return super().do_open(connection, req, **http_conn_args)  # type: ignore[arg-type]


class _Http(_Guarded, urllib.request.HTTPHandler):
    pass


class _Https(_Guarded, urllib.request.HTTPSHandler):
    pass


class _Capped(urllib.request.BaseHandler):
    """Lets no answer be read that is larger than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def http_response(self, _request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        read = response.read

        def capped(amount: int | None = None) -> bytes:
            if response.length is None:  # an answer that does not say how long it is
                data = read(self._max_bytes + 1)
                if len(data) <= self._max_bytes:
                    return data
            elif response.length <= self._max_bytes:
                return read(amount)
            raise URLError(REFUSED + "too_large")

        response.read = capped  # type: ignore[method-assign]
        return response

    https_response = http_response


def public_connection(
    address: tuple[str, int], timeout: float | None, source_address: tuple[str, int] | None = None
) -> socket.socket:
    """As `socket.create_connection`, to the public addresses of a host only."""
    host, port = address
    error: Exception = URLError(REFUSED + "private_host")
    for *_, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not is_public(ip_address(str(found[0]).partition("%")[0])):
            continue
        try:
            return socket.create_connection((str(found[0]), port), timeout, source_address)
        except OSError as failure:
            error = failure
    raise error


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, or it would write to files that the next run writes too."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
