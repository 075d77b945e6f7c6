"""A real `mlflow server`, and a door in front of it that can be shut, left hanging, and opened again.

The server takes ten seconds to start, the door none: so a test can take MLflow away at one exact request.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.project import TELEMETRY_OFF


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """The port of a server whose database and pictures are in `folder`."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers=1", f"--port={port}"]
    command += [f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}"]
    command += [f"--artifacts-destination={folder / 'artifacts'}"]
    environment = os.environ | TELEMETRY_OFF | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(port, server, folder / "server.log")
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"mlflow server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Door:
    """Passes requests on to the server behind it while it is open."""

    def __init__(self, behind: int) -> None:
        self.port = free_port()
        self.passed: list[str] = []
        """The paths of the requests that were answered."""
        self.shut_after = ""
        """After the answer to such a path nobody opens any more."""
        self._behind = behind
        self._server: ThreadingHTTPServer | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self.shut_after = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self, self._behind))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


def _handler(door: Door, behind: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
            headers = {key: value for key, value in self.headers.items() if key != "Host"}
            server.request(self.command, self.path, body, headers)
            answer = server.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type") or "")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            door.passed.append(self.path)
            if door.shut_after and door.shut_after in self.path:
                door.shut_after = ""
                door.shut()  # before the answer is out: no later request finds it open
            self.wfile.write(content)
            server.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  (http.server's names)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
