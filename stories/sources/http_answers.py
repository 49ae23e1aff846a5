"""Answers of HTTP servers: statuses as errors, and bodies unpacked.

A body is unpacked by its bytes, because the label of the packing is often wrong.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sessions_app.errors import NeedsHuman, Retry, WaitUntil

SUCCESSFUL = frozenset({200, 203, 304})  # 203: a proxy changed something on the way
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT = frozenset({301, 308})
TEMPORARY = frozenset({408, 425})
DEFAULT_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=24)

NEEDS_HUMAN = {
    401: ("unauthorized", "asks for a password. Use an address that is open to everybody."),
    403: ("forbidden", "refuses access (403). Check that the address is open to everybody."),
    404: ("missing", "has nothing at this address (404). Check it."),
    410: ("gone", "removed this permanently (410). Choose another source."),
    451: ("legal", "may not show this for legal reasons (451). Choose another source."),
}


def raise_for_status(status: int, headers: Mapping[str, str], host: str) -> None:
    """Returns for 200, 203 and 304; otherwise raises Retry, WaitUntil or NeedsHuman."""
    if status in SUCCESSFUL:
        return
    now = datetime.now(UTC)
    until = retry_after_of(headers.get("retry-after", ""), now)
    # Without Retry-After a 503 is an ordinary fault, for which the usual back-off applies.
    if status == 429 or (status == 503 and until is not None):
        raise WaitUntil(
            f"{host} asks us to wait ({status}). Reading resumes automatically after that.",
            until=until or now + DEFAULT_WAIT,
        )
    if status in NEEDS_HUMAN:
        code, sentence = NEEDS_HUMAN[status]
        raise NeedsHuman(f"{host} {sentence}", code=code)
    if 400 <= status < 500 and status not in TEMPORARY:
        raise NeedsHuman(
            f"{host} does not accept the request ({status}). Check the address.", code="rejected"
        )
    if status in REDIRECTS:
        raise Retry(f"{host} redirects to no address ({status}). It is tried again later.")
    raise Retry(f"{host} cannot answer at the moment ({status}). It is tried again later.")


def raise_for_delivery(status: int, headers: Mapping[str, str], host: str) -> None:
    """Returns for any status of success; otherwise raises Retry, WaitUntil or NeedsHuman."""
    if 200 <= status < 300:
        return
    until = retry_after_of(headers.get("retry-after", ""), datetime.now(UTC))
    if status in {429, 503} and until is not None:
        raise WaitUntil(f"{host} asks us to wait ({status}).", until=until)
    if status >= 500 or status == 429 or status in TEMPORARY:
        raise Retry(f"{host} cannot accept the message at the moment ({status}).")
    raise NeedsHuman(
        f"{host} does not accept the message ({status}). Check the address.", code="rejected"
    )


def retry_after_of(header: str, now: datetime) -> datetime | None:
    """Returns the time of a Retry-After header (seconds or a date), at most 24 hours away."""
    value = header.strip()
    if value.isascii() and value.isdigit():
        # Nine digits are over thirty years, and a longer number would overflow a timedelta.
        return now + min(timedelta(seconds=int(value[:9])), LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(aware, now), now + LONGEST_WAIT)


LAYERS = 3
MEMBERS = 1000

_GZIP = zlib.MAX_WBITS | 16
_GZIP_START = b"\x1f\x8b\x08"
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DOCUMENT = re.compile(rb"\s*(?:<[?!a-z]|[{\[])", re.IGNORECASE)
# What texts do not have; ISO-2022-JP needs the escape character.
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_END = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>\s*\Z", re.IGNORECASE)
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PLAIN = frozenset({"", "identity"})


class TooLarge(Exception):
    """The content is larger than the caller allows."""


class UnknownEncoding(Exception):
    """The content is packed in a way that was not asked for; the argument is its name."""


def unpacked(body: bytes, label: str, limit: int) -> bytes:
    """Returns the content of a body, whatever its Content-Encoding ``label`` says.

    Raises ValueError for damaged or truncated content, UnknownEncoding, or TooLarge beyond
    ``limit`` bytes.
    """
    if len(body) > limit:
        raise TooLarge
    encodings = {name.strip().lower() for name in label.split(",")} - _PLAIN
    content = body
    # Some servers pack a file that is packed already.
    for _ in range(LAYERS):
        if content.startswith(_GZIP_START):
            content = _inflated(content, _GZIP, limit)
            continue
        if _DOCUMENT.match(_without_marks(content)):
            return content
        inner = _inflated_if_deflate(content, bool(encodings & _PACKED), limit)
        if inner is None:
            break
        content = inner
    if not _CONTROL.search(_without_marks(content)):
        return content
    if unknown := encodings - _PACKED:
        raise UnknownEncoding(re.sub(r"[^a-z0-9-]", "", min(unknown))[:20])
    if encodings:
        raise ValueError("damaged")
    return content


def is_whole(content: bytes | bytearray) -> bool:
    """Whether the content ends with the end of a feed, so that nothing of it can be missing."""
    return bool(_END.search(content[-200:]))


def may_end_here(body: bytes | bytearray, label: str, limit: int) -> bool:
    """Whether a body ends where a document may end; not if its declared length was too small."""
    try:
        content = unpacked(bytes(body), label, limit)
    except TooLarge:
        return True
    except (ValueError, UnknownEncoding):
        return False
    return is_whole(content) or content.rstrip().endswith((b"}", b"]", b"</html>"))


def _without_marks(content: bytes) -> bytes:
    """Returns the beginning without byte order marks, and without the NUL bytes of UTF-16."""
    head = content[:1024]
    for mark in _MARKS:
        head = head.removeprefix(mark)
    return head.replace(b"\0", b"")


def _inflated_if_deflate(content: bytes, labelled: bool, limit: int) -> bytes | None:
    """Returns the content inflated, or None when it is neither zlib nor, if labelled, raw deflate.

    "deflate" means zlib, but some servers send it without the header of zlib.
    """
    windows = (zlib.MAX_WBITS, -zlib.MAX_WBITS) if labelled else (zlib.MAX_WBITS,)
    for bits in windows:
        try:
            return _inflated(content, bits, limit)
        except ValueError:
            continue
    return None


def _inflated(packed: bytes, bits: int, limit: int) -> bytes:
    content = bytearray()
    rest = packed
    for _ in range(MEMBERS):
        decoder = zlib.decompressobj(bits)
        try:
            # With a maximum, so that a few bytes cannot unpack to gigabytes.
            content += decoder.decompress(rest, limit + 1 - len(content))
        except zlib.error:
            raise ValueError("damaged") from None
        if len(content) > limit:
            raise TooLarge
        if not decoder.eof:
            # Some servers leave out the check sum, and the document is whole.
            if is_whole(content):
                return bytes(content)
            raise ValueError("truncated")
        rest = decoder.unused_data
        # A gzip body may have several members; anything else after the end is ignored.
        if bits != _GZIP or not rest.startswith(_GZIP_START[:2]):
            return bytes(content)
    raise ValueError("too many members")
