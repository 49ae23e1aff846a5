"""The JSON API of the conversation with the producer: the same commands as the desk."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja.responses import Status

from broadcast.api.router import router
from broadcast.chat.conversation import Question
from sessions_app import commands, events
from sessions_app.api import PROBLEMS, Page, caller, once, owned, page_of
from sessions_app.models import Message

Body = dict[str, Any]


@router.get("/sessions/{session_id}/messages", response={200: Page, **PROBLEMS})
def list_messages(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """What people, host, producer and studio said."""
    rows = Message.objects.filter(session=owned(request, session_id)).select_related("reply_to")
    return page_of(rows, limit, cursor, events.message_payload)


@router.post("/sessions/{session_id}/messages", response={201: Body, **PROBLEMS})
def say(request: HttpRequest, session_id: str, body: Question) -> Status[Body]:
    """Ask or tell the producer; the answer follows as a message whose ``reply_to`` is this one."""
    return _on_message(request, session_id, "chat.say", body, 201)


@router.post(
    "/sessions/{session_id}/messages/{message_id}/{choice}", response={200: Body, **PROBLEMS}
)
def decide(
    request: HttpRequest, session_id: str, message_id: int, choice: Literal["apply", "dismiss"]
) -> Status[Body]:
    """Apply or dismiss the plan of a message."""
    return _on_message(request, session_id, f"chat.{choice}", {"message": message_id}, 200)


def _on_message(
    request: HttpRequest, session_id: str, name: str, data: Any, status: int
) -> Status[Body]:
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        message = commands.run(name, caller(request), session, data)
        return status, events.message_payload(message)

    return Status(*once(request, effect))
