"""The flow inspector: traces of a session's stories, and the trace of one story."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from ninja import Query

from broadcast import orchestrator, queries
from broadcast.trace import hops
from broadcast.trace import queries as trace_queries
from broadcast.trace.hops import TracePayload
from sessions_app.models import Session
from sessions_app.money import decimal_string
from sessions_app.web.api import PROBLEMS, Page, Paging, owned, router
from sessions_app.web.http import SignedIn, of_session


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    """The latest traces with their verdicts; ``?broken=1`` lists broken ones only."""
    before = queries.key_of(request.GET.get("before", ""))
    only_broken = request.GET.get("broken") == "1"
    # Whether a trace is broken is computed, not stored, so the broken ones are searched for.
    page = (trace_queries.broken if only_broken else trace_queries.page)(session, before)
    context = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "traces": [hops.payload(trace, int) for trace in page.traces],
        "page": page,
        "broken": only_broken,
        "before": before,
    }
    return render(request, "studio/traces/list.html", context)


@require_safe
@of_session
def story(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """The nine hops of one story as a drawing and a table."""
    trace = trace_queries.find(session, story_id)
    payload = hops.payload(trace, int)
    context = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "trace": payload,
        "usage": [row for hop in payload["hops"] for row in hop["usage"]],
        "drawing": trace_queries.draw(trace.hops),
        "meanings": hops.MEANINGS.items(),
    }
    return render(request, "studio/traces/story.html", context)


@router.get("/sessions/{session_id}/trace", response={200: Page[TracePayload[str]], **PROBLEMS})
def list_traces(
    request: HttpRequest, session_id: str, paging: Query[Paging]
) -> Page[TracePayload[str]]:
    """Lists the traces of a session's stories with their verdicts."""
    page = trace_queries.page(owned(request, session_id), paging.before(), paging.size)
    return {
        "items": [hops.payload(trace, decimal_string) for trace in page.traces],
        "next": str(page.older) if page.older else None,
    }


@router.get(
    "/sessions/{session_id}/trace/{story_id}", response={200: TracePayload[str], **PROBLEMS}
)
def read_trace(request: HttpRequest, session_id: str, story_id: int) -> TracePayload[str]:
    """Returns the trace of one story, archived events included."""
    return hops.payload(trace_queries.find(owned(request, session_id), story_id), decimal_string)
