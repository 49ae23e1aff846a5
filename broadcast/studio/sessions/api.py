"""API operations on sessions: their settings, broadcast, figures, stories, posts and events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from ninja import Query
from ninja.responses import Status
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import figures, market, session_commands, statistics
from broadcast.figures import StatsPayload
from broadcast.market import MarketPayload
from broadcast.session_commands import OwnedSession, session_payload
from broadcast.statistics import SeriesPayload
from sessions_app import commands, money, rate_limits
from sessions_app.commands import Payload
from sessions_app.errors import Invalid
from sessions_app.events import archive, recorder
from sessions_app.models import Session, SessionEvent
from sessions_app.realtime import frames
from sessions_app.web.api import (
    PROBLEMS,
    Page,
    Paging,
    caller,
    cut,
    once,
    owned,
    page_of,
    router,
    run_command,
    user_of,
)
from stories import stories
from stories.models import SourcePost, TokenUsage
from stories.posts import scoring, selection
from stories.posts.scoring import ScoredPost
from stories.posts.selection import Original
from stories.search import query
from stories.search.query import FoundPost, FoundStory
from stories.stories import StoryPayload
from stories.usage import ledger
from stories.usage.ledger import UsageFields


class BroadcastCommand(Payload):
    """A command on the broadcast of a session."""

    command: Literal["start", "stop", "stop_after_story", "stop_soon", "undo_stop", "recover"] = (
        Field(
            description="start goes live; stop ends the run at once; stop_after_story ends it after the "
            "story on air and stop_soon in 5 seconds, until undo_stop withdraws that; recover resumes "
            "a run that failed."
        )
    )


@router.post("/sessions", response={201: OwnedSession, **PROBLEMS})
def create_session(request: HttpRequest, body: session_commands.NewSession) -> Status[OwnedSession]:
    """Creates a session that belongs to the caller."""
    actor = caller(request)

    def effect() -> OwnedSession:
        session = commands.run(session_commands.CREATE, actor, None, body)
        return session_payload(session)

    return once(request, 201, effect)


@router.get("/sessions", response={200: Page[OwnedSession], **PROBLEMS})
def list_sessions(request: HttpRequest, paging: Query[Paging]) -> Page[OwnedSession]:
    """Lists the caller's sessions."""
    rows = Session.objects.for_user(caller(request)).order_by("-created_at", "-id")
    if paging.cursor:
        moment, _, key = paging.cursor.partition("_")
        # A client that does not encode the cursor sends the + of its time zone as a space.
        try:
            at, last = datetime.fromisoformat(moment.replace(" ", "+")), UUID(key)
            # A moment without a zone, or one that the database cannot compare.
            zoned = at.astimezone(UTC) if at.tzinfo else None
        except (ValueError, OverflowError):
            zoned = None
        if zoned is None:
            raise Invalid("cursor: must be the value of next in an earlier response.")
        # Two sessions can have the same moment, so the id decides between them.
        rows = rows.filter(Q(created_at__lt=zoned) | Q(created_at=zoned, id__lt=last))
    return cut(
        list(rows[: paging.size + 1]),
        paging,
        session_payload,
        lambda session: f"{session.created_at.isoformat()}_{session.pk}",
    )


@router.get("/sessions/{session_id}", response={200: OwnedSession, **PROBLEMS})
def read_session(request: HttpRequest, session_id: str) -> OwnedSession:
    """Returns a session with its settings, budget and public address."""
    return session_payload(owned(request, session_id))


@router.patch("/sessions/{session_id}", response={200: OwnedSession, **PROBLEMS})
def change_session(
    request: HttpRequest, session_id: str, body: session_commands.SessionChange
) -> OwnedSession:
    """Renames a session, shows or hides it, or changes its settings, budget or expiry."""
    session = owned(request, session_id)
    changed = commands.run(session_commands.CHANGE, user_of(request), session, body)
    return session_payload(changed)


@router.post("/sessions/{session_id}/clone", response={201: OwnedSession, **PROBLEMS})
def clone_session(
    request: HttpRequest, session_id: str, body: session_commands.CloneName | None = None
) -> Status[OwnedSession]:
    """Copies settings, logo, sources and schedule into a new session."""
    name = body or session_commands.CloneName()
    return run_command(request, session_id, session_commands.CLONE, name, session_payload, 201)


@router.post("/sessions/{session_id}/archive", response={200: OwnedSession, **PROBLEMS})
def archive_session(request: HttpRequest, session_id: str) -> Status[OwnedSession]:
    """Archives a session. Nothing is deleted."""
    return run_command(request, session_id, session_commands.ARCHIVE, {}, session_payload)


@router.post("/sessions/{session_id}/restore", response={200: OwnedSession, **PROBLEMS})
def restore_session(request: HttpRequest, session_id: str) -> Status[OwnedSession]:
    """Restores an archived session."""
    return run_command(request, session_id, session_commands.RESTORE, {}, session_payload)


class RunState(TypedDict):
    """The run after a command."""

    state: Annotated[
        str,
        Field(description="idle, initializing, ready, starting, live, stopping or error."),
    ]
    run: Annotated[int, Field(description="Number of the run within the session.")]


@router.post("/sessions/{session_id}/broadcast", response={202: RunState, **PROBLEMS})
def command_broadcast(
    request: HttpRequest, session_id: str, body: BroadcastCommand
) -> Status[RunState]:
    """Goes live, stops, or recovers a run that failed."""
    session, actor = owned(request, session_id), user_of(request)
    if body.command in session_commands.LIMITED:
        rate_limits.count("go-live requests", actor.pk, settings.SMNB.limit_go_live)
    command, data = session_commands.RUN_COMMANDS[body.command]

    def effect() -> RunState:
        run = commands.run(command, actor, session, data)
        return {"state": run.state, "run": run.number}

    return once(request, 202, effect)


@router.get("/sessions/{session_id}/stats", response={200: StatsPayload, **PROBLEMS})
def read_stats(request: HttpRequest, session_id: str) -> StatsPayload:
    """Returns a session's figures: stories, words, time on air, tokens and cost."""
    session = owned(request, session_id, "folder")
    return figures.stats(session, session.stats)


@router.get("/sessions/{session_id}/series", response={200: SeriesPayload, **PROBLEMS})
def read_series(request: HttpRequest, session_id: str, size: int = 5) -> SeriesPayload:
    """Returns the latest 60 points of ``size`` minutes (1, 5, 15 or 60) each, oldest first."""
    # Figures are stored for these intervals only.
    if size not in statistics.SIZES:
        raise Invalid("size: must be one of 1, 5, 15, 60.")
    return statistics.series_payload(owned(request, session_id), size)


@router.get("/sessions/{session_id}/stories", response={200: Page[StoryPayload], **PROBLEMS})
def list_stories(
    request: HttpRequest, session_id: str, paging: Query[Paging]
) -> Page[StoryPayload]:
    """Lists a session's stories."""
    rows = stories.of_session(owned(request, session_id))
    return page_of(rows, paging, stories.payload)


class ApiPost(ScoredPost):
    """A post that was read from a source, with the reason of its state."""

    external_id: Annotated[str, Field(description="Id of the post at its source.")]
    reason: Annotated[str, Field(description="Why it was skipped, held or failed; may be empty.")]
    original: Annotated[
        Original | None,
        Field(description="What it was skipped for, as a duplicate or as overtaken; else null."),
    ]


@router.get("/sessions/{session_id}/posts", response={200: Page[ApiPost], **PROBLEMS})
def list_posts(request: HttpRequest, session_id: str, paging: Query[Paging]) -> Page[ApiPost]:
    """Lists the posts read from the sources, each with its priority and its state."""
    rows = SourcePost.objects.filter(session=owned(request, session_id))
    return page_of(selection.with_originals(rows), paging, post_payload)


def post_payload(post: SourcePost) -> ApiPost:
    return {
        "id": post.pk,
        "external_id": post.external_id,
        "source": post.source.locator,
        "title": post.title,
        "url": post.url,
        "state": post.state,
        "reason": post.reason,
        "original": selection.original(post),
        "priority": post.priority,
        "label": post.label,
        "parts": post.parts,
        "reasons": scoring.reasons(post.parts),
    }


@router.get("/sessions/{session_id}/market", response={200: MarketPayload, **PROBLEMS})
def read_market(
    request: HttpRequest,
    session_id: str,
    kind: Literal["keyword", "source"] = "keyword",
    size: int = 0,
) -> MarketPayload:
    """Returns keywords or sources with their scores, most posts first.

    ``size`` is the length of a bucket in minutes; 0 leaves the choice to the server. Off air the
    market is that of the latest reading.
    """
    return market.listing(owned(request, session_id), kind, size)


class ApiUsage(UsageFields):
    """One call of a model with its tokens and its cost in USD."""

    lower: Annotated[
        str | None, Field(description="Lower bound of the cost in USD; null if unpriced.")
    ]
    upper: Annotated[
        str | None, Field(description="Upper bound of the cost in USD; null if unpriced.")
    ]
    cost: Annotated[
        str | None,
        Field(description="Booked cost in USD: the lower bound; final when exact is true."),
    ]


@router.get("/sessions/{session_id}/usage", response={200: Page[ApiUsage], **PROBLEMS})
def list_usage(request: HttpRequest, session_id: str, paging: Query[Paging]) -> Page[ApiUsage]:
    """Lists the calls of models with their tokens and cost."""
    rows = TokenUsage.objects.filter(session=owned(request, session_id))
    return page_of(rows, paging, usage_payload)


def usage_payload(row: TokenUsage) -> ApiUsage:
    lower = None if row.unpriced else money.decimal_string(row.cost_lower)
    upper = None if row.unpriced else money.decimal_string(row.cost_upper)
    # The total cost of a session is the sum of the lower bounds.
    return {**ledger.fields(row), "lower": lower, "upper": upper, "cost": lower}


class ApiEvent(TypedDict):
    """Something that happened in a session."""

    seq: Annotated[int, Field(description="Sequence number within the session, without gaps.")]
    type: Annotated[str, Field(description="Type of the event; the docs page lists all types.")]
    at: Annotated[str, Field(description="Time of the event, ISO 8601 in UTC.")]
    data: Annotated[
        Mapping[str, object],
        Field(
            description="Payload of the event; its fields depend on the type. It also has "
            "figures, the figures of the session after the event."
        ),
    ]


@router.get("/sessions/{session_id}/events", response={200: Page[ApiEvent], **PROBLEMS})
def list_events(request: HttpRequest, session_id: str, paging: Query[Paging]) -> Page[ApiEvent]:
    """Lists the events of a session, archived ones included."""
    # Events beyond the retention are in archives, so this is not a queryset.
    rows = archive.newest_events(owned(request, session_id), paging.before(), paging.size + 1)
    return cut(rows, paging, event_payload, lambda event: event.seq)


def event_payload(event: SessionEvent) -> ApiEvent:
    return {
        "seq": event.seq,
        "type": event.type,
        "at": recorder.timestamp(event.at),
        "data": frames.published(event.type, event.payload),
    }


class SearchResults(TypedDict):
    """One page of results, newest first."""

    items: Annotated[
        list[FoundStory] | list[FoundPost], Field(description="Stories or posts, as asked.")
    ]
    next: Annotated[
        str | None, Field(description="The cursor of the following page; null on the last one.")
    ]


@router.get("/sessions/{session_id}/search", response={200: SearchResults, **PROBLEMS})
def search_session(
    request: HttpRequest,
    session_id: str,
    paging: Query[Paging],
    q: Annotated[
        str, Field(max_length=200, description='Words, or "words in a row"; empty lists all.')
    ] = "",
    what: Literal["stories", "posts"] = "stories",
) -> SearchResults:
    """Searches the stories or the posts of a session; the last word may be a beginning."""
    session = owned(request, session_id)
    asked = query.Query(what=what, terms=query.terms_of(q))
    page = query.page(session, asked, paging.before(), paging.size)
    return {"items": page.items, "next": None if page.next is None else str(page.next)}
