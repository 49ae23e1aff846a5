"""API operations of the flow inspector: traces of stories."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from broadcast.trace import hops, queries
from broadcast.trace.hops import Trace
from sessions_app import money
from sessions_app.web.api import PROBLEMS, Page, key_of, owned, page_size, router

Body = dict[str, Any]


@router.get("/sessions/{session_id}/trace", response={200: Page[Body], **PROBLEMS})
def list_traces(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> Page[Body]:
    """Lists the traces of a session's stories with their verdicts."""
    traces = queries.page(owned(request, session_id), key_of(cursor), page_size(limit))
    older = str(traces.older) if traces.older else None
    return {"items": [_trace(trace) for trace in traces.traces], "next": older}


@router.get("/sessions/{session_id}/trace/{story_id}", response={200: Body, **PROBLEMS})
def read_trace(request: HttpRequest, session_id: str, story_id: int) -> Body:
    """Returns the trace of one story, archived events included."""
    return _trace(queries.find(owned(request, session_id), story_id))


def _trace(trace: Trace) -> Body:
    """A trace with money as decimal strings in USD."""
    payload = hops.payload(trace)
    for hop in payload["hops"]:
        for row in hop["usage"]:
            for name in ("lower", "upper", "reported"):
                row[name] = None if row[name] is None else money.decimal_string(row[name])
    return payload
