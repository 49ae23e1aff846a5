"""What a page of a replay shows: the run and its stories, and how the page was before the run."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet

from broadcast import desk, orchestrator, pages
from broadcast.audience import language, sounds
from broadcast.models import Airing
from broadcast.replay import recordings
from broadcast.replay.pacing import SILENCE, SPEEDS
from broadcast.replay.recordings import Recording
from sessions_app import events
from sessions_app.models import Message, SessionStats
from stories import feed, reading

STORIES_MOST = 100


def page(recording: Recording, audience: str, after: int | None = None) -> dict[str, Any]:
    """The run, how it can be played, and its stories in the order of airing, one page by key."""
    run = recording.run
    aired = _aired(recording, audience).filter(pk__gt=after or 0)
    found = list(aired[: STORIES_MOST + 1])
    return {
        "run": recordings.row(run),
        "began": events.stamp(recording.began),
        "length": recording.milliseconds,
        "speeds": SPEEDS,
        "silence": int(SILENCE.total_seconds()),
        "stories": [_row(recording, one) for one in found[:STORIES_MOST]],
        "later": found[STORIES_MOST - 1].pk if len(found) > STORIES_MOST else None,
        "air": orchestrator.payload(None),
    }


def _aired(recording: Recording, audience: str) -> QuerySet[Airing]:
    rows = Airing.objects.filter(run=recording.run).select_related("story").order_by("pk")
    return rows if audience == events.OWNER else rows.filter(story__state__in=sounds.TOLD)


def _row(recording: Recording, one: Airing) -> dict[str, Any]:
    corrected = one.story.corrected_at
    return {
        "id": one.story_id,
        "title": one.story.title,
        "state": one.story.state,
        "at": recording.offset(one.aired_at),
        "seconds": recording.offset(one.aired_at) // 1000,
        "corrected": corrected is not None and corrected > recording.ended,
    }


def studio(recording: Recording) -> dict[str, Any]:
    """The desk before the run: what had been written and said, and the sources of the run."""
    session, began = recording.session, recording.began
    written = feed.of_session(session).filter(created_at__lt=began)
    said = Message.objects.filter(session=session, created_at__lt=began)
    return {
        "session": desk.session_payload(session),
        "figures": events.figures(SessionStats(session=session)),
        "feed": pages.told(written.order_by("-created_at", "-pk")[: pages.FEED_MOST]),
        "messages": [
            events.message_payload(message)
            for message in said.select_related("reply_to")[: pages.MESSAGES_MOST]
        ],
        "sources": [
            reading.payload(source)
            for source in reading.shown(session)
            if source.created_at < recording.ended
        ],
    }


def watch(recording: Recording) -> dict[str, Any]:
    """The public page before the run: what had been told and has not been pulled since."""
    session = recording.session
    first = Airing.objects.filter(run=recording.run).order_by("pk").values("pk")[:1]
    rows = Airing.objects.filter(session=session, pk__lt=first, story__state__in=sounds.TOLD)
    stories = feed.of_session(session)
    rows = rows.order_by("-pk").prefetch_related(Prefetch("story", stories))
    told = [one.story for one in rows[: pages.FEED_MOST]]
    return {
        "session": {"name": session.name, "language": language.tag(session.language)},
        "feed": sounds.public_all(pages.told(told)),
        "audible": sounds.valid().filter(story__airings__run=recording.run).exists(),
    }
