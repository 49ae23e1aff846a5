"""The base of every stand-in: a threaded HTTP server on a free port of 127.0.0.1."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived; ``path`` keeps its query, ``headers`` ignore the case of names."""

    method: str
    path: str
    headers: Message
    body: bytes


class Request(BaseHTTPRequestHandler):
    """What ``StandIn.handle`` is given: the usual handler, with the request already read."""

    protocol_version = "HTTP/1.1"
    stand_in: ClassVar[StandIn]
    recorded: Recorded

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError, OSError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; ``StandIn.requests`` remembers."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.recorded = Recorded(self.command, self.path, self.headers, body)
        self.stand_in.requests.append(self.recorded)
        self.stand_in.handle(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def server_bind(self) -> None:
        # The inherited one asks the name service for the machine's full name.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class StandIn:
    """Use as a context manager. ``url`` has no trailing slash; ``requests`` lists all that came.

    Subclasses override ``handle`` and answer with ``reply``, ``stream`` or ``reset``; ``stopping``
    is set at the end, so an endless answer can end with it.
    """

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.stopping = threading.Event()
        handler = type("BoundRequest", (Request,), {"stand_in": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        run = self._server.serve_forever
        self._thread = threading.Thread(target=run, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request; ``request.recorded`` (see ``Request``) holds its body."""
        self.reply(request, 404)

    def reply(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer with its Content-Length; the connection stays open."""
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        if status not in (204, 304):
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD" and status not in (204, 304):
            request.wfile.write(body)

    def stream(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        chunks: Iterable[bytes],
        headers: Mapping[str, str] | None = None,
        *,
        pause: float = 0.0,
    ) -> None:
        """Send ``chunks`` as they come, ``pause`` seconds apart, and close the connection."""
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Connection", "close")
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(chunk)
            request.wfile.flush()
            if self.stopping.wait(pause) if pause else self.stopping.is_set():
                break
        request.close_connection = True

    def reset(self, request: BaseHTTPRequestHandler) -> None:
        """Drop the connection with a TCP reset, in the middle of whatever was sent."""
        request.close_connection = True
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.connection.close()
