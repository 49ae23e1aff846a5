"""The activity bar: the areas there are, in their fixed order."""

from __future__ import annotations

from typing import Any

from django.contrib.messages import get_messages
from django.http import HttpRequest
from django.urls import reverse

AREAS = (
    ("Session Manager", "sessions", "layout-list", "/sessions/"),
    ("Broadcast Center", "broadcast_home", "radio-tower", "/broadcast/"),
)


def areas(request: HttpRequest) -> dict[str, Any]:
    """Template context: ``areas`` (name, url, icon, current), and ``refusal``."""
    return {
        "areas": [
            {
                "name": name,
                "url": reverse(url),
                "icon": icon,
                "current": request.path.startswith(prefix),
            }
            for name, url, icon, prefix in AREAS
        ],
        # What a page without script is told after its form was refused.
        "refusal": " ".join(str(message) for message in get_messages(request)),
    }
