"""What a person can have done with a session and its broadcast, as commands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from django.conf import settings
from pydantic import Field

from broadcast import airing, orchestrator
from broadcast.models import Broadcast
from broadcast.states import ON_AIR
from sessions_app import commands, lifecycle, limits, steps
from sessions_app.commands import Call, Nothing, Payload
from sessions_app.lifecycle import PICO
from sessions_app.models import Session
from stories import reading
from stories.models import Source, Story
from stories.reading import SourceSpec


class NarrationSettings(Payload):
    """How a session is narrated; what is left out keeps its value."""

    model: str | None = Field(None, min_length=1, max_length=80)
    personality: Literal["formal", "conversational", "analytical", "energetic"] | None = None
    verbosity: Literal["concise", "detailed", "comprehensive"] | None = None
    pace: int | None = Field(None, ge=0, le=6000)
    language: str | None = Field(None, min_length=2, max_length=35)
    instructions: str | None = Field(None, max_length=2000)
    control_mode: Literal["hands-free", "balanced", "full-control"] | None = None


class NewSession(Payload):
    name: str = Field(min_length=1, max_length=120)
    sources: list[SourceSpec] = Field(default_factory=list, max_length=50)
    settings: NarrationSettings = Field(default_factory=NarrationSettings)
    budget_usd: Decimal | None = Field(None, ge=0, le=1_000_000)


class SessionChange(Payload):
    name: str | None = Field(None, min_length=1, max_length=120)
    visible: bool | None = None
    settings: NarrationSettings | None = None
    budget_usd: Decimal | None = Field(None, ge=0, le=1_000_000)


class CloneName(Payload):
    name: str | None = Field(None, min_length=1, max_length=120)


class SourceId(Payload):
    source: int


class StoryId(Payload):
    story: int


def pico(usd: Decimal | None) -> int | None:
    return None if usd is None else int(usd * PICO)


def create(call: Call) -> Session:
    wanted: NewSession = call.payload
    session = lifecycle.create(
        call.actor,
        wanted.name,
        wanted.settings.model_dump(exclude_none=True),
        pico(wanted.budget_usd),
    )
    for spec in wanted.sources:
        reading.add(session, spec)
    return session


def change(call: Call) -> Session:
    wanted: SessionChange = call.payload
    session = call.target
    changes = wanted.settings.model_dump(exclude_none=True) if wanted.settings else {}
    if wanted.name is not None:
        changes["name"] = wanted.name
    if "budget_usd" in wanted.model_fields_set:
        changes["budget"] = pico(wanted.budget_usd)
    if changes:
        session = lifecycle.change(session, **changes)
    if wanted.visible is not None:
        session = lifecycle.show(session, wanted.visible)
    return session


def clone(call: Call) -> Session:
    """A new session with the same settings and sources; nothing of what was told."""
    origin = call.target
    kept = {name: getattr(origin, name) for name in lifecycle.SETTINGS}
    name = call.payload.name or f"{origin.name[:110]} (copy)"
    session = lifecycle.create(call.actor, name, kept, origin.budget)
    for source in reading.shown(origin):
        reading.add(
            session,
            SourceSpec(kind=source.kind, locator=source.locator, sort=source.sort),
        )
    return session


def add_source(call: Call) -> Source:
    """Add a source; a session on air reads it at once."""
    limits.count("new sources", call.actor.pk, settings.SMNB.limit_feeds, window=3600)
    source = reading.add(call.target, call.payload)
    run = orchestrator.active(call.target)
    if run is not None and run.state in ON_AIR:
        steps.enqueue(call.target, orchestrator.POLL, source.pk)
    return source


def remove_source(call: Call) -> Source:
    return reading.remove(call.target, call.payload.source)


def approve(call: Call) -> Story:
    return airing.decide(call.target, call.payload.story, approve=True)


def veto(call: Call) -> Story:
    return airing.decide(call.target, call.payload.story, approve=False)


def start(call: Call) -> Broadcast:
    return orchestrator.start(call.target, call.actor)


def stop(call: Call) -> Broadcast:
    return orchestrator.stop(call.target, call.actor)


def recover(call: Call) -> Broadcast:
    return orchestrator.recover(call.target, call.actor)


def watch_url(session: Session) -> str | None:
    """The public address of a visible session."""
    return f"{settings.PUBLIC_URL}/watch/{session.watch_token}/" if session.visible else None


def session_payload(session: Session) -> dict[str, Any]:
    """A session as its owner sees it, with the public address."""
    found = lifecycle.payload(session)
    budget = found.pop("budget")
    usd = None if budget is None else str(Decimal(budget) / PICO)
    return {**found, "budget_usd": usd, "watch_url": watch_url(session)}


def register() -> None:
    for name, payload, function, meaning in (
        ("session.create", NewSession, create, "Create a session with its sources."),
        ("session.change", SessionChange, change, "Rename, show or hide, change settings."),
        ("session.clone", CloneName, clone, "Copy settings and sources into a new session."),
        ("session.archive", Nothing, lambda c: lifecycle.archive(c.target), "File it away."),
        ("session.restore", Nothing, lambda c: lifecycle.restore(c.target), "Take it back."),
        ("source.add", SourceSpec, add_source, "Read one more source."),
        ("source.remove", SourceId, remove_source, "Read a source no more."),
        ("story.approve", StoryId, approve, "Let a waiting story air."),
        ("story.veto", StoryId, veto, "Keep a waiting story off the air."),
        ("broadcast.start", Nothing, start, "Go live."),
        ("broadcast.stop", Nothing, stop, "Go off the air, or close a run that failed."),
        ("broadcast.recover", Nothing, recover, "Reopen a run that ended in an error."),
    ):
        commands.register(name, payload, function, meaning)
