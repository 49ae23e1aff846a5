"""API operations on the AI chain of a session, its transitions and the recaps of its runs."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Query

from broadcast import recaps
from broadcast.recaps import RecapPayload
from broadcast.studio.ai_chain import queries
from broadcast.studio.ai_chain.queries import ChainPayload
from sessions_app.ai_chain import status
from sessions_app.ai_chain.status import TransitionPayload
from sessions_app.web.api import PROBLEMS, Page, Paging, cut, owned, page_of, router


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
