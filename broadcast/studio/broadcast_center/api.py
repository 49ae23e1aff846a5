"""The JSON API of the editor's desk: the same commands as its page.

The JSON API of the conversation with the producer: the same commands as the desk.
"""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja.responses import Status
from pydantic import Field

from broadcast.chat.conversation import Question
from broadcast.editorial import MOST_TEXT, MOST_TITLE, BreakIn
from sessions_app import commands
from sessions_app.commands import Payload
from sessions_app.events import recorder
from sessions_app.models import Message
from sessions_app.web.api import PROBLEMS, Page, caller, once, owned, page_of, router
from stories import stories
from stories.posts import queue

Body = dict[str, Any]


class Neighbour(Payload):
    """One of the two: the waiting post to stand right before, or right after."""

    before: int | None = None
    after: int | None = None


class NewVersion(Payload):
    """A corrected text; ``version`` is the one that was read, so that a later one is kept."""

    version: int | None = None
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field(min_length=1, max_length=300)


@router.post("/sessions/{session_id}/posts/{post_id}/move", response={200: Body, **PROBLEMS})
def move_post(request: HttpRequest, session_id: str, post_id: int, body: Neighbour) -> Status[Body]:
    """Put a waiting post right before or after another."""
    data = body.model_dump(exclude_none=True)
    return _on_post(request, session_id, "post.move", {"post": post_id, **data})


@router.post("/sessions/{session_id}/posts/{post_id}/{verb}", response={200: Body, **PROBLEMS})
def command_post(
    request: HttpRequest,
    session_id: str,
    post_id: int,
    verb: Literal["pin", "unpin", "hold", "release", "kill"],
) -> Status[Body]:
    """Pin, hold, release or kill a post of the rundown."""
    return _on_post(request, session_id, f"post.{verb}", {"post": post_id})


def _on_post(request: HttpRequest, session_id: str, name: str, data: Body) -> Status[Body]:
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        return 200, queue.payload(commands.run(name, caller(request), session, data))

    return Status(*once(request, effect))


@router.post("/sessions/{session_id}/stories", response={201: Body, **PROBLEMS})
def break_in(request: HttpRequest, session_id: str, body: BreakIn) -> Status[Body]:
    """Tell a story in one's own words, before all that waits."""
    return _on_story(request, session_id, "story.break_in", body, 201)


@router.post(
    "/sessions/{session_id}/stories/{story_id}/correction", response={200: Body, **PROBLEMS}
)
def correct_story(
    request: HttpRequest, session_id: str, story_id: int, body: NewVersion
) -> Status[Body]:
    """Give a story a new version; one that was told is marked as corrected."""
    data = {"story": story_id, **body.model_dump()}
    return _on_story(request, session_id, "story.correct", data)


@router.post(
    "/sessions/{session_id}/stories/{story_id}/{decision}", response={200: Body, **PROBLEMS}
)
def decide_story(
    request: HttpRequest,
    session_id: str,
    story_id: int,
    decision: Literal["approve", "veto", "kill", "bookmark", "unbookmark"],
) -> Status[Body]:
    """Approve, veto, pull or bookmark a story."""
    data: Body = {"story": story_id}
    if decision.endswith("bookmark"):
        return _on_story(
            request, session_id, "story.bookmark", data | {"on": decision == "bookmark"}
        )
    return _on_story(request, session_id, f"story.{decision}", data)


def _on_story(
    request: HttpRequest, session_id: str, name: str, data: Any, status: int = 200
) -> Status[Body]:
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        return status, stories.payload(commands.run(name, caller(request), session, data))

    return Status(*once(request, effect))


@router.get("/sessions/{session_id}/messages", response={200: Page, **PROBLEMS})
def list_messages(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """What people, host, producer and studio said."""
    rows = Message.objects.filter(session=owned(request, session_id)).select_related("reply_to")
    return page_of(rows, limit, cursor, recorder.message_payload)


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
        return status, recorder.message_payload(message)

    return Status(*once(request, effect))
