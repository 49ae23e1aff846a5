"""The AI chain in the API: how it stands, its transitions, and the recaps of runs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from broadcast import recaps
from broadcast.studio.ai_chain import queries
from sessions_app.ai_chain import status
from sessions_app.web.api import MOST, PROBLEMS, Page, key_of, owned, page_of, router


@router.get("/sessions/{session_id}/chain", response={200: dict[str, Any], **PROBLEMS})
def read_chain(request: HttpRequest, session_id: str) -> dict[str, Any]:
    """Whether the chain is in order, with its head and its base."""
    return queries.standing(owned(request, session_id))


@router.get("/sessions/{session_id}/transitions", response={200: Page, **PROBLEMS})
def list_transitions(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> dict[str, Any]:
    """The transitions of the AI chain, also those that are archived."""
    most = max(1, min(limit, MOST))
    found = status.transition_payloads(owned(request, session_id), key_of(cursor), most + 1)
    more = len(found) > most
    return {"items": found[:most], "next": str(found[most - 1]["id"]) if more else None}


@router.get("/sessions/{session_id}/recaps", response={200: Page, **PROBLEMS})
def list_recaps(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> dict[str, Any]:
    """What each finished run was about: title, summary, topics, keywords to look into next."""
    return page_of(recaps.of_session(owned(request, session_id)), limit, cursor, recaps.payload)
