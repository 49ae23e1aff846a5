"""What the pages of a session show, read from the database in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Subquery

from broadcast import (
    airing,
    orchestrator,
    participants,
    public_links,
    recaps,
    session_commands,
)
from broadcast.chat import conversation
from broadcast.health import workers
from broadcast.host import narration
from broadcast.models import Airing, Broadcast
from broadcast.replay import runs
from broadcast.schedule import slots
from broadcast.speech import sounds
from broadcast.states import State
from broadcast.transfer import transfers
from sessions_app.events import recorder
from sessions_app.models import Message, Session, SessionStats
from sessions_app.models.session import SessionQuerySet
from stories import stories
from stories.models import Story
from stories.posts import interests
from stories.posts import queue as posts_queue
from stories.sources import service
from stories.stories import StoryPayload

FEED_MOST = 15
MESSAGES_MOST = 30
TURNS_MOST = 100
HELD_MOST = 100


def session_page(session: Session) -> dict[str, Any]:
    """What every page of a session shows. ``last_seq`` is read first, so no event can be missed."""
    stats = SessionStats.objects.get(session=session)
    return {
        "session": session_commands.session_payload(session),
        "last_seq": stats.last_seq,
        "figures": recorder.figures(stats),
        "air": orchestrator.latest_payload(session),
        "sources": [service.payload(source) for source in service.shown(session)],
        "interests": interests.of_session(session),
    }


def manager_page(session: Session) -> dict[str, Any]:
    """The page of a session in the Session Manager."""
    page = session_page(session)
    return {
        **page,
        "session_budget": session.budget,
        "addresses": public_links.below(page["session"]["watch_url"]),
        "slots": slots.all_payload(session),
        "recaps": recaps.latest(session),
        "runs": runs.listed(session, recorder.OWNER),
        "crew": participants.payload(session, page["figures"], page["sources"]),
        "transfers": transfers.latest(session),
    }


def key_of(text: str) -> int | None:
    """An id as an address names it; None for anything else."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


@dataclass(frozen=True, slots=True)
class FeedPart:
    """Which stories of the feed are shown: those before a story's id, or the bookmarked alone."""

    before: int | None = None
    bookmarked: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> FeedPart:
        return cls(key_of(asked.get("before", "")), asked.get("bookmarked") == "1")

    @property
    def asked(self) -> bool:
        return self.before is not None or self.bookmarked


LATEST = FeedPart()


@dataclass(frozen=True, slots=True)
class WatchPart:
    """Which stories the audience looks at: those before a story's id, or those of one thread."""

    before: int | None = None
    thread: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> WatchPart:
        return cls(key_of(asked.get("before", "")), key_of(asked.get("thread", "")))

    @property
    def asked(self) -> bool:
        return self.before is not None or self.thread is not None


NOW = WatchPart()


def feed_page(session: Session, part: FeedPart = LATEST) -> dict[str, Any]:
    """One page of the feed, newest first, by key; ``older`` is the key of the next, or None."""
    rows = stories.of_session(session)
    if part.bookmarked:
        rows = rows.filter(bookmarked_at__isnull=False)
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    found = list(rows[: FEED_MOST + 1])
    older = found[FEED_MOST - 1].pk if len(found) > FEED_MOST else None
    return {"stories": told(found[:FEED_MOST]), "older": older, "part": part}


def _turns(session: Session) -> dict[str, Any]:
    """What airs before any post is told: the story on air, and the stories that wait, in order."""
    on_air = airing.now_airing(session)
    waiting = [stories.payload(story) for story in stories.next_up(session)[:TURNS_MOST]]
    return {
        "onair": airing.payload(on_air) if on_air else None,
        "turns": {
            "first": [story for story in waiting if story["cuts_in"]],
            "then": [story for story in waiting if not story["cuts_in"]],
        },
    }


def rundown_page(session: Session) -> dict[str, Any]:
    """All that is to be told, in its order."""
    queue = posts_queue.queue_payload(session, posts_queue.QUEUE_LIMIT, HELD_MOST)
    return {**session_page(session), **_turns(session), "queue": queue}


def studio_page(session: Session, part: FeedPart = LATEST) -> dict[str, Any]:
    """The Broadcast Center of a session."""
    page = session_page(session)
    messages = Message.objects.filter(session=session).select_related("reply_to")
    return {
        **page,
        **_turns(session),
        **feed_page(session, part),
        "narration": narration.so_far(session),
        "health": workers.read(session),
        "queue": posts_queue.queue_payload(session),
        "messages": [recorder.message_payload(message) for message in messages[:MESSAGES_MOST]],
        "answer": conversation.so_far(session),
        "examples": conversation.EXAMPLES,
    }


def told(stories: Iterable[Story]) -> list[StoryPayload]:
    """Stories with the moments of their latest airing."""
    found = list(stories)
    aired = {
        one.story_id: one
        for one in Airing.objects.filter(story_id__in=[s.pk for s in found]).order_by("id")
    }
    return [_with_airing(story, aired.get(story.pk)) for story in found]


def _with_airing(story: Story, one: Airing | None) -> StoryPayload:
    if one is None:
        return stories.payload(story)
    return stories.payload(
        story, recorder.timestamp(one.aired_at), recorder.timestamp(one.finish_at)
    )


def watch_page(session: Session, part: WatchPart = NOW) -> dict[str, Any]:
    """The public page: name and language, what is on air, what was told; nothing else."""
    stats = SessionStats.objects.get(session=session)
    on_air = airing.now_airing(session)
    run = orchestrator.latest(session)
    rows = stories.published(session)
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    if part.thread is not None:
        rows = rows.filter(thread=part.thread)
    found = list(rows[: FEED_MOST + 1])
    shown = told(found[:FEED_MOST])
    # The story on air may stand on another page; one look-up finds the sounds of all.
    first = [airing.payload(on_air)] if on_air else []
    public = sounds.public_all([*first, *shown])
    return {
        "session": {"name": session.name, "language": public_links.tag(session.language)},
        "last_seq": stats.last_seq,
        "air": orchestrator.public_payload(run),
        "onair": public[0] if on_air else None,
        "stories": public[len(first) :],
        "older": found[FEED_MOST - 1].pk if len(found) > FEED_MOST else None,
        "part": part,
    }


def session_rows(sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """Sessions (with their stats) with figures and state, in one query."""
    runs_of = Broadcast.objects.filter(session=OuterRef("pk")).order_by("-number")
    latest = Session.objects.filter(pk__in=[session.pk for session in sessions]).values_list(
        Subquery(runs_of.values("pk")[:1])
    )
    runs = {run.session_id: run for run in Broadcast.objects.filter(pk__in=latest)}
    return [
        {
            "session": session_commands.session_payload(session),
            "figures": recorder.figures(session.stats),
            "air": orchestrator.payload(runs.get(session.pk)),
        }
        for session in sessions
    ]


def switcher(sessions: SessionQuerySet) -> list[dict[str, Any]]:
    """The sessions one can switch to, newest first."""
    found = sessions.exclude(status=Session.Status.ARCHIVED).values_list("pk", "name")[:100]
    # All that are live, rather than those of a hundred ids: that is far less to say and to look up.
    on_air = Broadcast.objects.filter(state=State.LIVE, session__in=sessions.order_by())
    live = set(on_air.values_list("session_id", flat=True))
    return [{"id": str(pk), "name": name, "live": pk in live} for pk, name in found]
