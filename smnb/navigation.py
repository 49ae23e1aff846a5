"""The activity bar: the eight areas in their fixed order; a chosen session goes along."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.messages import get_messages
from django.http import HttpRequest


class Area(NamedTuple):
    """``of_session`` is the address of the area for one session; "" where it has none."""

    name: str
    icon: str
    path: str
    of_session: str = ""


AREAS = (
    Area("Session Manager", "layout-list", "/sessions/", "/sessions/{}/"),
    Area("Broadcast Center", "radio-tower", "/broadcast/", "/broadcast/{}/"),
    Area("Live Stats", "chart-line", "/stats/", "/stats/?session={}"),
    Area("Insight Market", "chart-candlestick", "/market/", "/market/?session={}"),
    Area("Keyword Drafting", "pen-line", "/drafting/", "/drafting/?session={}"),
    Area("Docs", "book-open", "/docs/"),
    Area("User Settings", "user-round-cog", "/account/"),
    Area("Settings", "settings", "/settings/"),
)


def _session_of(request: HttpRequest) -> str:
    """The session that the address names; the page checks whether it may."""
    match = request.resolver_match
    named = match.kwargs.get("session_id") if match else None
    try:
        return str(named or UUID(request.GET.get("session", "")))
    except ValueError:
        return ""


def areas(request: HttpRequest) -> dict[str, Any]:
    """Template context: ``areas`` (name, url, icon, current), and ``refusal``."""
    session = _session_of(request)
    return {
        "areas": [
            {
                "name": area.name,
                "icon": area.icon,
                "url": area.of_session.format(session)
                if session and area.of_session
                else area.path,
                "current": request.path.startswith(area.path),
            }
            for area in AREAS
        ],
        # What a page without script is told after its form was refused.
        "refusal": " ".join(str(message) for message in get_messages(request)),
    }
