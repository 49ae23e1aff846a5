"""A web site with feeds: recorded ones, ones a test writes, and every way of going wrong."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from tests.standins.headlines import distinct
from tests.standins.recorded import recorded
from tests.standins.server import Recorded, Request, StandIn

PAGE = b"<!doctype html><html><head><title>News</title>%s</head><body>Hello</body></html>"
ALTERNATE = b'<link rel="alternate" type="application/rss+xml" title="All" href="/feed/news.xml">'
BOMB_SIZE = 20_000_000
LAST_MODIFIED = "Sat, 21 Nov 2026 06:00:00 GMT"
PAUSE = 0.05

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class FeedStandIn(StandIn):
    """``/feed/<name>.xml`` (see ``publish``), ``/file/<name>``, and the paths of ``_behaviours``.

    ``retry_after`` is what ``/throttled`` says, "" for nothing. ``answers`` has whole answers in
    bytes, by the path exactly as it is asked for (see ``answer``).
    """

    def __init__(self) -> None:
        super().__init__()
        self.retry_after = "120"
        self.answers: dict[str, Callable[[Recorded], bytes]] = {}
        self._feeds: dict[str, dict[str, str]] = {}
        self._behaviours: dict[str, Behaviour] = {
            "/loop": lambda request: self._redirect(request, "/loop"),
            "/throttled": self._throttle,
            "/busy": lambda request: self.reply(request, 503, b"", {"Retry-After": "30"}),
            "/trickle": lambda request: self.stream(request, 200, self._forever(b"x"), pause=PAUSE),
            "/trickling-headers": self._trickle_headers,
            "/endless": lambda request: self.stream(request, 200, self._forever(b"x" * 65536)),
            "/bomb": lambda request: self._packed(request, gzip.compress(bytes(BOMB_SIZE))),
            "/hollow": self._hollow,
            "/page": lambda request: self._html(request, PAGE % ALTERNATE),
            "/plain-page": lambda request: self._html(request, PAGE % b""),
            "/broken": lambda request: self.reply(request, 500, b"<h1>Oops</h1>"),
            "/reset": self.reset,
            "/cut": self._cut,
            "/forbidden": lambda request: self.reply(request, 403),
            "/locked": lambda request: self.reply(request, 401),
            "/gone": lambda request: self.reply(request, 410),
            "/legal": lambda request: self.reply(request, 451),
        }

    def publish(self, name: str, items: Sequence[tuple[str, str]]) -> str:
        """Add (title, body) items to the feed of a name, newest last; returns its address.

        A title the feed has already is edited in place.
        """
        feed = self._feeds.setdefault(name, {})
        for title, body in items:
            number = list(feed).index(title) if title in feed else len(feed)
            feed[title] = self._item(name, number, title, body)
        return f"{self.url}/feed/{name}.xml"

    def publish_distinct(self, name: str, number: int) -> str:
        """A feed with ``number`` stories that no likeness could mistake for one another."""
        return self.publish(name, [distinct(name, index) for index in range(number)])

    def answer(
        self, path: str, status: int, headers: Sequence[tuple[str, bytes]], body: bytes = b""
    ) -> str:
        """Answer a path with exactly these bytes; returns its address."""
        lines = [b"HTTP/1.1 %d OK" % status, b"Connection: close"]
        lines += [name.encode() + b": " + value for name, value in headers]
        self.answers[path] = lambda _: b"\r\n".join([*lines, b"", body])
        return self.url + path

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        kind, _, name = path[1:].partition("/")
        if request.path in self.answers:
            assert isinstance(request, Request)
            request.wfile.write(self.answers[request.path](request.recorded))
            request.close_connection = True
        elif path in self._behaviours:
            self._behaviours[path](request)
        elif kind == "redirect":
            left = int(name)
            self._redirect(request, f"/redirect/{left - 1}" if left > 1 else "/feed/news.xml")
        elif kind == "feed" and name.removesuffix(".xml") in self._feeds:
            self._conditional(request, self._rendered(name.removesuffix(".xml")))
        elif kind == "file" and (files := recorded("feeds", name)):
            self._conditional(request, files[0].read_bytes())
        else:
            self.reply(request, 404, b"nothing here")

    def _item(self, name: str, number: int, title: str, body: str) -> str:
        date = format_datetime(datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=number))
        return (
            f"<item><guid isPermaLink='false'>{escape(name)}-{number}</guid>"
            f"<link>https://{escape(name).lower()}.example/{number}</link>"
            f"<title>{escape(title)}</title><description>{escape(body)}</description>"
            f"<pubDate>{date}</pubDate></item>"
        )

    def _rendered(self, name: str) -> bytes:
        items = "".join(reversed(self._feeds[name].values()))
        return (
            f'<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel>'
            f"<title>{escape(name)}</title><link>{self.url}/</link>{items}</channel></rss>"
        ).encode()

    def _conditional(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Last-Modified": LAST_MODIFIED, "Content-Type": "application/xml"}
        same = request.headers.get("If-None-Match") == tag
        self.reply(request, 304 if same else 200, b"" if same else body, headers)

    def _redirect(self, request: BaseHTTPRequestHandler, location: str) -> None:
        self.reply(request, 302, b"", {"Location": location})

    def _throttle(self, request: BaseHTTPRequestHandler) -> None:
        said = {"Retry-After": self.retry_after} if self.retry_after else {}
        self.reply(request, 429, b"slow down", said)

    def _packed(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.reply(request, 200, body, {"Content-Encoding": "gzip"})

    def _hollow(self, request: BaseHTTPRequestHandler) -> None:
        nothing = self._forever(gzip.compress(b"") * 1000)
        self.stream(request, 200, nothing, {"Content-Encoding": "gzip"})

    def _html(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.reply(request, 200, body, {"Content-Type": "text/html; charset=utf-8"})

    def _cut(self, request: BaseHTTPRequestHandler) -> None:
        self.stream(request, 200, [b"<rss><channel>"], {"Content-Length": "5000"})

    def _trickle_headers(self, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for byte in self._forever(b"x"):
            request.wfile.write(byte)
            request.wfile.flush()
            if self.stopping.wait(PAUSE):
                break
        request.close_connection = True

    def _forever(self, chunk: bytes) -> Iterator[bytes]:
        while not self.stopping.is_set():
            yield chunk
