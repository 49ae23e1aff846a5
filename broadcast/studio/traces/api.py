"""API operations of the flow inspector: traces of stories."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Query

from broadcast.trace import hops, queries
from broadcast.trace.hops import TracePayload
from sessions_app.money import decimal_string
from sessions_app.web.api import PROBLEMS, Page, Paging, owned, router


@router.get("/sessions/{session_id}/trace", response={200: Page[TracePayload[str]], **PROBLEMS})
def list_traces(
    request: HttpRequest, session_id: str, paging: Query[Paging]
) -> Page[TracePayload[str]]:
    """Lists the traces of a session's stories with their verdicts."""
    page = queries.page(owned(request, session_id), paging.before(), paging.size)
    return {
        "items": [hops.payload(trace, decimal_string) for trace in page.traces],
        "next": str(page.older) if page.older else None,
    }


@router.get(
    "/sessions/{session_id}/trace/{story_id}", response={200: TracePayload[str], **PROBLEMS}
)
def read_trace(request: HttpRequest, session_id: str, story_id: int) -> TracePayload[str]:
    """Returns the trace of one story, archived events included."""
    return hops.payload(queries.find(owned(request, session_id), story_id), decimal_string)
