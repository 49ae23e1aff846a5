"""HTTP GET for addresses that strangers wrote: guarded, bounded in time and size, no proxies.

What an HTTP status means to somebody who reads a feed.

Undo gzip and deflate piece by piece, so that a bomb can be left before it goes off.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urljoin, urlsplit

from sessions_app.errors import NeedsHuman, Retry, WaitUntil
from stories.sources.ssrf import Address, Resolver, Target, addresses_of, target_of

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_READABLE = frozenset({200, 304})

_PASSING = frozenset({408, 425})

_UNTOLD_WAIT = timedelta(minutes=5)

_LONGEST_WAIT = timedelta(hours=24)

_FINAL = {
    401: ("unauthorized", "asks for a password. Use an address that is open to everybody."),
    403: ("forbidden", "refuses to show this to us (403). Check whether it is open to everybody."),
    404: ("missing", "has nothing at this address (404). Check it."),
    410: ("gone", "took this down for good (410). Choose another source."),
    451: ("legal", "may not show this for legal reasons (451). Choose another source."),
}


def raise_for_status(status: int, headers: Mapping[str, str], host: str) -> None:
    """Return for 200 and 304; otherwise raise Retry, WaitUntil or NeedsHuman."""
    if status in _READABLE:
        return
    until = asked_wait(headers.get("retry-after", ""), datetime.now(UTC))
    if status == 429 or (status == 503 and until is not None):
        raise WaitUntil(
            f"{host} asks us to wait ({status}). It is read again by itself after that.",
            until=until or datetime.now(UTC) + _UNTOLD_WAIT,
        )
    if status in _FINAL:
        code, sentence = _FINAL[status]
        raise NeedsHuman(f"{host} {sentence}", code=code)
    if 400 <= status < 500 and status not in _PASSING:
        raise NeedsHuman(
            f"{host} does not accept the request ({status}). Check the address.", code="rejected"
        )
    raise Retry(f"{host} cannot answer at the moment ({status}). It is tried again later.")


def asked_wait(retry_after: str, now: datetime) -> datetime | None:
    """When a Retry-After field (seconds or a date) lets us come back, within 24 hours; or None."""
    value = retry_after.strip()
    if value.isascii() and value.isdigit():
        return now + min(timedelta(seconds=int(value[:9])), _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(aware, now), now + _LONGEST_WAIT)


_PIECE = 64 * 1024

_GZIP = zlib.MAX_WBITS | 16

_GZIP_START = b"\x1f\x8b"


def unpacked(packed: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the content in small pieces; ValueError or zlib.error when broken or cut short."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from packed
    elif encoding in {"gzip", "x-gzip"}:
        yield from _inflated(packed, _GZIP)
    elif encoding == "deflate":
        yield from _inflated(packed, None)
    else:
        raise ValueError(encoding)


def _inflated(packed: Iterable[bytes], bits: int | None) -> Iterator[bytes]:
    """``bits`` None: deflate, which some servers send with and some without its zlib header."""
    decoder = None
    for piece in packed:
        if decoder is None:
            headed = piece[0] & 0x8F == 8
            decoder = zlib.decompressobj(bits or (zlib.MAX_WBITS if headed else -zlib.MAX_WBITS))
        rest = piece
        while rest:
            if decoder.eof:
                if not _GZIP_START.startswith(rest[:2]):
                    return
                decoder = zlib.decompressobj(_GZIP)
            yield decoder.decompress(rest, _PIECE)
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if decoder is not None and not decoder.eof:
        yield decoder.flush()
        if not decoder.eof:
            raise ValueError("cut short")


_CONNECT_SECONDS = 5.0

_CHUNK = 64 * 1024

_PRIVATE_HEADERS = frozenset({"authorization", "cookie"})


class Headers(Mapping[str, str]):
    """Header fields by name in any case, each value on one line; the last of several stays."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values = {name.lower(): " ".join(str(value).split()) for name, value in pairs}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with status 200 or 304; ``url`` is the last one of the redirects."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


class _Deadline:
    """The moment at which everything about one request has to be over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left; TimeoutError once there are none."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class _Reading(io.RawIOBase):
    """The receiving side of a socket under a deadline, in the shape HTTPResponse expects."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, _CHUNK)


class GuardedClient:
    """Reads addresses that anybody may have typed.

    ``deadline`` is in seconds and holds for everything together: name, redirects, headers, body.
    ``max_bytes`` bounds what arrives and also what it unpacks to.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        user_agent: str,
        deadline: float = 15.0,
        max_bytes: int = 5_000_000,
        max_redirects: int = 3,
        resolver: Resolver = socket.getaddrinfo,
    ) -> None:
        self._allow_private = allow_private
        self._user_agent = user_agent
        self._seconds = deadline
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._resolver = resolver

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        trusted: bool = False,
        within: str = "",
    ) -> Response:
        """Answer 200 or 304; everything else raises Retry, WaitUntil or NeedsHuman.

        ``trusted`` exempts the origin of ``url``, not those it redirects to, from the rule against
        private addresses and unusual ports. A redirect out of the path ``within`` is NeedsHuman
        with the code ``elsewhere``.
        """
        deadline = _Deadline(self._seconds)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        home = target_of(url, any_port=True).origin
        for _ in range(self._max_redirects + 1):
            at_home = target_of(url, any_port=True).origin == home
            free = self._allow_private or (trusted and at_home)
            target = target_of(url, any_port=free)
            if not urlsplit(url).path.lower().startswith(within.lower()):
                raise NeedsHuman(f"{target.host} is not the page we asked for.", code="elsewhere")
            if not at_home:
                sent = {name: sent[name] for name in sent if name not in _PRIVATE_HEADERS}
            status, received, body = self._exchange(target, sent, deadline, free)
            if status not in REDIRECTS:
                return Response(status, url, received, body)
            url = _joined(url, received["location"])
        raise NeedsHuman(
            f"{target.host} redirects more than {self._max_redirects} times. "
            "Find the address it ends at and use that.",
            code="too_many_redirects",
        )

    def _exchange(
        self, target: Target, headers: Mapping[str, str], deadline: _Deadline, free: bool
    ) -> tuple[int, Headers, bytes]:
        """One hop, with everything that can go wrong on the wire turned into our errors."""
        host = target.host
        try:
            with self._connected(target, deadline, free) as connection:
                connection.settimeout(deadline.left())
                connection.sendall(_request(target, {"user-agent": self._user_agent, **headers}))
                return self._answer(target, connection, deadline)
        except ssl.SSLCertVerificationError:
            raise NeedsHuman(
                f"{host} has a certificate that is not valid for it. "
                "Check the address, or ask the site to renew it.",
                code="certificate",
            ) from None
        except TimeoutError:
            raise Retry(f"{host} did not answer in time. It is tried again later.") from None
        except socket.gaierror:
            raise Retry(f"{host} was not found. Check the address if this stays.") from None
        except OSError:
            raise Retry(f"The connection to {host} failed. It is tried again later.") from None
        except (HTTPException, ValueError, zlib.error):
            raise Retry(f"{host} broke off or garbled its answer. It is tried later.") from None

    def _answer(
        self, target: Target, connection: socket.socket, deadline: _Deadline
    ) -> tuple[int, Headers, bytes]:
        answer = HTTPResponse(_Reading(connection, deadline), method="GET")  # type: ignore[arg-type]
        answer.begin()
        headers = Headers(answer.getheaders())
        if answer.status in REDIRECTS and "location" in headers:
            return answer.status, headers, b""
        raise_for_status(answer.status, headers, target.host)
        if (answer.length or 0) > self._max_bytes:
            raise self._too_large(target)
        return answer.status, headers, self._body(target, answer, headers)

    def _body(self, target: Target, answer: HTTPResponse, headers: Headers) -> bytes:
        body = bytearray()
        packed = self._packed(target, answer)
        for piece in unpacked(packed, headers.get("content-encoding", "")):
            body += piece
            if len(body) > self._max_bytes:
                raise self._too_large(target)
        return bytes(body)

    def _packed(self, target: Target, answer: HTTPResponse) -> Iterator[bytes]:
        """The body as it arrives; HTTPException when it is cut short."""
        arrived = 0
        while piece := answer.read(_CHUNK):
            arrived += len(piece)
            if arrived > self._max_bytes:
                raise self._too_large(target)
            yield piece
        if answer.length:
            raise HTTPException("cut short")

    def _too_large(self, target: Target) -> NeedsHuman:
        return NeedsHuman(
            f"{target.host} sent more than {self._max_bytes / 1_000_000:g} MB. "
            "Choose a smaller feed.",
            code="too_large",
        )

    def _connected(self, target: Target, deadline: _Deadline, free: bool) -> socket.socket:
        """A connection to one of the addresses that were judged, and to no other."""
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for address in self._addresses(target, deadline, free):
            try:
                return self._open(target, address, deadline)
            except ssl.SSLCertVerificationError:
                raise
            except OSError as error:
                failure = error
        raise failure

    def _open(self, target: Target, address: Address, deadline: _Deadline) -> socket.socket:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(_CONNECT_SECONDS, deadline.left()))
            connection.connect(address.sockaddr)
            if target.scheme == "http":
                return connection
            connection.settimeout(deadline.left())
            return self._tls.wrap_socket(connection, server_hostname=target.host.rstrip("."))
        except (OSError, ValueError):
            connection.close()
            raise

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _addresses(self, target: Target, deadline: _Deadline, free: bool) -> list[Address]:
        """The judged addresses; looked up beside us, because a name service has no deadline."""
        found: list[list[Address]] = []
        failed: list[NeedsHuman | OSError | ValueError] = []

        def look_up() -> None:
            try:
                found.append(addresses_of(target, allow_private=free, resolver=self._resolver))
            except (NeedsHuman, OSError, ValueError) as error:
                failed.append(error)

        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(deadline.left())
        if failed:
            raise failed[0]
        if not found:
            raise TimeoutError
        return found[0]


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def _request(target: Target, headers: Mapping[str, str]) -> bytes:
    fields = {
        "host": target.authority,
        "accept-encoding": "gzip, deflate",
        "connection": "close",
        **headers,
    }
    lines = [f"GET {target.path} HTTP/1.1"]
    lines += [f"{name}: {re.sub(r'[^ -~]', '', value)}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
