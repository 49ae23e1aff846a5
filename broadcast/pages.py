"""What the pages of a session show, read from the database in a constant number of queries."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from broadcast import airing, desk, orchestrator
from broadcast.models import Airing, Broadcast
from broadcast.states import State
from sessions_app import events
from sessions_app.models import Message, Session, SessionStats
from sessions_app.models.session import SessionQuerySet
from stories import feed, posts, reading
from stories.models import Story

FEED_MOST = 50
MESSAGES_MOST = 30


def session_page(session: Session) -> dict[str, Any]:
    """What every page of a session shows. ``last_seq`` is read first, so no event can be missed."""
    stats = SessionStats.objects.get(session=session)
    return {
        "session": desk.session_payload(session),
        "last_seq": stats.last_seq,
        "figures": events.figures(stats),
        "air": orchestrator.air(session),
        "sources": [reading.payload(source) for source in reading.shown(session)],
    }


def studio_page(session: Session) -> dict[str, Any]:
    """The Broadcast Center of a session."""
    page = session_page(session)
    on_air = airing.now_airing(session)
    messages = Message.objects.filter(session=session)[:MESSAGES_MOST]
    return {
        **page,
        "stories": told(feed.of_session(session)[:FEED_MOST]),
        "queue": posts.queue_payload(session),
        "onair": airing.payload(on_air) if on_air else None,
        "messages": [events.message_payload(message) for message in messages],
    }


def told(stories: Any) -> list[dict[str, Any]]:
    """Stories with the moments of their latest airing."""
    found = list(stories)
    aired = {
        one.story_id: one
        for one in Airing.objects.filter(story_id__in=[s.pk for s in found]).order_by("id")
    }
    return [_with_airing(story, aired.get(story.pk)) for story in found]


def _with_airing(story: Story, one: Airing | None) -> dict[str, Any]:
    if one is None:
        return feed.payload(story)
    return feed.payload(story, events.stamp(one.aired_at), events.stamp(one.finish_at))


def watch_page(session: Session) -> dict[str, Any]:
    """The public page: the name, what is on air, what was told; nothing else of the session."""
    stats = SessionStats.objects.get(session=session)
    on_air = airing.now_airing(session)
    run = orchestrator.latest(session)
    states = (Story.State.AIRING, Story.State.AIRED)
    stories = told(feed.of_session(session).filter(state__in=states)[:FEED_MOST])
    return {
        "session": {"name": session.name},
        "last_seq": stats.last_seq,
        "air": orchestrator.public_air(run),
        "onair": feed.public_payload(airing.payload(on_air)) if on_air else None,
        "stories": [feed.public_payload(story) for story in stories],
    }


def session_rows(sessions: SessionQuerySet) -> list[dict[str, Any]]:
    """The list of sessions with figures and state, in three queries."""
    found = list(sessions.select_related("stats"))
    runs: dict[UUID, Broadcast] = {}
    for run in Broadcast.objects.filter(session__in=found).order_by("number"):
        runs[run.session_id] = run
    return [
        {
            "session": desk.session_payload(session),
            "figures": events.figures(session.stats),
            "air": orchestrator.payload(runs.get(session.pk)),
        }
        for session in found
    ]


def switcher(sessions: SessionQuerySet) -> list[dict[str, Any]]:
    """The sessions one can switch to, newest first."""
    found = list(sessions.exclude(status=Session.Status.ARCHIVED)[:100])
    states = dict(
        Broadcast.objects.filter(session__in=found)
        .exclude(state=State.IDLE)
        .values_list("session_id", "state")
    )
    return [
        {"id": str(each.pk), "name": each.name, "live": states.get(each.pk) == State.LIVE}
        for each in found
    ]
