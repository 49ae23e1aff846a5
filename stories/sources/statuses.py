"""What an HTTP status means to somebody who reads a feed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sessions_app.errors import NeedsHuman, Retry, WaitUntil

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
