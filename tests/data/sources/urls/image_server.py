"""A web server on loopback whose paths tell how it misbehaves."""

import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


class ImageServer(ThreadingHTTPServer):
    """Answers /KIND/NUMBER; KIND is good, missing, slow, corrupt, bomb, large, endless, robots or away."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, pause: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pause = pause
        """Seconds that each answer takes; the slow ones never come."""
        self.closing = threading.Event()
        self.asked: Counter[str] = Counter()
        self.large = _large()
        self.bomb = _bomb()

    def url(self, kind: str, number: int) -> str:
        return f"http://127.0.0.1:{self.server_port}/{kind}/{number}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are part of the game."""


@contextmanager
def serving(pause: float = 0.0) -> Iterator[ImageServer]:
    with ImageServer(pause) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def picture(number: int) -> bytes:
    """A small JPEG that is like no other."""
    pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return _jpeg(pixels)


class _Handler(BaseHTTPRequestHandler):
    server: ImageServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.closing.wait(self.server.pause)
        _, kind, number = self.path.split("/")
        if kind == "missing":
            self.send_error(404)
        elif kind == "slow":
            self.server.closing.wait()
        elif kind == "away":
            self._answer(b"", 302, Location=f"ftp://127.0.0.1/{number}.jpg")
        elif kind == "robots":
            self._answer(picture(int(number)), 200, **{"X-Robots-Tag": "noai"})
        elif kind == "endless":
            self._endless()
        else:
            body = {"corrupt": b"\xff\xd8 no picture", "bomb": self.server.bomb, "large": self.server.large}
            self._answer(body.get(kind) or picture(int(number)))

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.is_set():
            self.wfile.write(bytes(2**16))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _jpeg(pixels: "np.ndarray[Any, Any]") -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def _large() -> bytes:
    """A photograph of several megabytes."""
    return _jpeg(np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8))


def _bomb() -> bytes:
    """A PNG of 400 megapixels in half a megabyte."""
    side = 20_000
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
