"""Filters that format figures, times and states on pages and in frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import floor
from secrets import token_urlsafe
from typing import Any
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
    "failed": "Needs attention",
    "finished": "Finished",
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
    """Returns a key by which repeated presses of one button are recognized."""
    return token_urlsafe(12)


@register.filter
def money4(amount: int | None) -> str:
    """Writes an amount of money with four decimals, or a dash for None."""
    if amount is None:
        return DASH
    return money.dollars(amount)


@register.filter
def percent_of(spent: int, budget: int) -> int:
    """Returns the used share of a budget in whole per cent, rounded down."""
    return used_percent(spent, budget)


@register.filter
def thousands(number: int | None) -> str:
    """Writes a whole number with separators: ``1234567`` is 1,234,567."""
    return DASH if number is None else f"{number:,}"


@register.filter
def filesize(count: int | None) -> str:
    """Writes bytes in the largest decimal unit, with one decimal: ``1234567`` is 1.2 MB."""
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
    """Writes seconds as h:mm:ss, in whole seconds, never negative."""
    total = max(0, int(seconds or 0))
    minutes, second = divmod(total, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}"


@register.filter
def spell(seconds: float | None) -> str:
    """Writes a duration: 48.2 seconds are ``48 s``, 90 are ``1 min 30 s``."""
    minutes, second = divmod(max(0, round(seconds or 0)), 60)
    return f"{minutes} min {second} s" if minutes else f"{second} s"


@register.filter
def per100(share: float | None) -> str:
    """Writes a share of 0..1 in whole hundredths, clamped to 0..100."""
    return str(min(100, max(0, round((share or 0) * 100))))


@register.filter
def percent(share: float | None) -> str:
    """Writes a share of 0..1 in per cent: ``0.634`` is 63%."""
    return f"{per100(share)}%"


@register.filter
def tenths(percent: float | None) -> str:
    """Writes per cent with one decimal, rounded down: only 100 is ``100 %``."""
    return DASH if percent is None else f"{floor(percent * 10) / 10:g} %"


def _time(iso: str | None) -> datetime | None:
    return datetime.fromisoformat(iso).astimezone(UTC) if iso else None


@register.filter
def utc(iso: str | None) -> str:
    """Writes an ISO 8601 time as ``HH:MM UTC``; the page's script turns it into local time."""
    time = _time(iso)
    return f"{time:%H:%M} UTC" if time else ""


@register.filter
def day(iso: str | None) -> str:
    """Writes an ISO 8601 time as its UTC day, such as 21 November 2026."""
    time = _time(iso)
    return f"{time.day} {time:%B %Y}" if time else ""


@register.filter
def short_day(iso: str | None) -> str:
    """Writes an ISO 8601 time as its UTC day, such as 21 Nov 2026."""
    time = _time(iso)
    return f"{time.day} {time:%b %Y}" if time else ""


@register.filter
def next_on(slots: Iterable[Mapping[str, Any]]) -> str:
    """Returns when the first of a schedule's slots goes on air, in ISO 8601; "" if none does."""
    turns = [slot["next"] for slot in slots if slot["next"]]
    return min((turn["at"] for turn in turns if turn["turn"] == "on"), default="")


@register.filter
def exact(iso: str | None) -> str:
    """Writes an ISO 8601 time to the millisecond in UTC: ``2026-11-21 14:03:07.120``."""
    time = _time(iso)
    return f"{time:%Y-%m-%d %H:%M:%S.%f}"[:-3] if time else ""


@register.filter
def weburl(url: str | None) -> str:
    """Returns the URL when it is http(s), else "": no other scheme becomes a link."""
    try:
        return url if url and urlsplit(url).scheme in {"http", "https"} else ""
    except ValueError:
        return ""


@register.filter
def air_word(state: str) -> str:
    """Returns the label of a broadcast's state."""
    return AIR_WORDS.get(state, state)


@register.filter
def story_word(state: str) -> str:
    """Returns the label of a story's state."""
    return STORY_WORDS.get(state, state)


@register.filter
def health_word(health: str) -> str:
    """Returns the label of a source's health."""
    return HEALTH_WORDS.get(health, health)


@register.filter
def relation_word(relation: str) -> str:
    """Returns the label of a story's relation to the earlier one of its thread."""
    return RELATION_WORDS.get(relation, relation)
