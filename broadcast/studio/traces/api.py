"""The flow inspector in the API."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from broadcast.trace import hops, queries
from broadcast.trace.hops import Trace
from sessions_app import money
from sessions_app.web.api import MOST, PROBLEMS, Page, key_of, owned, router


@router.get("/sessions/{session_id}/trace", response={200: Page, **PROBLEMS})
def list_traces(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> dict[str, Any]:
    """The way of each story through the tunnel with its verdict, the newest first."""
    most = max(1, min(limit, MOST))
    found = queries.page(owned(request, session_id), key_of(cursor), most)
    older = str(found.older) if found.older else None
    return {"items": [_trace(trace) for trace in found.traces], "next": older}


@router.get("/sessions/{session_id}/trace/{story_id}", response={200: dict[str, Any], **PROBLEMS})
def read_trace(request: HttpRequest, session_id: str, story_id: int) -> dict[str, Any]:
    """The way of one story, also what archives hold of it."""
    return _trace(queries.find(owned(request, session_id), story_id))


def _trace(trace: Trace) -> dict[str, Any]:
    """Money as decimal strings in USD, as everywhere in the API."""
    found = hops.payload(trace)
    for hop in found["hops"]:
        for row in hop["usage"]:
            for name in ("lower", "upper", "reported"):
                row[name] = None if row[name] is None else money.decimal_string(row[name])
    return found
