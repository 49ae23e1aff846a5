"""What a person can have done with a session and its broadcast, as commands."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal

from django.conf import settings
from pydantic import AwareDatetime, Field

from broadcast import airing, orchestrator
from broadcast.models import Broadcast
from broadcast.schedule import slots
from broadcast.states import ON_AIR
from sessions_app import commands, rate_limits, session_expiry, sessions
from sessions_app.background import steps
from sessions_app.commands import Call, Command, Nothing, Payload
from sessions_app.errors import Conflict
from sessions_app.models import Session
from sessions_app.money import from_usd, to_usd
from stories.models import Source, Story
from stories.sources import groups, service
from stories.sources.service import SourceSpec
from stories.usage import ledger


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
    """What is left out of the settings is as in the person's, then the workspace's defaults."""

    name: str = Field(min_length=1, max_length=120)
    type: Literal["broadcast", "writing"] = "broadcast"
    sources: list[SourceSpec] = Field(default_factory=list, max_length=500)
    groups: list[str] = Field(default_factory=list, max_length=20)
    settings: NarrationSettings = Field(default_factory=NarrationSettings)
    budget_usd: Decimal | None = Field(None, ge=0, le=1_000_000)


class SessionChange(Payload):
    name: str | None = Field(None, min_length=1, max_length=120)
    visible: bool | None = None
    settings: NarrationSettings | None = None
    budget_usd: Decimal | None = Field(None, ge=0, le=1_000_000)
    expires_at: AwareDatetime | None = None


class CloneName(Payload):
    name: str | None = Field(None, min_length=1, max_length=120)


class SourceId(Payload):
    source: int


class GroupName(Payload):
    group: str = Field(min_length=1, max_length=60)


class StoryId(Payload):
    story: int


def pico(usd: Decimal | None) -> int | None:
    return None if usd is None else from_usd(usd)


def create(call: Call) -> Session:
    """A session with the sources that are named, and with all of each group that is named."""
    wanted: NewSession = call.payload
    chosen = wanted.settings.model_dump(exclude_none=True)
    session = sessions.create(
        call.actor,
        wanted.name,
        {**sessions.defaults_of(call.actor), **chosen},
        pico(wanted.budget_usd),
        wanted.type,
    )
    for spec in wanted.sources:
        service.add(session, spec)
    for name in wanted.groups:
        groups.add(session, name)
    return session


CREATE = Command("session.create", NewSession, create, "Creates a session with its sources.")


def change(call: Call) -> Session:
    wanted: SessionChange = call.payload
    session = call.target
    changes = wanted.settings.model_dump(exclude_none=True) if wanted.settings else {}
    if wanted.name is not None:
        changes["name"] = wanted.name
    if "expires_at" in wanted.model_fields_set:
        changes["expires_at"] = session_expiry.ahead(wanted.expires_at)
    if "budget_usd" in wanted.model_fields_set:
        changes["budget"] = pico(wanted.budget_usd)
        with orchestrator.locked_live_run(session) as run:
            session = sessions.change(session, **changes)
            waits_for_budget = run is not None and run.hold and run.hold["code"] == "budget"
            if run is not None and waits_for_budget and not ledger.over_budget(session):
                orchestrator.set_hold(run, None)
                steps.run_now(session, orchestrator.NARRATE, run.pk)
    elif changes:
        session = sessions.change(session, **changes)
    if wanted.visible is not None:
        session = sessions.show(session, wanted.visible)
    return session


CHANGE = Command(
    "session.change",
    SessionChange,
    change,
    "Renames, shows or hides a session, changes its settings.",
)


def clone(call: Call) -> Session:
    """A new session with the same settings, budget, sources and schedule, the latter switched off.

    Nothing of what was told goes along.
    """
    origin = call.target
    kept = {name: getattr(origin, name) for name in sessions.SETTINGS}
    name = call.payload.name or f"{origin.name[:110]} (copy)"
    type_ = origin.type if origin.type in sessions.CREATABLE_TYPES else Session.Type.BROADCAST
    session = sessions.create(call.actor, name, kept, origin.budget, type_)
    for source in service.shown(origin):
        service.add(
            session,
            SourceSpec(kind=source.kind, locator=source.locator, sort=source.sort),
        )
    slots.copy(origin, session)
    Session.objects.filter(pk=session.pk).update(made_from=origin)
    return session


CLONE = Command(
    "session.clone", CloneName, clone, "Copies settings, sources and schedule to a new session."
)
ARCHIVE = Command(
    "session.archive", Nothing, lambda call: sessions.archive(call.target), "Archives a session."
)
RESTORE = Command(
    "session.restore", Nothing, lambda call: sessions.restore(call.target), "Restores a session."
)


def add_source(call: Call) -> Source:
    """Add a source; a session on air reads it at once."""
    _count_source(call)
    source = service.add(call.target, call.payload)
    _read_now(call.target, [source])
    return source


ADD_SOURCE = Command("source.add", SourceSpec, add_source, "Adds a source.")


def add_group(call: Call) -> list[Source]:
    """Add all sources of a group that the session does not have yet; Conflict when it has them."""
    added = groups.add(call.target, call.payload.group)
    if not added:
        raise Conflict(f"All sources of {call.payload.group} are in this session already.")
    for _ in added:
        _count_source(call)
    _read_now(call.target, added)
    return added


ADD_GROUP = Command("source.add_group", GroupName, add_group, "Adds all sources of a source group.")


def _count_source(call: Call) -> None:
    rate_limits.count("new sources", call.actor.pk, settings.SMNB.limit_feeds, window=3600)


def _read_now(session: Session, added: Iterable[Source]) -> None:
    run = orchestrator.active(session)
    if run is not None and run.state in ON_AIR:
        for source in added:
            steps.enqueue(session, orchestrator.POLL, source.pk)


def remove_source(call: Call) -> Source:
    return service.remove(call.target, call.payload.source)


REMOVE_SOURCE = Command("source.remove", SourceId, remove_source, "Removes a source.")


def approve(call: Call) -> Story:
    return airing.decide(call.target, call.payload.story, approve=True)


APPROVE = Command("story.approve", StoryId, approve, "Approves a waiting story for air.")


def veto(call: Call) -> Story:
    return airing.decide(call.target, call.payload.story, approve=False)


VETO = Command("story.veto", StoryId, veto, "Keeps a waiting story off the air.")


def start(call: Call) -> Broadcast:
    return orchestrator.start(call.target, call.actor)


START = Command("broadcast.start", Nothing, start, "Goes live.")


def stop(call: Call) -> Broadcast:
    return orchestrator.stop(call.target, call.actor)


STOP = Command("broadcast.stop", Nothing, stop, "Goes off the air, or closes a failed run.")


def recover(call: Call) -> Broadcast:
    return orchestrator.recover(call.target, call.actor)


RECOVER = Command("broadcast.recover", Nothing, recover, "Reopens a run that ended in an error.")


def watch_url(session: Session) -> str | None:
    """The public address of a visible session."""
    return f"{settings.PUBLIC_URL}/watch/{session.watch_token}/" if session.visible else None


def session_payload(session: Session) -> dict[str, Any]:
    """A session as its owner sees it, with the public address."""
    fields = {name: value for name, value in sessions.payload(session).items() if name != "budget"}
    usd = None if session.budget is None else str(to_usd(session.budget))
    return {**fields, "budget_usd": usd, "watch_url": watch_url(session)}


def register() -> None:
    commands.register(CREATE)
    commands.register(CHANGE)
    commands.register(CLONE)
    commands.register(ARCHIVE)
    commands.register(RESTORE)
    commands.register(ADD_SOURCE)
    commands.register(ADD_GROUP)
    commands.register(REMOVE_SOURCE)
    commands.register(APPROVE)
    commands.register(VETO)
    commands.register(START)
    commands.register(STOP)
    commands.register(RECOVER)
