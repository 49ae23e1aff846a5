"""API operations on what a session reads and when: its sources, interests and schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpRequest
from ninja.responses import Status
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import rundown, session_commands
from broadcast.models import Slot
from broadcast.schedule import slots
from broadcast.schedule.slots import Clock, Days, NewSlot, SlotPayload, Zone
from sessions_app.background import steps
from sessions_app.commands import Payload
from sessions_app.events import recorder
from sessions_app.web.api import PROBLEMS, Page, once, owned, router, run_command, user_of
from stories.posts import interests
from stories.posts.interests import InterestPayload, NewInterest
from stories.sources import preview, service
from stories.sources.service import SourcePayload, SourceSpec


@router.get("/sessions/{session_id}/sources", response={200: Page[SourcePayload], **PROBLEMS})
def list_sources(request: HttpRequest, session_id: str) -> Page[SourcePayload]:
    """Lists the sources that a session reads, in the order in which they were added."""
    rows = service.shown(owned(request, session_id))
    return {"items": [service.payload(source) for source in rows], "next": None}


@router.post("/sessions/{session_id}/sources", response={201: SourcePayload, **PROBLEMS})
def add_source(request: HttpRequest, session_id: str, body: SourceSpec) -> Status[SourcePayload]:
    """Adds a source to a session."""
    command = session_commands.ADD_SOURCE
    return run_command(request, session_id, command, body, service.payload, 201)


class SourceOrder(Payload):
    """The order in which a subreddit is read."""

    sort: Literal["hot", "new", "top", "rising"] = Field(description="hot, new, top or rising.")


@router.patch(
    "/sessions/{session_id}/sources/{int:source_id}", response={200: SourcePayload, **PROBLEMS}
)
def change_source(
    request: HttpRequest, session_id: str, source_id: int, body: SourceOrder
) -> Status[SourcePayload]:
    """Changes the order in which a subreddit is read; other kinds of sources have none."""
    data = {"source": source_id, **body.model_dump()}
    return run_command(request, session_id, session_commands.CHANGE_SOURCE, data, service.payload)


@router.delete(
    "/sessions/{session_id}/sources/{int:source_id}", response={200: SourcePayload, **PROBLEMS}
)
def remove_source(request: HttpRequest, session_id: str, source_id: int) -> Status[SourcePayload]:
    """Stops reading a source. Its posts and stories stay."""
    data = {"source": source_id}
    return run_command(request, session_id, session_commands.REMOVE_SOURCE, data, service.payload)


@router.post("/sessions/{session_id}/sources/loop", response={200: Page[SourcePayload], **PROBLEMS})
def loop_sources(request: HttpRequest, session_id: str) -> Status[Page[SourcePayload]]:
    """Lets the recordings of a session begin again whenever they end, and lists them.

    Other kinds of sources cannot loop; a session without a recording is answered with 409.
    """
    return run_command(
        request,
        session_id,
        session_commands.LOOP_SOURCES,
        {},
        lambda rows: {"items": [service.payload(source) for source in rows], "next": None},
    )


@router.get("/sessions/{session_id}/interests", response={200: Page[InterestPayload], **PROBLEMS})
def list_interests(request: HttpRequest, session_id: str) -> Page[InterestPayload]:
    """Lists the words of which the session reads more or less, oldest first."""
    return {"items": interests.of_session(owned(request, session_id)), "next": None}


@router.post("/sessions/{session_id}/interests", response={201: InterestPayload, **PROBLEMS})
def add_interest(
    request: HttpRequest, session_id: str, body: NewInterest
) -> Status[InterestPayload]:
    """Adds an interest; the same words a second time replace its weight."""
    return run_command(request, session_id, rundown.SET_INTEREST, body, interests.payload, 201)


class InterestWeight(Payload):
    """Whether a session reads more or less of something."""

    weight: Literal["more", "less"] = Field(description="more or less.")


@router.patch(
    "/sessions/{session_id}/interests/{int:interest_id}",
    response={200: InterestPayload, **PROBLEMS},
)
def change_interest(
    request: HttpRequest, session_id: str, interest_id: int, body: InterestWeight
) -> Status[InterestPayload]:
    """Changes whether the session reads more or less of an interest."""
    text = interests.find(owned(request, session_id), interest_id).text
    data = {"text": text, **body.model_dump()}
    return run_command(request, session_id, rundown.SET_INTEREST, data, interests.payload)


@router.delete(
    "/sessions/{session_id}/interests/{int:interest_id}",
    response={200: InterestPayload, **PROBLEMS},
)
def remove_interest(
    request: HttpRequest, session_id: str, interest_id: int
) -> Status[InterestPayload]:
    """Removes an interest; the waiting posts are ranked again."""
    data = {"interest": interest_id}
    return run_command(request, session_id, rundown.DROP_INTEREST, data, interests.payload)


def slot_payload(slot: Slot) -> SlotPayload:
    return slots.payload(slot, steps.now())


@router.get("/sessions/{session_id}/schedule", response={200: Page[SlotPayload], **PROBLEMS})
def list_slots(request: HttpRequest, session_id: str) -> Page[SlotPayload]:
    """Lists the parts of the week in which the session is on air automatically."""
    return {"items": slots.all_payload(owned(request, session_id)), "next": None}


@router.post("/sessions/{session_id}/schedule", response={201: SlotPayload, **PROBLEMS})
def add_slot(request: HttpRequest, session_id: str, body: NewSlot) -> Status[SlotPayload]:
    """Adds a part of the week to the schedule."""
    return run_command(request, session_id, slots.ADD, body, slot_payload, 201)


class SlotTimesChange(Payload):
    """Changes of a slot; an omitted field keeps its value."""

    days: Days | None = Field(None, description="Days of the week on which it begins.")
    on_at: Clock | None = Field(None, description="Local time at which it begins.")
    off_at: Clock | None = Field(
        None, description="Local time at which it ends; on the next day if it is not after on_at."
    )
    zone: Zone | None = Field(None, description="Name of the time zone, such as Europe/Berlin.")
    enabled: bool | None = Field(None, description="Whether it is on air automatically.")


@router.patch(
    "/sessions/{session_id}/schedule/{int:slot_id}", response={200: SlotPayload, **PROBLEMS}
)
def change_slot(
    request: HttpRequest, session_id: str, slot_id: int, body: SlotTimesChange
) -> Status[SlotPayload]:
    """Changes a slot of the schedule, or switches it on or off."""
    data = {"slot": slot_id, **body.model_dump(exclude_none=True)}
    return run_command(request, session_id, slots.CHANGE, data, slot_payload)


class RemovedSlot(TypedDict):
    """A slot that was removed."""

    id: Annotated[int, Field(description="Id that the slot had.")]


@router.delete(
    "/sessions/{session_id}/schedule/{int:slot_id}", response={200: RemovedSlot, **PROBLEMS}
)
def remove_slot(request: HttpRequest, session_id: str, slot_id: int) -> Status[RemovedSlot]:
    """Removes a slot. A run that it started continues until it is stopped."""
    return run_command(
        request,
        session_id,
        slots.REMOVE,
        {"slot": slot_id},
        lambda _: RemovedSlot(id=slot_id),
    )


class FoundFeed(TypedDict):
    """A feed that a page announces."""

    url: Annotated[str, Field(description="Address of the feed; add it as a source.")]
    title: Annotated[str, Field(description="Name that the page gives it.")]


class SourceTest(TypedDict):
    """The result of reading a source once."""

    ok: Annotated[bool, Field(description="Whether the source could be read.")]
    sentence: Annotated[str, Field(description="What was read, or why nothing was.")]
    posts: Annotated[int, Field(description="Number of posts that were read.")]
    newest_at: Annotated[
        str | None, Field(description="Time of the newest post, ISO 8601 UTC, or null.")
    ]
    feeds: Annotated[
        list[FoundFeed], Field(description="Feeds to choose from, when a page announces several.")
    ]


@router.post("/sessions/{session_id}/sources/test", response={200: SourceTest, **PROBLEMS})
def test_source(request: HttpRequest, session_id: str, body: SourceSpec) -> Status[SourceTest]:
    """Reads a source once, as a new one of the session would be, and stores nothing."""
    owned(request, session_id)
    preview.count_test(user_of(request))

    def effect() -> SourceTest:
        result = preview.probe(body.kind, body.locator, body.sort, user_of(request))
        return {
            "ok": result.ok,
            "sentence": result.sentence,
            "posts": result.count,
            "newest_at": recorder.timestamp(result.newest_at),
            "feeds": [{"url": feed.url, "title": feed.title} for feed in result.feeds],
        }

    return once(request, 200, effect)
