"""The copy desk: a person breaks in, corrects, pulls and bookmarks stories."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pydantic import Field

from broadcast import airing
from broadcast.audience import sounds
from sessions_app import commands, events
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session
from sessions_app.series import Extra
from stories import booking, corrections, feed, posts
from stories.models import Story
from stories.text import clean_line, clean_text, word_count
from stories.types import Tone

CORRECTED = events.declare(
    "story.corrected", "A story got a new version; the earlier one is kept.", public=True
)
PULLED = events.declare("story.killed", "A person pulled a story.", public=True)
CHANGED = events.declare("story.changed", "A story was bookmarked, or not any more.")

State = Story.State
MOST_TITLE, MOST_TEXT = 300, 5000


class BreakIn(Payload):
    """A story in a person's own words; ``now`` ends what is on air for it."""

    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    tone: Tone = "breaking"
    now: bool = False


class Correction(Payload):
    story: int
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field(min_length=1, max_length=300)


class StoryId(Payload):
    story: int


class Bookmark(Payload):
    story: int
    on: bool


def find(session: Session, story_id: int) -> Story:
    story = feed.of_session(session).filter(pk=story_id).first()
    if story is None:
        raise NotFound("This session has no such story.")
    return story


def break_in(session: Session, wanted: BreakIn) -> Story:
    """Write a story by hand; it goes on air before all that waits, in the next run if none is live."""
    text = clean_text(wanted.text, MOST_TEXT)
    words = word_count(text)
    if not words:
        raise Invalid("text: write what is to be said on air.")
    seconds = airing.seconds_on_air(words, session.pace)
    at = timezone.now()
    with transaction.atomic():
        run = airing.live_run(session)
        story = Story.objects.create(
            session=session, origin=Story.Origin.MANUAL, state=State.APPROVED, cuts_in=True,
            title=clean_line(wanted.title, MOST_TITLE), narrative=text, tone=wanted.tone,
            priority=Story.Priority.HIGH, agent_type="human", word_count=words, duration=seconds,
            completed_at=at,
        )  # fmt: skip
        airing.changed(story)
        events.record(
            session, feed.WRITTEN,
            {"story": feed.payload(story), "queue": posts.queue_payload(session), "joined": None},
            at,
            Extra(shares=booking.story_shares(story, ())),
            story_count=1, words=words, narration_seconds=seconds,
        )  # fmt: skip
        if run is not None and wanted.now:
            airing.cut(run)
        airing.go_on(run)
    story.refresh_from_db(fields=["state"])
    return story


def correct(session: Session, wanted: Correction, author: User) -> Story:
    """Put a story right: a new version, marked where people saw the earlier one."""
    story = find(session, wanted.story)
    if story.state not in corrections.OPEN:
        raise Conflict(
            "A story that was vetoed or pulled is not told, so there is nothing to correct."
        )
    with transaction.atomic():
        airing.live_run(session)
        done = corrections.correct(
            story, clean_line(wanted.title, MOST_TITLE), clean_text(wanted.text, MOST_TEXT),
            clean_line(wanted.reason, 300), author, session.pace or airing.STANDARD_PACE,
        )  # fmt: skip
        _record(CORRECTED, story, booking.shares_of(story, {"words": done.words}),
                words=done.words, narration_seconds=done.seconds)  # fmt: skip
    return story


def pull(session: Session, story_id: int) -> Story:
    """Take a story off the air, off the rundown and off the public pages; it stays in the session."""
    story = find(session, story_id)
    with transaction.atomic():
        run = airing.live_run(session)
        if story.state == State.AIRING and run is not None:
            airing.cut(run)
        pulled = Story.objects.filter(pk=story.pk, state__in=corrections.OPEN)
        if not pulled.update(state=State.KILLED):
            raise Conflict("This story is off the air for good already.", state=story.state)
        story.state = State.KILLED
        _record(PULLED, story)
        airing.go_on(run)
    return story


def bookmark(session: Session, story_id: int, on: bool) -> Story:
    story = find(session, story_id)
    with transaction.atomic():
        story.bookmarked_at = timezone.now() if on else None
        story.save(update_fields=["bookmarked_at"])
        events.record(session, CHANGED, {"story": airing.shown(story)})
    return story


def _record(type_: str, story: Story, shares: Any = (), **counters: int) -> None:
    airing.changed(story)
    shown = airing.shown(story)
    payload = {"story": shown, "public": {"story": sounds.public(shown)}}
    events.record(story.session, type_, payload, None, Extra(shares=tuple(shares)), **counters)


def register() -> None:
    def on_story(function: Any) -> Any:
        return lambda call: function(call.target, call.payload.story)

    def corrected(call: Call) -> Story:
        return correct(call.target, call.payload, call.actor)

    for name, payload, function, meaning in (
        ("story.break_in", BreakIn, lambda c: break_in(c.target, c.payload),
         "Tell a story in one's own words, before all that waits."),
        ("story.correct", Correction, corrected, "Give a story a new version, marked."),
        ("story.kill", StoryId, on_story(pull), "Pull a story from air, rundown and public pages."),
        ("story.bookmark", Bookmark, lambda c: bookmark(c.target, c.payload.story, c.payload.on),
         "Bookmark a story, or not any more."),
    ):  # fmt: skip
        commands.register(name, payload, function, meaning)
