"""The page of a session's AI chain, and its recovery."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from ninja import Query

from broadcast import orchestrator, recaps
from broadcast import queries as broadcast_queries
from broadcast.recaps import RecapPayload
from broadcast.studio.ai_chain import queries
from broadcast.studio.ai_chain.queries import ChainPayload
from sessions_app import commands
from sessions_app.ai_chain import status
from sessions_app.ai_chain.chain import RECOVER
from sessions_app.ai_chain.status import TransitionPayload
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.api import PROBLEMS, Page, Paging, cut, owned, page_of, router
from sessions_app.web.http import SignedIn, of_session, post_only, refused


@require_safe
@of_session
def chain(request: SignedIn, session: Session) -> HttpResponse:
    """The chain; ``?before=`` (a number) shows older links, ``?find=`` an id or a number."""
    named = request.GET.get("find", "")[:200]
    part = queries.Part(broadcast_queries.key_of(request.GET.get("before", "")), named)
    page = {
        **queries.page(session, part),
        "here": request.get_full_path(),
        "session_air": orchestrator.latest_payload(session),
    }
    template = "studio/ai_chain/_chain.html" if request.htmx else "studio/ai_chain/chain.html"
    return render(request, template, page)


@post_only
@of_session
def recover(request: SignedIn, session: Session) -> HttpResponse:
    """Repairs a chain that is out of sync."""
    try:
        commands.run(RECOVER, request.user, session, {})
    except SmnbError as error:
        return refused(request, error, "chain", session.pk)
    return redirect("chain", session.pk)


@router.get("/sessions/{session_id}/chain", response={200: ChainPayload, **PROBLEMS})
def read_chain(request: HttpRequest, session_id: str) -> ChainPayload:
    """Returns the state of the AI chain with its head and the base of its context."""
    return queries.chain_payload(owned(request, session_id))


@router.get(
    "/sessions/{session_id}/transitions", response={200: Page[TransitionPayload], **PROBLEMS}
)
def list_transitions(
    request: HttpRequest, session_id: str, paging: Query[Paging]
) -> Page[TransitionPayload]:
    """Lists the transitions of the AI chain, archived ones included."""
    rows = status.transition_payloads(owned(request, session_id), paging.before(), paging.size + 1)
    return cut(rows, paging, lambda row: row, lambda row: row["id"])


@router.get("/sessions/{session_id}/recaps", response={200: Page[RecapPayload], **PROBLEMS})
def list_recaps(request: HttpRequest, session_id: str, paging: Query[Paging]) -> Page[RecapPayload]:
    """Lists the recaps of finished runs: title, summary, topics and suggested keywords."""
    return page_of(recaps.of_session(owned(request, session_id)), paging, recaps.payload)
