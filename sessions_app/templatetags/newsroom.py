"""How figures, times and states are put into words on every page and in every frame."""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor
from secrets import token_urlsafe
from urllib.parse import urlsplit

from django import template

from sessions_app import money
from sessions_app.sessions import used_percent

register = template.Library()

DASH = "\N{EN DASH}"
AIR_WORDS = {
    "idle": "Off air",
    "initializing": "Getting ready",
    "ready": "Ready",
    "starting": "Going live",
    "live": "LIVE",
    "stopping": "Stopping",
    "error": "Stopped by an error",
}
STORY_WORDS = {
    "written": "Written",
    "approved": "Approved",
    "vetoed": "Vetoed",
    "airing": "On air",
    "aired": "Aired",
    "killed": "Pulled",
}
HEALTH_WORDS = {
    "new": "Not read yet",
    "ok": "Reading",
    "waiting": "Waiting",
    "paused": "Paused",
    "failed": "Needs you",
    "finished": "At its end",
}
RELATION_WORDS = {
    "": "First report",
    "follow-up": "Follow-up",
    "clarification": "Clarification",
    "correction": "Correction",
    "new-development": "New development",
}


@register.simple_tag
def press_key() -> str:
    """A key by which two presses of one button are known as one."""
    return token_urlsafe(12)


@register.filter
def money4(amount: int | None) -> str:
    """Write 10^-12 USD as dollars with four decimals, half to even.

    ``12_300_000_000`` is $0.0123; nothing is a dash.
    """
    if amount is None:
        return DASH
    return money.dollars(amount)


@register.filter
def percent_of(spent: int, budget: int) -> int:
    """How much of a budget is used in whole per cent, rounded down: 80 from exactly 80 % on."""
    return used_percent(spent, budget)


@register.filter
def thousands(number: int | None) -> str:
    """Write a whole number with separators: ``1234567`` is 1,234,567."""
    return DASH if number is None else f"{number:,}"


@register.filter
def filesize(count: int | None) -> str:
    """Write bytes in the largest decimal unit, with one decimal: ``1234567`` is 1.2 MB."""
    size = float(count or 0)
    if size < 1000:
        return f"{size:.0f} byte{'' if size == 1 else 's'}"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95 or unit == "GB":
            break
    return f"{size:,.1f} {unit}"


@register.filter
def clock(seconds: float | None) -> str:
    """Write seconds as h:mm:ss, whole seconds only, never negative."""
    total = max(0, int(seconds or 0))
    minutes, second = divmod(total, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}"


@register.filter
def spell(seconds: float | None) -> str:
    """Write a length for people: 48.2 seconds are ``48 s``, 90 are ``1 min 30 s``."""
    minutes, second = divmod(max(0, round(seconds or 0)), 60)
    return f"{minutes} min {second} s" if minutes else f"{second} s"


@register.filter
def per100(share: float | None) -> str:
    """Write a share of 0..1 as a whole number of hundredths, kept inside 0..100."""
    return str(min(100, max(0, round((share or 0) * 100))))


@register.filter
def percent(share: float | None) -> str:
    """Write a share of 0..1 for people: ``0.634`` is 63%."""
    return f"{per100(share)}%"


@register.filter
def tenths(percent: float | None) -> str:
    """Write per cent with one decimal, rounded down: only 100 is ``100 %``."""
    return DASH if percent is None else f"{floor(percent * 10) / 10:g} %"


def _moment(iso: str | None) -> datetime | None:
    return datetime.fromisoformat(iso).astimezone(UTC) if iso else None


@register.filter
def utc(iso: str | None) -> str:
    """Write an ISO 8601 moment as ``HH:MM UTC``; the page's script turns it into local time."""
    moment = _moment(iso)
    return f"{moment:%H:%M} UTC" if moment else ""


@register.filter
def day(iso: str | None) -> str:
    """Write an ISO 8601 moment as its UTC day, like 21 November 2026."""
    moment = _moment(iso)
    return f"{moment.day} {moment:%B %Y}" if moment else ""


@register.filter
def exact(iso: str | None) -> str:
    """Write an ISO 8601 moment to the millisecond in UTC: ``2026-11-21 14:03:07.120``."""
    moment = _moment(iso)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] if moment else ""


@register.filter
def weburl(url: str | None) -> str:
    """Return the address when it is http(s), else nothing: no other scheme becomes a link."""
    try:
        return url if url and urlsplit(url).scheme in {"http", "https"} else ""
    except ValueError:
        return ""


@register.filter
def air_word(state: str) -> str:
    """Name a state of the broadcast for people."""
    return AIR_WORDS.get(state, state)


@register.filter
def story_word(state: str) -> str:
    """Name a state of a story for people."""
    return STORY_WORDS.get(state, state)


@register.filter
def health_word(health: str) -> str:
    """Name a source's health for people."""
    return HEALTH_WORDS.get(health, health)


@register.filter
def relation_word(relation: str) -> str:
    """Name how a story goes on from the earlier one of its thread."""
    return RELATION_WORDS.get(relation, relation)
