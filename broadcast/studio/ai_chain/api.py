"""API operations on the AI chain of a session, its transitions and the recaps of its runs."""

from __future__ import annotations

from django.http import HttpRequest

from broadcast import recaps
from broadcast.recaps import RecapPayload
from broadcast.studio.ai_chain import queries
from broadcast.studio.ai_chain.queries import ChainPayload
from sessions_app.ai_chain import status
from sessions_app.ai_chain.status import TransitionPayload
from sessions_app.web.api import PROBLEMS, Page, cut, key_of, owned, page_of, page_size, router


@router.get("/sessions/{session_id}/chain", response={200: ChainPayload, **PROBLEMS})
def read_chain(request: HttpRequest, session_id: str) -> ChainPayload:
    """Returns the state of the AI chain with its head and the base of its context."""
    return queries.chain_payload(owned(request, session_id))


@router.get(
    "/sessions/{session_id}/transitions", response={200: Page[TransitionPayload], **PROBLEMS}
)
def list_transitions(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> Page[TransitionPayload]:
    """Lists the transitions of the AI chain, archived ones included."""
    size = page_size(limit)
    rows = status.transition_payloads(owned(request, session_id), key_of(cursor), size + 1)
    return cut(rows, size, lambda row: row, lambda row: row["id"])


@router.get("/sessions/{session_id}/recaps", response={200: Page[RecapPayload], **PROBLEMS})
def list_recaps(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> Page[RecapPayload]:
    """Lists the recaps of finished runs: title, summary, topics and suggested keywords."""
    return page_of(recaps.of_session(owned(request, session_id)), limit, cursor, recaps.payload)
