"""Reads what the pages of a session show, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery
from typing_extensions import TypedDict

from broadcast import airing, next_story, orchestrator, public_links, recaps, session_commands
from broadcast.chat import conversation
from broadcast.health import workers
from broadcast.host import narration
from broadcast.models import Airing, Broadcast
from broadcast.next_story import NextStory
from broadcast.orchestrator import AirPayload, PublicAirPayload
from broadcast.recaps import RecapPayload
from broadcast.replay import runs
from broadcast.schedule import slots
from broadcast.schedule.slots import SlotPayload
from broadcast.session_commands import OwnedSession
from broadcast.speech import engines, sounds
from broadcast.speech.sounds import AudibleStory
from broadcast.states import State
from broadcast.transfer import transfers
from broadcast.transfer.transfers import TransferPayload
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.events.recorder import MessagePayload
from sessions_app.events.statistics import FiguresPayload
from sessions_app.models import Message, Session, SessionStats, Step
from sessions_app.realtime import presence
from stories import stories
from stories.drafting import workflow
from stories.models import DraftMessage, Story
from stories.posts import interests, selection
from stories.posts import queue as posts_queue
from stories.posts.interests import InterestPayload
from stories.posts.queue import QueuedPost
from stories.posts.selection import SkippedPost
from stories.sources import service
from stories.sources.service import SourcePayload
from stories.stories import StoryPayload

FEED_MOST = 15
NEXT_MOST = 3
MESSAGES_MOST = 30
WAITING_STORIES_MOST = 100
HELD_MOST = 100


class SessionPage(TypedDict):
    """What every page of a session shows; ``last_seq`` is read first, so that no event is missed."""

    session: OwnedSession
    language: str  # of the stories, as a tag; empty if it is none
    last_seq: int
    figures: FiguresPayload
    air: AirPayload
    sources: list[SourcePayload]
    interests: list[InterestPayload]


def session_page(session: Session) -> SessionPage:
    # Read first: an event after it comes as a frame, also if the rows below include it already.
    stats = SessionStats.objects.get(session=session)
    return {
        "session": session_commands.session_payload(session),
        "language": public_links.tag(session.language),
        "last_seq": stats.last_seq,
        "figures": recorder.figures(stats),
        "air": orchestrator.latest_payload(session),
        "sources": [service.payload(source) for source in service.shown(session)],
        "interests": interests.of_session(session),
    }


class ManagerPage(SessionPage):
    """The page of a session in the Session Manager; the budget is in 10⁻¹² USD."""

    session_budget: int | None
    addresses: list[public_links.Address]
    slots: list[SlotPayload]
    recaps: list[RecapPayload]
    runs: Sequence[Mapping[str, object]]
    participants: list[ParticipantRow]
    transfers: list[TransferPayload]


def manager_page(session: Session) -> ManagerPage:
    page = session_page(session)
    return {
        **page,
        "session_budget": session.budget,
        "addresses": public_links.below(page["session"]["watch_url"], sound=engines.available()),
        "slots": slots.all_payload(session),
        "recaps": recaps.latest(session),
        "runs": runs.listed(session, recorder.OWNER),
        "participants": participant_rows(session, page["figures"], page["sources"]),
        "transfers": transfers.latest(session),
    }


def key_of(text: str) -> int | None:
    """Returns the id in a query string; None for anything else."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


@dataclass(frozen=True, slots=True)
class FeedPart:
    """Which stories of the live feed are shown: those before an id, or only the bookmarked."""

    before: int | None = None
    bookmarked: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> FeedPart:
        return cls(key_of(query.get("before", "")), query.get("bookmarked") == "1")

    @property
    def asked(self) -> bool:
        return self.before is not None or self.bookmarked


class FeedPage(TypedDict):
    """One page of the live feed, newest first; ``older`` is the ``before`` of the next, or None."""

    stories: list[StoryPayload]
    older: int | None
    part: FeedPart


def feed_page(session: Session, part: FeedPart | None = None) -> FeedPage:
    part = part or FeedPart()
    rows = stories.of_session(session)
    if part.bookmarked:
        rows = rows.filter(bookmarked_at__isnull=False)
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    found = list(rows[: FEED_MOST + 1])
    # One row more than shown says whether there is another page, without a count.
    older = found[FEED_MOST - 1].pk if len(found) > FEED_MOST else None
    return {"stories": with_airings(found[:FEED_MOST]), "older": older, "part": part}


def with_airings(rows: Iterable[Story]) -> list[StoryPayload]:
    """Returns stories with the times of their latest airing."""
    rows = list(rows)
    airings = Airing.objects.filter(story_id__in=[story.pk for story in rows]).order_by("id")
    latest = {row.story_id: row for row in airings}
    return [airing.payload_of(story, latest.get(story.pk)) for story in rows]


class WaitingStories(TypedDict):
    """The waiting stories in the order of their airing: break-ins, then the others."""

    first: list[StoryPayload]
    then: list[StoryPayload]


class OnAirPart(TypedDict):
    """What airs before any post is narrated."""

    onair: StoryPayload | None
    turns: WaitingStories


def _on_air_part(session: Session) -> OnAirPart:
    on_air = airing.now_airing(session)
    waiting = [stories.payload(story) for story in stories.next_up(session)[:WAITING_STORIES_MOST]]
    return {
        "onair": airing.payload(on_air) if on_air else None,
        "turns": {
            "first": [story for story in waiting if story["cuts_in"]],
            "then": [story for story in waiting if not story["cuts_in"]],
        },
    }


class RundownPage(SessionPage, OnAirPart):
    """The whole rundown in its order."""

    queue: list[QueuedPost]
    skipped: list[SkippedPost]


def rundown_page(session: Session) -> RundownPage:
    queue = posts_queue.queue_payload(session, posts_queue.QUEUE_LIMIT, HELD_MOST)
    return {
        **session_page(session),
        **_on_air_part(session),
        "queue": queue,
        "skipped": selection.newest(session),
    }


class StudioPage(SessionPage, OnAirPart, FeedPage):
    """The Broadcast Center of a session."""

    narration: narration.NarrationFrame | None
    health: workers.Health
    queue: list[QueuedPost]
    messages: list[MessagePayload]
    answer: Mapping[str, object] | None
    examples: Sequence[str]
    slots: list[SlotPayload]


def studio_page(session: Session, part: FeedPart | None = None) -> StudioPage:
    page = session_page(session)
    messages = Message.objects.filter(session=session).select_related("reply_to")
    newest = list(messages[:MESSAGES_MOST])
    return {
        **page,
        **_on_air_part(session),
        **feed_page(session, part),
        "narration": narration.so_far(session),
        "health": workers.read(session),
        "queue": posts_queue.queue_payload(session),
        "messages": [recorder.message_payload(message) for message in reversed(newest)],
        "answer": conversation.so_far(session),
        "examples": conversation.EXAMPLES,
        "slots": slots.all_payload(session),
    }


@dataclass(frozen=True, slots=True)
class WatchPart:
    """Which stories the audience sees: those before an id, or those of one thread."""

    before: int | None = None
    thread: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> WatchPart:
        return cls(key_of(query.get("before", "")), key_of(query.get("thread", "")))

    @property
    def asked(self) -> bool:
        return self.before is not None or self.thread is not None


class PublicSession(TypedDict):
    name: str
    language: str


class WatchPage(TypedDict):
    """The public page: name and language, the stories on air, released and published; nothing else."""

    session: PublicSession
    last_seq: int
    air: PublicAirPayload
    onair: AudibleStory | None
    next: list[NextStory]
    stories: list[AudibleStory]
    older: int | None
    part: WatchPart


def watch_page(session: Session, part: WatchPart | None = None) -> WatchPage:
    part = part or WatchPart()
    stats = SessionStats.objects.get(session=session)
    run = orchestrator.latest(session)
    live = run is not None and run.state == State.LIVE
    rows = stories.published(session)
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    if part.thread is not None:
        rows = rows.filter(thread=part.thread)
    found = list(rows[: FEED_MOST + 1])
    shown = with_airings(found[:FEED_MOST])
    # The story on air is nearly always one of these; on another page it is read for itself.
    on_air = next((story for story in shown if story["state"] == Story.State.AIRING), None)
    if on_air is None and live and (current := airing.now_airing(session)) is not None:
        on_air = airing.payload(current)
    first = [on_air] if on_air else []
    public = sounds.public_all([*first, *shown])
    released = next_story.released(session).prefetch_related(None)[:NEXT_MOST] if live else []
    return {
        "session": {"name": session.name, "language": public_links.tag(session.language)},
        "last_seq": stats.last_seq,
        "air": orchestrator.public_payload(run),
        "onair": public[0] if on_air else None,
        "next": [next_story.payload(story) for story in released],
        "stories": public[len(first) :],
        "older": found[FEED_MOST - 1].pk if len(found) > FEED_MOST else None,
        "part": part,
    }


class SessionRow(TypedDict):
    session: OwnedSession
    figures: FiguresPayload
    air: AirPayload


def session_rows(sessions: Sequence[Session]) -> list[SessionRow]:
    """Returns sessions (read with their stats) with figures and state, in one query."""
    of_session = Broadcast.objects.filter(session=OuterRef("pk")).order_by("-number")
    latest = Session.objects.filter(pk__in=[session.pk for session in sessions]).values_list(
        Subquery(of_session.values("pk")[:1])
    )
    latest_runs = {run.session_id: run for run in Broadcast.objects.filter(pk__in=latest)}
    return [
        {
            "session": session_commands.session_payload(session),
            "figures": recorder.figures(session.stats),
            "air": orchestrator.payload(latest_runs.get(session.pk)),
        }
        for session in sessions
    ]


class ParticipantRow(TypedDict):
    """``role`` is human, host, producer or agents; ``last_at`` is None for no activity yet."""

    role: str
    name: str
    doing: str
    last_at: str | None


def participant_rows(
    session: Session, figures: FiguresPayload, sources: Iterable[SourcePayload]
) -> list[ParticipantRow]:
    """Returns one row a participant; figures and sources are those that the page shows anyway."""
    active = presence.participants(session)
    users: list[tuple[str, str | None]] = [
        (row.user.get_username(), recorder.timestamp(row.last_active_at)) for row in active
    ]
    # The owner takes part also without any activity yet.
    if not any(row.user_id == session.owner_id for row in active):
        users.insert(0, (session.owner.get_username(), None))
    leased = steps.leased(session.pk)
    narrating = leased.filter(kind=orchestrator.NARRATE).exists()
    polled = [source["last_polled_at"] for source in sources if source["last_polled_at"]]
    drafting = Step.objects.filter(session=session, kind=workflow.TURN, state=Step.State.LEASED)
    turns = DraftMessage.objects.filter(session=session).order_by("-id")
    last_turn_at = turns.values_list("created_at", flat=True).first()
    agents_doing = (
        "" if last_turn_at else "They write drafts in Keyword Drafting; none has started yet."
    )
    if drafting.exists():
        agents_doing = "At work now."
    return [
        *(
            ParticipantRow(role="human", name=name, doing="", last_at=last_at)
            for name, last_at in users
        ),
        {
            "role": "host",
            "name": "Host",
            "doing": "Narrating now." if narrating else "",
            "last_at": figures["last_story_at"],
        },
        {
            "role": "producer",
            "name": "Producer",
            "doing": "",
            "last_at": max(polled, default=None),
        },
        {
            "role": "agents",
            "name": "Agents",
            "doing": agents_doing,
            "last_at": recorder.timestamp(last_turn_at),
        },
    ]
