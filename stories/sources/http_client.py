"""HTTP GET for addresses that users typed: guarded, limited in time and size, without proxies."""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from sessions_app.errors import NeedsHuman, Retry
from stories.sources import http_answers, ssrf
from stories.sources.http_answers import PERMANENT, REDIRECTS, raise_for_delivery, raise_for_status
from stories.sources.ssrf import Address, Cookies, Resolver, Target, target_of

REST_SECONDS = 1.0  # for what a server sends after the end that it declared
CONNECT_SECONDS = 5.0
CHUNK = 64 * 1024
INTERIM = 5  # answers before the final one
# Not sent on to another origin, which a redirect may name.
PRIVATE_HEADERS = frozenset({"authorization", "cookie"})


class Headers(Mapping[str, str]):
    """Header fields by name in any case, each value on one line; of several the last counts."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        # Not str.split(): a value has one character for each byte, and two of UTF-8 look like
        # white space.
        self._values = {
            name.lower(): re.sub(r"(?<![ \t])[ \t]*[\r\n]+[ \t]*", " ", str(value)).strip(" \t")
            for name, value in pairs
        }

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with status 200, 203 or 304; ``url`` is the last one of the redirects.

    ``moved_to`` is where the permanent redirects at the beginning lead, empty without any.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    moved_to: str = ""


class _Deadline:
    """The time by which one request, with its redirects, has to be complete."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Returns the seconds left; raises TimeoutError when there are none."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class _DeadlineReader(io.RawIOBase):
    """The receiving side of a socket under a deadline, as HTTPResponse expects it."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        # One buffer for all answers on the connection.
        self._buffer = io.BufferedReader(self, CHUNK)
        # An answer closes it at its declared end, after which more may come.
        self._buffer.close = lambda: None  # type: ignore[method-assign]

    def rest(self, most: int) -> bytes:
        """Returns what still arrives within a second, little more than ``most`` bytes."""
        self._deadline = _Deadline(min(REST_SECONDS, self._deadline.left()))
        received = bytearray()
        # The server may keep the connection open, or reset it.
        with suppress(OSError):
            while len(received) <= most and (piece := self._buffer.read1(CHUNK)):
                received += piece
        return bytes(received)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Set before every read: a server that sends a byte now and then cannot exceed the deadline.
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader[Any]:
        return self._buffer


def final_answers(reader: _DeadlineReader, method: str) -> list[HTTPResponse]:
    """Returns the final answer last, after those that announce it."""
    answers: list[HTTPResponse] = []
    while len(answers) < INTERIM:
        answer = HTTPResponse(reader, method=method)  # type: ignore[arg-type]
        answer.begin()
        answers.append(answer)
        # 103 announces an answer; http.client itself passes over 100 only.
        if not 100 < answer.status < 200:
            break
    return answers


class GuardedClient:
    """Reads addresses that any user may have typed.

    ``deadline`` is in seconds and includes name resolution, redirects, headers and body.
    ``max_bytes`` limits the body as received and as unpacked.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        user_agent: str,
        deadline: float = 15.0,
        max_bytes: int = 5_000_000,
        max_redirects: int = 10,
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
        """Returns an answer of 200 or 304; raises Retry, WaitUntil or NeedsHuman for all others.

        ``trusted`` exempts the origin of ``url``, not those it redirects to, from the rule against
        private addresses and unusual ports. A redirect out of the path ``within`` is NeedsHuman
        with the code ``elsewhere``.
        """
        deadline = _Deadline(self._seconds)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        origin = target_of(url, any_port=True).origin
        cookies, seen = Cookies(), set[tuple[str, str]]()
        moved_to, permanent = "", True
        # Every hop is checked like the first address: a public page may redirect into the private
        # network.
        for _ in range(self._max_redirects + 1):
            same_origin = target_of(url, any_port=True).origin == origin
            unrestricted = self._allow_private or (trusted and same_origin)
            target = target_of(url, any_port=unrestricted)
            if not urlsplit(url).path.lower().startswith(within.lower()):
                raise NeedsHuman(f"{target.host} redirects to another page.", code="elsewhere")
            if not same_origin:
                sent = {name: sent[name] for name in sent if name not in PRIVATE_HEADERS}
            cookie = cookies.header(target.url)
            # The same address may be asked for twice only if a cookie changed in between.
            if (target.url, cookie) in seen:
                raise NeedsHuman(
                    f"{target.host} redirects in a circle. Find the address of the feed itself.",
                    code="redirect_loop",
                )
            seen.add((target.url, cookie))
            fields = {**sent, "cookie": cookie} if cookie else sent
            answer = self._exchange(target, fields, deadline, unrestricted, cookies)
            status, received, body = answer
            if status not in REDIRECTS:
                return Response(status, url, received, body, moved_to)
            try:
                url = ssrf.redirect_url(url, received["location"])
            except ValueError:
                url = received["location"]  # target_of() refuses it
            permanent = permanent and status in PERMANENT
            moved_to = url if permanent else moved_to
        raise NeedsHuman(
            f"{target.host} redirects more than {self._max_redirects} times. "
            "Find the address it ends at and use that.",
            code="too_many_redirects",
        )

    def post(self, url: str, body: bytes) -> None:
        """Sends JSON and waits for a status of success; a redirect is not followed.

        Only https, unless private addresses are allowed. Raises Retry, WaitUntil or NeedsHuman.
        """
        target = target_of(url, any_port=self._allow_private)
        if target.scheme != "https" and not self._allow_private:
            raise NeedsHuman("The address must begin with https://.", code="address_refused")
        fields = {"content-type": "application/json", "content-length": str(len(body))}
        deadline = _Deadline(self._seconds)
        self._exchange(target, fields, deadline, self._allow_private, Cookies(), body)

    def _exchange(
        self,
        target: Target,
        headers: Mapping[str, str],
        deadline: _Deadline,
        unrestricted: bool,
        cookies: Cookies,
        posted: bytes | None = None,
    ) -> tuple[int, Headers, bytes]:
        """Sends one request, without following redirects; raises Retry or NeedsHuman."""
        host = target.host
        fields = {
            "host": target.authority,
            "accept-encoding": "gzip, deflate",
            # Each address is connected to once, after its check, so no connection is reused.
            "connection": "close",
            "user-agent": self._user_agent,
            **headers,
        }
        lines = [f"{'GET' if posted is None else 'POST'} {target.path} HTTP/1.1"]
        # Control characters in a value could end the header and begin another.
        lines += [f"{name}: {re.sub(r'[^ -~]', '', value)}" for name, value in fields.items()]
        request = "\r\n".join([*lines, "", ""]).encode("ascii")
        try:
            with self._connected(target, deadline, unrestricted) as connection:
                connection.settimeout(deadline.left())
                connection.sendall(request + (posted or b""))
                reader = _DeadlineReader(connection, deadline)
                if posted is None:
                    return self._receive(target, reader, cookies)
                answer = final_answers(reader, "POST")[-1]
                received = Headers(answer.getheaders())
                raise_for_delivery(answer.status, received, host)
                return answer.status, received, b""
        except ssl.SSLCertVerificationError:
            raise NeedsHuman(
                f"{host} has a certificate that is not valid for it. "
                "Check the address, or ask the site to renew it.",
                code="certificate",
            ) from None
        except TimeoutError:
            raise Retry(f"{host} did not answer in time. It is tried again later.") from None
        except socket.gaierror:
            raise Retry(f"{host} was not found. Check the address if this continues.") from None
        except OSError:
            raise Retry(f"The connection to {host} failed. It is tried again later.") from None
        except (HTTPException, ValueError):
            raise Retry(f"{host} sent a broken answer. It is tried again later.") from None

    def _receive(
        self, target: Target, reader: _DeadlineReader, cookies: Cookies
    ) -> tuple[int, Headers, bytes]:
        # All of them are referred to until the end: one that is collected closes the buffer.
        answers = final_answers(reader, "GET")
        answer = answers[-1]
        headers = Headers(answer.getheaders())
        if answer.status in REDIRECTS and "location" in headers:
            cookies.store(target.url, answer.msg)
            return answer.status, headers, b""
        raise_for_status(answer.status, headers, target.host)
        # The declared length refuses early; it may be wrong, so the bytes are counted too.
        if (answer.length or 0) > self._max_bytes:
            raise self._too_large(target)
        body = bytearray()
        try:
            while piece := answer.read(CHUNK):
                body += piece
                if len(body) > self._max_bytes:
                    raise self._too_large(target)
            cut = bool(answer.length)
        except IncompleteRead as error:
            body += error.partial
            cut = True
        packing, limit = headers.get("content-encoding", ""), self._max_bytes
        declared = body and "content-length" in headers and not (cut or answer.chunked)
        if declared and not http_answers.may_end_here(body, packing, limit):
            body += reader.rest(limit - len(body))
        try:
            content = http_answers.unpacked(bytes(body), packing, limit)
        except http_answers.TooLarge:
            raise self._too_large(target) from None
        except http_answers.UnknownEncoding as error:
            raise Retry(
                f"{target.host} packed its answer as “{error}”, which cannot be read here. "
                "It is tried again later.",
                code="content_encoding",
            ) from None
        # A length may be wrong, but a feed that ends properly has arrived.
        if cut and not http_answers.is_whole(content):
            raise HTTPException("truncated")
        return answer.status, headers, content

    def _too_large(self, target: Target) -> NeedsHuman:
        return NeedsHuman(
            f"{target.host} sent more than {self._max_bytes / 1_000_000:g} MB. "
            "Choose a smaller feed.",
            code="too_large",
        )

    def _connected(self, target: Target, deadline: _Deadline, unrestricted: bool) -> socket.socket:
        """Returns a connection to one of the addresses that were checked, and to no other."""
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        for address in self._addresses(target, deadline, unrestricted):
            try:
                return self._open(target, address, deadline)
            # The certificate is that of the name, so another address of the host would not help.
            except ssl.SSLCertVerificationError:
                raise
            # Any other failure may concern this address only, such as IPv6 without a route.
            except OSError as error:
                failure = error
        raise failure

    def _open(self, target: Target, address: Address, deadline: _Deadline) -> socket.socket:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(CONNECT_SECONDS, deadline.left()))
            connection.connect(address.sockaddr)
            if target.scheme == "http":
                return connection
            connection.settimeout(deadline.left())
            # A certificate never contains the final dot of a fully qualified name.
            return self._tls.wrap_socket(connection, server_hostname=target.host.rstrip("."))
        except (OSError, ValueError):
            connection.close()
            raise

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _addresses(self, target: Target, deadline: _Deadline, unrestricted: bool) -> list[Address]:
        """Returns the checked addresses of the host.

        The lookup runs in a thread of its own, because getaddrinfo() takes no deadline.
        """
        results: list[list[Address]] = []
        errors: list[NeedsHuman | OSError | ValueError] = []

        def look_up() -> None:
            try:
                results.append(
                    ssrf.addresses_of(target, allow_private=unrestricted, resolver=self._resolver)
                )
            except (NeedsHuman, OSError, ValueError) as error:
                errors.append(error)

        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(deadline.left())
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError
        return results[0]
