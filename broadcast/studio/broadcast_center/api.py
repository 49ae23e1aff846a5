"""API operations of the Broadcast Center: posts of the rundown, stories and the producer chat."""

from __future__ import annotations

from typing import Literal

from django.http import HttpRequest
from ninja import Query
from ninja.responses import Status
from pydantic import Field

from broadcast import editorial, rundown
from broadcast.chat import conversation, plans
from broadcast.chat.conversation import Question
from broadcast.editorial import MOST_TEXT, MOST_TITLE, BreakIn
from broadcast.studio.broadcast_center.story_views import POST_COMMANDS, STORY_COMMANDS
from sessions_app.commands import Payload
from sessions_app.events import recorder
from sessions_app.events.recorder import MessagePayload
from sessions_app.models import Message
from sessions_app.web.api import PROBLEMS, Page, Paging, owned, page_of, router, run_command
from stories import stories
from stories.posts import queue
from stories.posts.queue import PostPayload
from stories.stories import StoryPayload


class Neighbour(Payload):
    """The queued post to move to; exactly one of the two fields is set."""

    before: int | None = Field(None, description="Id of the post to move directly before.")
    after: int | None = Field(None, description="Id of the post to move directly after.")


class NewVersion(Payload):
    """A corrected text for a story."""

    version: int | None = Field(
        None, description="The version the correction is based on; 409 if there is a newer one."
    )
    title: str = Field(min_length=1, max_length=MOST_TITLE, description="The new headline.")
    text: str = Field(min_length=1, max_length=MOST_TEXT, description="The new narrative.")
    reason: str = Field(
        min_length=1, max_length=300, description="What is corrected; the audience can read it."
    )


# Defined before the operation with {verb}, which would match this path too.
@router.post("/sessions/{session_id}/posts/{post_id}/move", response={200: PostPayload, **PROBLEMS})
def move_post(
    request: HttpRequest, session_id: str, post_id: int, body: Neighbour
) -> Status[PostPayload]:
    """Moves a queued post directly before or after another one."""
    data = {"post": post_id, **body.model_dump(exclude_none=True)}
    return run_command(request, session_id, rundown.MOVE, data, queue.payload)


@router.post(
    "/sessions/{session_id}/posts/{post_id}/{verb}", response={200: PostPayload, **PROBLEMS}
)
def command_post(
    request: HttpRequest,
    session_id: str,
    post_id: int,
    verb: Literal["pin", "unpin", "hold", "release", "kill", "restore"],
) -> Status[PostPayload]:
    """Pins, unpins, holds, releases or kills a post, or restores one that was skipped for another."""
    command, _ = POST_COMMANDS[verb]
    return run_command(request, session_id, command, {"post": post_id}, queue.payload)


@router.post("/sessions/{session_id}/stories", response={201: StoryPayload, **PROBLEMS})
def break_in(request: HttpRequest, session_id: str, body: BreakIn) -> Status[StoryPayload]:
    """Creates a story from the caller's own text that airs before all waiting stories."""
    return run_command(request, session_id, editorial.BREAK_IN, body, stories.payload, 201)


# Defined before the operation with {decision}, which would match this path too.
@router.post(
    "/sessions/{session_id}/stories/{story_id}/correction", response={200: StoryPayload, **PROBLEMS}
)
def correct_story(
    request: HttpRequest, session_id: str, story_id: int, body: NewVersion
) -> Status[StoryPayload]:
    """Gives a story a new version; a published story is marked as corrected."""
    data = {"story": story_id, **body.model_dump()}
    return run_command(request, session_id, editorial.CORRECT, data, stories.payload)


@router.post(
    "/sessions/{session_id}/stories/{story_id}/{decision}", response={200: StoryPayload, **PROBLEMS}
)
def decide_story(
    request: HttpRequest,
    session_id: str,
    story_id: int,
    decision: Literal["approve", "veto", "kill", "bookmark", "unbookmark"],
) -> Status[StoryPayload]:
    """Approves, vetoes, kills, bookmarks or unbookmarks a story."""
    data: dict[str, object] = {"story": story_id}
    if decision in ("bookmark", "unbookmark"):
        data["on"] = decision == "bookmark"
    return run_command(request, session_id, STORY_COMMANDS[decision], data, stories.payload)


@router.get("/sessions/{session_id}/messages", response={200: Page[MessagePayload], **PROBLEMS})
def list_messages(
    request: HttpRequest, session_id: str, paging: Query[Paging]
) -> Page[MessagePayload]:
    """Lists the messages of a session from people, host, producer and system."""
    rows = Message.objects.filter(session=owned(request, session_id)).select_related("reply_to")
    return page_of(rows, paging, recorder.message_payload)


@router.post("/sessions/{session_id}/messages", response={201: MessagePayload, **PROBLEMS})
def say(request: HttpRequest, session_id: str, body: Question) -> Status[MessagePayload]:
    """Sends a message to the producer; the answer is a message with this one as ``reply_to``."""
    return run_command(request, session_id, conversation.SAY, body, recorder.message_payload, 201)


@router.post(
    "/sessions/{session_id}/messages/{message_id}/{choice}",
    response={200: MessagePayload, **PROBLEMS},
)
def decide_plan(
    request: HttpRequest, session_id: str, message_id: int, choice: Literal["apply", "dismiss"]
) -> Status[MessagePayload]:
    """Applies or dismisses the plan of a message."""
    command = plans.APPLY if choice == "apply" else plans.DISMISS
    data = {"message": message_id}
    return run_command(request, session_id, command, data, recorder.message_payload)
