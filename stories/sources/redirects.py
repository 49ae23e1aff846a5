"""Redirects as browsers follow them: where a Location leads, and the cookies of one chain."""

from __future__ import annotations

import re
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import quote, urldefrag, urljoin
from urllib.request import Request

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
