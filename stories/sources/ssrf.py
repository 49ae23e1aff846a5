"""Which addresses a request may go to: none in a private network, unless the operator allows it.

A name is resolved once, all its addresses are checked, and the caller connects to one of exactly
these addresses. So a name that resolves to a private address the next time (DNS rebinding) has no
effect.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urldefrag, urljoin, urlsplit
from urllib.request import Request

from sessions_app.errors import NeedsHuman
from stories.text.addresses import ascii_host

Resolver = Callable[..., Iterable[tuple[Any, ...]]]
"""Has the shape of ``socket.getaddrinfo``."""

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")

# Listed besides ipaddress.is_global, whose answer differs between versions of Python. 6to4 and
# Teredo reach an IPv4 address inside the IPv6 one, and no feed is published there.
_DENIED = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]
# Each carries an IPv4 address in its last 32 bits: mapped, translated, NAT64.
_WRAPPING = [
    ipaddress.IPv6Network(network)
    for network in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
]


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an address that a request needs; ``path`` includes the query."""

    scheme: str
    host: str  # lower case, ASCII, without the brackets of IPv6
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host.rstrip("."), self.port

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Returns the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, as ``socket.connect`` takes it."""

    family: int
    sockaddr: tuple[Any, ...]


def _refused(sentence: str) -> NeedsHuman:
    return NeedsHuman(sentence, code="address_refused")


def target_of(url: str, *, any_port: bool = False) -> Target:
    """Reads an address; raises NeedsHuman when no request may go there, whatever it resolves to."""
    if _FORBIDDEN.search(url):
        raise _refused("The address contains spaces or control characters. Check it.")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = ascii_host(parts.hostname or "")
    except ValueError:
        raise _refused("The address cannot be read. Check it.") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise _refused("Only addresses that begin with http:// or https:// can be read.")
    # Such an address can show one host to a reader and name another.
    if "@" in parts.netloc:
        raise _refused("The address contains a user name or password. Leave it out.")
    _check_host(host)
    if not any_port and port not in (None, 80, 443):
        raise _refused(f"{host} is asked for on port {port}. Only ports 80 and 443 are read.")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    return Target(
        scheme=scheme,
        host=host,
        port=_PORTS[scheme] if port is None else port,
        path=f"{path}?{query}" if query else path,
    )


def _check_host(host: str) -> None:
    """Raises NeedsHuman unless the host is a name, or an IP address in its usual spelling.

    Resolvers also take spellings such as 0x7f.1, which name checks would miss.
    """
    name = host.removesuffix(".")
    if ":" in name or _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            if "%" not in name:
                ipaddress.ip_address(name)
                return
        except ValueError:
            pass
        raise _refused("The host is an IP address in an unusual spelling. Write its name instead.")
    if not _NAME.fullmatch(name):
        raise _refused("The address has no valid host name. Check it.")


def addresses_of(
    target: Target, *, allow_private: bool = False, resolver: Resolver = socket.getaddrinfo
) -> list[Address]:
    """Resolves the host; raises NeedsHuman if any of its addresses is in a private network.

    Raises OSError (``socket.gaierror``) when the name cannot be resolved.
    """
    private = _refused(
        f"{target.host} is in a private network, which sources may not reach. "
        "The operator can allow it with SMNB_ALLOW_PRIVATE_FEEDS=1."
    )
    # RFC 6761 reserves the name for this machine, whatever a resolver answers.
    local = f".{target.host.rstrip('.')}".endswith(".localhost")
    if local and not allow_private:
        raise private
    rows = resolver(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [Address(family, sockaddr) for family, _, _, _, sockaddr in rows]
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    # One private address is enough: the connection could choose any of them.
    if not allow_private and any(is_private(str(row.sockaddr[0])) for row in addresses):
        raise private
    return addresses


def is_private(text: str) -> bool:
    """Whether an IP address is anything but a public unicast one; true if it cannot be read."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        # A scoped address belongs to one network interface of this machine.
        if address.scope_id:
            return True
        if any(address in network for network in _WRAPPING):
            return is_private(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
    return not address.is_global or any(address in network for network in _DENIED)


MAX_COOKIE = 4096
MAX_COOKIES = 16_384

# Everything that ASCII can print but what browsers encode in a path.
_SAFE = "!#$%&'()*+,/:;=?@[\\]^|~-._"


def redirect_url(base: str, location: str) -> str:
    """Returns the address a Location header names, without a fragment; ValueError if unreadable.

    ``location`` has one character for each byte, as http.client gives it. Spaces and bytes beyond
    ASCII are percent-encoded, so UTF-8 and Latin-1 are both sent back as they came.
    """
    raw = re.sub(r"[\t\r\n]", "", location).strip("".join(map(chr, range(33))))
    path, mark, query = re.split(r"([?#]|\Z)", raw, maxsplit=1)
    encoded = quote((path.replace("\\", "/") + mark + query).encode("latin-1"), safe=_SAFE)
    return urldefrag(urljoin(base, encoded)).url


class Cookies:
    """The cookies of one chain of redirects; they return only to the host or domain they are of.

    Some sites redirect to the same address until it is asked for with the cookie they just set.
    """

    def __init__(self) -> None:
        policy = DefaultCookiePolicy(
            strict_domain=True, strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain
        )
        self._jar = CookieJar(policy)

    def store(self, url: str, headers: Message) -> None:
        """Stores the cookies of an answer."""
        small = Message()
        for value in headers.get_all("Set-Cookie") or []:
            if len(value) <= MAX_COOKIE:
                small["Set-Cookie"] = value
        request = Request(url)  # noqa: S310 (only described, never opened)
        self._jar.extract_cookies(_Answer(small), request)  # type: ignore[arg-type]

    def header(self, url: str) -> str:
        """Returns the Cookie header for a request, or "" when no cookie belongs to it."""
        request = Request(url)  # noqa: S310
        self._jar.add_cookie_header(request)
        value = request.get_header("Cookie") or ""
        return value if len(value) <= MAX_COOKIES else ""


class _Answer:
    """The one method of a response that CookieJar calls."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers
