"""The flow inspector: the ways of a session's stories, and of one of them."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import queries
from broadcast.trace import hops
from broadcast.trace import queries as trace_queries
from sessions_app.errors import NotFound
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    """The latest stories with their verdicts; ``?broken=1`` those alone whose way is broken."""
    before = queries.key_of(request.GET.get("before", ""))
    wanted = request.GET.get("broken") == "1"
    found = (trace_queries.broken if wanted else trace_queries.page)(session, before)
    page = {
        "session": session,
        "traces": [hops.payload(trace) for trace in found.traces],
        "found": found,
        "broken": wanted,
        "before": before,
    }
    return render(request, "studio/traces/list.html", page)


@require_safe
@of_session
def story(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """The nine hops of a story, drawn and in a table."""
    try:
        trace = trace_queries.find(session, story_id)
    except NotFound as error:
        raise Http404(error.sentence) from None
    told = hops.payload(trace)
    page = {
        "session": session,
        "trace": told,
        "usage": [row for hop in told["hops"] for row in hop["usage"]],
        "drawing": trace_queries.draw(trace.hops),
        "meanings": hops.MEANINGS.items(),
    }
    return render(request, "studio/traces/story.html", page)
