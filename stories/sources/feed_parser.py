"""Parses feeds, each in a process of its own that is forked from one with feedparser loaded.

A hostile feed of a few hundred kilobytes can keep feedparser busy for minutes, and nothing stops a
regular expression from inside its process. So a feed has a process with three seconds of processor
time and half a gigabyte of memory, which ends with it and takes no other feed with it. Starting Python
for each would take ten times as long as parsing it: run as a file, this module loads feedparser,
forks at each order, and ends when there has been none for a while. It runs isolated; of this project
it imports only its two neighbours that need the standard library alone.

The JSON: ``{version, link, entries: [{id, link, title, title_type, text, text_type, author, date,
updated}]}``, all text; the dates are as the feed wrote them. A type is ``plain``, ``html`` or
``markdown``, or empty where the format leaves it open (RSS).
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from threading import Lock, Thread
from typing import Any

SECONDS = 3
BYTES = 512 * 1024 * 1024
ENTRIES = 20_000
FIELD = 20_000  # characters
TEXT = 200_000  # characters
DEADLINE = 30.0  # seconds on the clock
IDLE_SECONDS = 30.0
STARTED = b"+"


class Unsafe(Exception):
    """The process of a feed has ended without an answer."""


class Parser:
    """The process of this one that forks a parser for each feed; started at need, used by all threads.

    An order is one end of a connection of its own, so feeds are parsed side by side. The parser sends
    ``STARTED``, reads the content type, a line feed and the document, and sends the JSON with its
    length in eight bytes before it.
    """

    def __init__(self, idle: float = IDLE_SECONDS) -> None:
        self._idle, self._lock = idle, Lock()
        self._running: tuple[socket.socket, subprocess.Popen[bytes]] | None = None

    def parse(self, body: bytes, content_type: str) -> Any:
        """Returns the JSON of a feed; raises Unsafe, or OSError when no process can be had in time."""
        until = time.monotonic() + DEADLINE
        # The process that forks may end at this very moment, or have been killed.
        connection = self._ordered(until) or self._ordered(until)
        if connection is None:
            raise OSError("no parser")
        with connection:
            label = content_type.replace("\n", " ").encode("utf-8", "replace")
            try:
                connection.sendall(label + b"\n" + body)
                connection.shutdown(socket.SHUT_WR)
                answer = bytearray()
                while piece := self._received(connection, until):
                    answer += piece
            except (BrokenPipeError, ConnectionResetError):
                raise Unsafe from None
        if len(answer) < 8 or len(answer) - 8 != int.from_bytes(answer[:8], "big"):
            raise Unsafe
        return json.loads(answer[8:])

    def _ordered(self, until: float) -> socket.socket | None:
        """Returns a connection to a parser that has started; None when the process had ended."""
        with self._lock:
            if self._running is None:
                self._running = self._started()
            running = self._running
            ours, theirs = socket.socketpair()
            with theirs, contextlib.suppress(OSError):
                socket.send_fds(running[0], [STARTED], [theirs.fileno()])
        try:
            if self._received(ours, until, 1):
                return ours
        except ConnectionResetError:
            pass
        except OSError:
            ours.close()
            raise
        ours.close()
        with self._lock:
            if self._running is running:
                self._running = None
                running[0].close()
                running[1].kill()
                running[1].wait()
        return None

    def _started(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                # Isolated and without an environment, so that a parser has no secrets and imports
                # nothing of ours.
                [sys.executable, "-I", __file__, str(self._idle)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
            )
        # An idle parser ends without an order that would wait for it.
        Thread(target=process.wait, name="feed-parser", daemon=True).start()
        return ours, process

    @staticmethod
    def _received(connection: socket.socket, until: float, most: int = 1 << 16) -> bytes:
        connection.settimeout(max(0.001, until - time.monotonic()))
        return connection.recv(most)


parser = Parser()
# A process that is forked has a parser of its own: a thread of the first may hold the lock.
os.register_at_fork(after_in_child=parser.__init__)  # type: ignore[misc]


def main() -> None:
    """Forks a parser for each connection that standard input brings, until none has come for a while."""
    _limit(resource.RLIMIT_AS, BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    # An isolated interpreter does not look for modules here. Last, so that no name of ours hides one
    # of the standard library.
    sys.path.append(str(Path(__file__).parents[2]))
    import feedparser  # noqa: F401 - every parser has it then

    import stories.sources.feed_document  # noqa: F401

    # Parsers are not waited for, and a Ctrl-C is for the studio, which then ends this process too.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    orders = socket.socket(fileno=0)
    orders.settimeout(float(sys.argv[1]))
    while True:
        try:
            _, given, _, _ = socket.recv_fds(orders, 1, 1)
        except TimeoutError:
            return
        if not given:
            return
        with socket.socket(fileno=given[0]) as connection, contextlib.suppress(OSError):
            if os.fork() == 0:
                orders.close()
                _answer(connection)


def _limit(kind: int, value: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # some systems do not know the limit
        # The soft and the hard limit, so that the process cannot raise it again.
        resource.setrlimit(kind, (value, value))


def _answer(connection: socket.socket) -> None:
    """Parses the document of a connection and ends this process, whatever happens."""
    try:
        _limit(resource.RLIMIT_CPU, SECONDS)
        # After that the answer is not waited for.
        signal.alarm(round(DEADLINE) + 1)
        connection.sendall(STARTED)
        received = bytearray()
        while piece := connection.recv(1 << 16):
            received += piece
        label, _, body = bytes(received).partition(b"\n")
        answer = json.dumps(parsed(body, label.decode())).encode()
        connection.sendall(len(answer).to_bytes(8, "big") + answer)
    finally:
        os._exit(0)


def parsed(body: bytes, content_type: str) -> dict[str, object]:
    """Returns the feed as the JSON object that the module describes; exits when it is not safe."""
    import feedparser

    from stories.sources.feed_document import (
        UnsafeEntities,
        decoded,
        document_of,
        entries_of,
        feed_of,
    )

    text = decoded(body, content_type)
    if json_document := feed_of(text):
        entries = islice(entries_of(json_document), ENTRIES)
        return {
            "version": str(json_document["version"]),
            "link": str(json_document.get("home_page_url") or "")[:FIELD],
            "entries": list(entries),
        }
    try:
        document = document_of(text)
    except UnsafeEntities:
        sys.exit("entities")
    # The caller strips all markup and resolves addresses, so neither is done here. A stream, because
    # feedparser would take bytes for the name of a file first.
    feed = feedparser.parse(
        io.BytesIO(document.encode()),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    return {
        "version": str(feed.get("version") or ""),
        "link": _text(feed.feed, "link", FIELD),
        "entries": [
            _entry(entry, str(feed.get("version") or "").startswith("atom"))
            for entry in feed.entries[:ENTRIES]
        ],
    }


_NO_TEXT = re.compile(r"(image|audio|video|application)/(?!xhtml)")


def _entry(entry: Any, atom: bool) -> dict[str, str]:
    # The longest of an entry's contents and its summary is its text.
    summary = {**(entry.get("summary_detail") or {}), "value": entry.get("summary")}
    contents = (*(entry.get("content") or []), summary)
    # Atom's content can be a picture in base64.
    parts = [part for part in contents if not _NO_TEXT.match(str(part.get("type") or ""))]
    texts = [(_text(part, "value", TEXT), _type(part, atom)) for part in parts]
    text, text_type = max(texts, key=lambda pair: len(pair[0]), default=("", ""))
    return {
        "id": _text(entry, "id", FIELD),
        "link": _text(entry, "link", FIELD),
        "title": _text(entry, "title", FIELD),
        "title_type": _type(entry.get("title_detail") or {}, atom),
        "text": text,
        "text_type": text_type,
        "author": _text(entry, "author", FIELD),
        "outlet": _text(entry.get("source") or {}, "title", FIELD),
        "date": _text(entry, "published", FIELD) or _text(entry, "updated", FIELD),
        "updated": _text(entry, "updated", FIELD),
    }


def _type(detail: Any, atom: bool) -> str:
    """Returns the type that an Atom element declares; "text" is the default of the format."""
    if not atom:
        return ""
    declared = str(detail.get("type") or "text/plain").lower()
    if "markdown" in declared:
        return "markdown"
    return "plain" if declared.startswith("text/") and declared != "text/html" else "html"


def _text(element: Any, name: str, limit: int) -> str:
    return str(element.get(name) or "")[:limit]


if __name__ == "__main__":
    main()
