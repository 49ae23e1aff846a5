"""The look a person has chosen, for the first paint of every page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from sessions_app import preferences


def appearance(request: HttpRequest) -> dict[str, Any]:
    """Template context: ``theme`` is system, dark or light of who is signed in, "" for others.

    It is looked up only where a template asks for it: fragments have no first paint.
    """
    return {"theme": SimpleLazyObject(lambda: _theme(request))}


def _theme(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    return preferences.theme_of(user) if user is not None and user.is_authenticated else ""
