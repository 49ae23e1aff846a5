"""What templates get: a loader that removes indentation, icons, and the activity bar of the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from django.contrib.messages import get_messages
from django.http import HttpRequest
from django.template import Library, Origin
from django.template.loaders import filesystem
from django.urls import reverse
from lucide.templatetags import lucide

# The text in <pre> is displayed with its indentation.
INDENTATION = re.compile(r"(<pre\b.*?</pre>)|\n[ \t]+", re.DOTALL)


class Loader(filesystem.Loader):
    """Removes the indentation, which would double the size of a frame with many rows.

    Line breaks remain, so line numbers in error messages are right. Values are not changed.
    """

    def get_contents(self, origin: Origin) -> str:
        contents: str = super().get_contents(origin)
        return INDENTATION.sub(lambda match: match[1] or "\n", contents)


# In place of the library's own tag: ``{% load lucide %}``.
register = Library()


@register.simple_tag(name="lucide")
@lru_cache(maxsize=512)
def icon(name: str, *, size: int = 24, **attributes: object) -> str:
    """Returns an icon as SVG. The library copies and serializes a tree for each one."""
    drawn: str = lucide.lucide(name, size=size, **attributes)
    return drawn


class Area(NamedTuple):
    """An area of the studio; ``of_session`` is its address for one session, if it has one.

    The letter ``key``, typed after g, opens it.
    """

    name: str
    icon: str
    path: str
    key: str
    of_session: str = ""


# In the fixed order of the activity bar.
AREAS = (
    Area("Session Manager", "layout-list", "/sessions/", "s", "/sessions/{}/"),
    Area("Broadcast Center", "radio-tower", "/broadcast/", "b", "/broadcast/{}/"),
    Area("Live Stats", "chart-line", "/stats/", "l", "/stats/?session={}"),
    Area("Insight Market", "chart-candlestick", "/market/", "m", "/market/?session={}"),
    Area("Keyword Drafting", "pen-line", "/drafting/", "k", "/drafting/?session={}"),
    Area("Docs", "book-open", "/docs/", "d"),
    Area("User Settings", "user-round-cog", "/account/", "u"),
    Area("Settings", "settings", "/settings/", "w"),
)


class Tab(NamedTuple):
    """A page of a session, by the name of its URL, or a part of the session's own page.

    ``also`` are pages below it, such as one thread of the list.
    """

    name: str
    url_name: str
    anchor: str = ""
    also: tuple[str, ...] = ()


SETTING_UP = (
    Tab("Overview", "session_detail", "tab-overview"),
    Tab("Sources", "session_detail", "tab-sources"),
    Tab("Voice", "session_detail", "tab-voice"),
    Tab("Schedule", "session_detail", "tab-schedule"),
    Tab("Share", "session_detail", "tab-share", also=("overlay_studio",)),
    Tab("Advanced", "session_detail", "tab-advanced"),
)
LOOKING_INSIDE = (
    Tab("Rundown", "rundown"),
    Tab("Threads", "threads", also=("thread",)),
    Tab("Replay", "replays", also=("replay",)),
    Tab("Traces", "traces", also=("trace",)),
    Tab("AI chain", "chain"),
    Tab("Log", "log"),
    Tab("Artifacts", "artifacts"),
    Tab("Search", "search"),
)
# Pages with the tabs of a session, which belong to the Session Manager whatever their address.
DEEP_PAGES = {
    *(name for tab in LOOKING_INSIDE for name in (tab.url_name, *tab.also)),
    *("overlay_studio", "story"),
}


def areas(request: HttpRequest) -> Mapping[str, object]:
    """Template context: ``areas`` and ``session_tabs`` of the session, ``area`` and ``refusal``."""
    match = request.resolver_match
    page = match.url_name if match else ""
    session_id = match.kwargs.get("session_id") if match else None
    try:
        # The id is only copied into links; each page checks who may open the session.
        session = str(session_id or UUID(request.GET.get("session", "")))
    except ValueError:
        session = ""
    return {
        "areas": [
            {
                "name": area.name,
                "icon": area.icon,
                "key": area.key,
                "of_session": area.of_session,
                "url": area.of_session.format(session)
                if session and area.of_session
                else area.path,
                "current": area is AREAS[0]
                if page in DEEP_PAGES
                else request.path.startswith(area.path),
            }
            for area in AREAS
        ],
        "session_tabs": [
            {
                "name": tab.name,
                "url": reverse(tab.url_name, args=[session]) + (tab.anchor and f"#{tab.anchor}"),
                "anchor": tab.anchor,
                "current": page in tab.also or (not tab.anchor and page == tab.url_name),
                "begins_group": tab is LOOKING_INSIDE[0],
            }
            for tab in (*SETTING_UP, *LOOKING_INSIDE)
            if session
        ],
        # The switcher opens the same page of another session where that session has one, too.
        "area": page
        if page in {tab.url_name for tab in LOOKING_INSIDE}
        else request.path[1:].partition("/")[0],
        # Why a form was refused, for pages without JavaScript.
        "refusal": " ".join(str(message) for message in get_messages(request)),
    }
