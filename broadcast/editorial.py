"""The copy desk: a person breaks in, corrects, pulls and bookmarks stories."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from pydantic import Field

from broadcast import airing, orchestrator
from broadcast.speech import sounds
from sessions_app import commands, sessions
from sessions_app.commands import Command, Payload
from sessions_app.errors import Conflict, Invalid
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories import corrections, stories
from stories.models import Story
from stories.text import clean_line, clean_text, word_count
from stories.types import Tone
from stories.usage import accounting

CORRECTED = recorder.declare(
    "story.corrected", "A story got a new version; the earlier one is kept.", public=True
)
PULLED = recorder.declare("story.killed", "A person pulled a story.", public=True)
CHANGED = recorder.declare("story.changed", "A story was bookmarked, edited or pulled unaired.")

State = Story.State
MOST_TITLE, MOST_TEXT = 300, 5000


class BreakIn(Payload):
    """A story in a person's own words; ``now`` ends what is on air for it."""

    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    tone: Tone = "breaking"
    now: bool = False


class Correction(Payload):
    """A new text; ``version`` is the one that was read, so that a later one is not overwritten."""

    story: int
    version: int | None = None
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field(min_length=1, max_length=300)


class StoryId(Payload):
    story: int


class Bookmark(Payload):
    story: int
    on: bool


def _said(title: str, text: str) -> tuple[str, str]:
    """Headline and text without what nobody sees; Invalid when nothing is left."""
    headline, said = clean_line(title, MOST_TITLE), clean_text(text, MOST_TEXT)
    if not (headline.strip() and word_count(said)):
        raise Invalid("Write a headline, and what is to be said on air.")
    return headline, said


def break_in(session: Session, wanted: BreakIn) -> Story:
    """Write a story by hand; it goes on air before all that waits, in the next run if none is live."""
    sessions.require_open(session)
    title, text = _said(wanted.title, wanted.text)
    with orchestrator.locked_live_run(session) as run:
        story = stories.create(
            Story(
                session=session,
                origin=Story.Origin.MANUAL,
                state=State.APPROVED,
                cuts_in=True,
                title=title,
                narrative=text,
                tone=wanted.tone,
                priority=Story.Priority.HIGH,
                agent_type="human",
            )
        )
        if run is not None and wanted.now:
            airing.end_current(run)
        airing.advance(run)
    story.refresh_from_db(fields=["state"])
    return story


def _reason(text: str) -> str:
    reason = clean_line(text, 300)
    if not reason.strip():
        raise Invalid("reason: say what is put right.")
    return reason


def correct(session: Session, wanted: Correction, author: User) -> Story:
    """Put a story right: a new version, marked where people saw the earlier one."""
    with airing.locked_story(session, wanted.story) as (_, story):
        if story.state not in corrections.OPEN:
            raise Conflict(
                "A story that was vetoed or pulled is not told, so there is nothing to correct."
            )
        if wanted.version not in (None, story.version):
            raise Conflict(
                f"Somebody else changed this story: it is at version {story.version} by now. "
                "Look at what it says before you save yours."
            )
        headline, text = _said(wanted.title, wanted.text)
        pace = session.pace or DEFAULT_PACE
        done = corrections.correct(story, headline, text, _reason(wanted.reason), author, pace)
        told = story.state in corrections.PUBLISHED
        shares = accounting.shares_of(story, {"words": done.words})
        _record(CORRECTED, story, told, shares, words=done.words, narration_seconds=done.seconds)
    return story


def pull(session: Session, story_id: int) -> Story:
    """Take a story off the air, off the rundown and off the public pages; it stays in the session."""
    with airing.locked_story(session, story_id) as (run, story):
        if story.state not in corrections.OPEN:
            raise Conflict("This story is off the air for good already.", state=story.state)
        told = story.state in corrections.PUBLISHED
        if story.state == State.AIRING and run is not None:
            airing.end_current(run)
        Story.objects.filter(pk=story.pk).update(state=State.KILLED)
        story.state = State.KILLED
        _record(PULLED, story, told)
        airing.advance(run)
    return story


def bookmark(session: Session, story_id: int, on: bool) -> Story:
    with airing.locked_story(session, story_id) as (_, story):
        story.bookmarked_at = timezone.now() if on else None
        story.save(update_fields=["bookmarked_at"])
        recorder.record(session, CHANGED, {"story": airing.story_payload(story)})
    return story


def _record(type_: str, story: Story, told: bool, shares: Any = (), **counters: int) -> None:
    """Record a change; the audience hears of stories alone that it was told."""
    stories.on_change.send(story)
    shown = airing.story_payload(story)
    payload: dict[str, Any] = {"story": shown}
    if told and type_ == PULLED:
        payload["public"] = {"story": {"id": story.pk}, "retracts": story.pk}
    elif told:
        payload["public"] = {"story": sounds.public(shown)}
    extra = Extra(shares=tuple(shares))
    recorder.record(story.session, type_ if told else CHANGED, payload, None, extra, **counters)


BREAK_IN = Command(
    "story.break_in",
    BreakIn,
    lambda call: break_in(call.target, call.payload),
    "Airs a story in the user's own words before all waiting stories.",
)
CORRECT = Command(
    "story.correct",
    Correction,
    lambda call: correct(call.target, call.payload, call.actor),
    "Gives a story a new version, marked as a correction.",
)
PULL = Command(
    "story.kill",
    StoryId,
    lambda call: pull(call.target, call.payload.story),
    "Removes a story from air, rundown and public pages.",
)
BOOKMARK = Command(
    "story.bookmark",
    Bookmark,
    lambda call: bookmark(call.target, call.payload.story, call.payload.on),
    "Adds or removes a bookmark on a story.",
)


def register() -> None:
    commands.register(BREAK_IN)
    commands.register(CORRECT)
    commands.register(PULL)
    commands.register(BOOKMARK)
