"""The JSON API of sessions and broadcasts: thin, over the same commands as the pages."""

from __future__ import annotations

from typing import Any, Literal

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from ninja.responses import Status

from broadcast import figures, market, session_commands, statistics
from sessions_app import commands, money, rate_limits
from sessions_app.commands import Payload
from sessions_app.errors import Invalid
from sessions_app.events import archive, recorder
from sessions_app.models import Session, SessionEvent
from sessions_app.web.api import MOST, PROBLEMS, Page, caller, key_of, once, owned, page_of, router
from stories import stories
from stories.models import SourcePost, TokenUsage
from stories.sources.service import SourceSpec
from stories.usage import ledger


class BroadcastCommand(Payload):
    command: Literal["start", "stop", "recover"]


Body = dict[str, Any]


@router.post("/sessions", response={201: Body, **PROBLEMS})
def create_session(request: HttpRequest, body: session_commands.NewSession) -> Status[Body]:
    """Make a session; it belongs to the caller."""
    actor = caller(request)

    def effect() -> tuple[int, Body]:
        session = commands.run("session.create", actor, None, body)
        return 201, session_commands.session_payload(session)

    return Status(*once(request, effect))


@router.get("/sessions", response={200: Page, **PROBLEMS})
def list_sessions(request: HttpRequest, limit: int = 50, cursor: str = "") -> Body:
    """The caller's sessions, the newest first."""
    rows = Session.objects.for_user(caller(request)).order_by("-created_at", "-id")
    if cursor:
        moment, _, key = cursor.partition("_")
        at = parse_datetime(moment.replace(" ", "+"))
        if at is None:
            raise Invalid("cursor: not one that we gave.")
        rows = rows.filter(Q(created_at__lt=at) | Q(created_at=at, id__lt=key))
    most = max(1, min(limit, MOST))
    found = list(rows[: most + 1])
    last = found[most - 1] if len(found) > most else None
    return {
        "items": [session_commands.session_payload(session) for session in found[:most]],
        "next": f"{last.created_at.isoformat()}_{last.pk}" if last else None,
    }


@router.get("/sessions/{session_id}", response={200: Body, **PROBLEMS})
def read_session(request: HttpRequest, session_id: str) -> Body:
    """One session with its settings, its budget and its public address."""
    return session_commands.session_payload(owned(request, session_id))


@router.patch("/sessions/{session_id}", response={200: Body, **PROBLEMS})
def change_session(
    request: HttpRequest, session_id: str, body: session_commands.SessionChange
) -> Body:
    """Rename a session, show or hide it, or change its settings."""
    session = owned(request, session_id)
    changed = commands.run("session.change", caller(request), session, body)
    return session_commands.session_payload(changed)


def _on_session(
    request: HttpRequest, session_id: str, name: str, data: Any, status: int
) -> Status[Body]:
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        found = commands.run(name, caller(request), session, data)
        return status, session_commands.session_payload(found)

    return Status(*once(request, effect))


@router.post("/sessions/{session_id}/clone", response={201: Body, **PROBLEMS})
def clone_session(
    request: HttpRequest, session_id: str, body: session_commands.CloneName | None = None
) -> Status[Body]:
    """Copy settings, sources and schedule into a new session."""
    return _on_session(
        request, session_id, "session.clone", body or session_commands.CloneName(), 201
    )


@router.post("/sessions/{session_id}/archive", response={200: Body, **PROBLEMS})
def archive_session(request: HttpRequest, session_id: str) -> Status[Body]:
    """File a session away; nothing of it is deleted."""
    return _on_session(request, session_id, "session.archive", {}, 200)


@router.post("/sessions/{session_id}/restore", response={200: Body, **PROBLEMS})
def restore_session(request: HttpRequest, session_id: str) -> Status[Body]:
    """Take a session out of the archive."""
    return _on_session(request, session_id, "session.restore", {}, 200)


@router.post("/sessions/{session_id}/broadcast", response={202: Body, **PROBLEMS})
def command_broadcast(
    request: HttpRequest, session_id: str, body: BroadcastCommand
) -> Status[Body]:
    """Go Live, stop, or recover from an error."""
    session = owned(request, session_id)
    actor = caller(request)
    if body.command != "stop":
        rate_limits.count("go-live requests", actor.pk, settings.SMNB.limit_go_live)

    def effect() -> tuple[int, Body]:
        run = commands.run(f"broadcast.{body.command}", actor, session, {})
        return 202, {"state": run.state, "run": run.number}

    return Status(*once(request, effect))


@router.get("/sessions/{session_id}/stats", response={200: Body, **PROBLEMS})
def read_stats(request: HttpRequest, session_id: str) -> Body:
    """A session's figures: stories, words, time on air, tokens and money."""
    return figures.stats(owned(request, session_id))


@router.get("/sessions/{session_id}/series", response={200: Body, **PROBLEMS})
def read_series(request: HttpRequest, session_id: str, size: int = 5) -> Body:
    """The last 60 points of 1, 5, 15 or 60 minutes each, oldest first."""
    if size not in statistics.SIZES:
        raise Invalid("size: one of 1, 5, 15, 60.")
    return statistics.series_payload(owned(request, session_id), size)


@router.get("/sessions/{session_id}/stories", response={200: Page, **PROBLEMS})
def list_stories(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """A session's stories, the newest first."""
    rows = stories.of_session(owned(request, session_id))
    return page_of(rows, limit, cursor, stories.payload)


@router.get("/sessions/{session_id}/posts", response={200: Page, **PROBLEMS})
def list_posts(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """What was read, the newest first, each post with its priority and its fate."""
    rows = SourcePost.objects.filter(session=owned(request, session_id)).select_related("source")
    return page_of(rows, limit, cursor, _post)


def _post(post: SourcePost) -> Body:
    return {
        "id": post.pk,
        "external_id": post.external_id,
        "source": post.source.locator,
        "title": post.title,
        "url": post.url,
        "state": post.state,
        "reason": post.reason,
        "priority": post.priority,
        "parts": post.parts,
    }


@router.get("/sessions/{session_id}/market", response={200: Body, **PROBLEMS})
def read_market(
    request: HttpRequest, session_id: str, kind: Literal["keyword", "source"] = "keyword",
    size: int = 0,
) -> Body:  # fmt: skip
    """The market, most posts first; off air as of the last reading. Size 0: as the page."""
    return market.listing(owned(request, session_id), kind, size)


@router.get("/sessions/{session_id}/usage", response={200: Page, **PROBLEMS})
def list_usage(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """Each call of a model with its tokens and its cost, the newest first."""
    rows = TokenUsage.objects.filter(session=owned(request, session_id))
    return page_of(rows, limit, cursor, _usage)


def _usage(row: TokenUsage) -> Body:
    found = ledger.payload(row)
    lower, upper = found["lower"], found["upper"]
    known = lower is not None and upper is not None
    found["lower"] = money.decimal_string(lower) if known else None
    found["upper"] = money.decimal_string(upper) if known else None
    # What is booked: the sum of these is the session's total; ``exact`` says if it is the last word.
    found["cost"] = found["lower"]
    return found


@router.get("/sessions/{session_id}/events", response={200: Page, **PROBLEMS})
def list_events(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """What happened in a session, the latest first, also what is archived."""
    most = max(1, min(limit, MOST))
    found = archive.newest_events(owned(request, session_id), key_of(cursor), most + 1)
    more = len(found) > most
    return {
        "items": [_event(event) for event in found[:most]],
        "next": str(found[most - 1].seq) if more else None,
    }


def _event(event: SessionEvent) -> Body:
    return {
        "seq": event.seq,
        "type": event.type,
        "at": recorder.timestamp(event.at),
        "data": event.payload,
    }


@router.post("/sessions/{session_id}/sources", response={201: Body, **PROBLEMS})
def add_source(request: HttpRequest, session_id: str, body: SourceSpec) -> Status[Body]:
    """Add a source to a session."""
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        source = commands.run("source.add", caller(request), session, body)
        return 201, {"id": source.pk, "kind": source.kind, "locator": source.locator}

    return Status(*once(request, effect))
