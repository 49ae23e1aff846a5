"""What templates get: a loader that removes indentation, and the activity bar of the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from django.contrib.messages import get_messages
from django.http import HttpRequest
from django.template import Origin
from django.template.loaders import filesystem

# The text in <pre> is displayed with its indentation.
INDENTATION = re.compile(r"(<pre\b.*?</pre>)|\n[ \t]+", re.DOTALL)


class Loader(filesystem.Loader):
    """Removes the indentation, which would double the size of a frame with many rows.

    Line breaks remain, so line numbers in error messages are right. Values are not changed.
    """

    def get_contents(self, origin: Origin) -> str:
        contents: str = super().get_contents(origin)
        return INDENTATION.sub(lambda match: match[1] or "\n", contents)


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


def areas(request: HttpRequest) -> Mapping[str, object]:
    """Template context: ``areas`` linked for the current session, ``area`` and ``refusal``."""
    match = request.resolver_match
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
                "current": request.path.startswith(area.path),
            }
            for area in AREAS
        ],
        "area": request.path.split("/")[1],
        # Why a form was refused, for pages without JavaScript.
        "refusal": " ".join(str(message) for message in get_messages(request)),
    }
