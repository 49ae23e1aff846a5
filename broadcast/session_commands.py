"""Commands on a session, its sources, its waiting stories and its broadcast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import AwareDatetime, Field

from broadcast import airing, next_story, orchestrator
from broadcast.schedule import slots
from broadcast.states import ON_AIR
from sessions_app import commands, rate_limits, sessions
from sessions_app.background import retention, steps
from sessions_app.commands import Call, Command, Nothing, Payload
from sessions_app.errors import Conflict
from sessions_app.files import artifacts
from sessions_app.models import Session
from sessions_app.money import from_usd, to_usd
from sessions_app.sessions import SessionFields
from stories.models import Source
from stories.sources import groups, service
from stories.sources.service import AddedSources, SourceSpec
from stories.usage import budget


class SettingsChange(Payload):
    """How a session is narrated; an omitted field keeps its value."""

    model: str | None = Field(
        None, min_length=1, max_length=80, description="The model that narrates, or extractive."
    )
    personality: Session.Personality | None = Field(
        None, description="The host's manner of speaking."
    )
    verbosity: Literal["concise", "detailed", "comprehensive"] | None = Field(
        None, description="The length of a story."
    )
    pace: int | None = Field(
        None, ge=0, le=6000, description="Words a minute on air, 60 to 6000; 0 is without waiting."
    )
    language: str | None = Field(
        None, min_length=2, max_length=35, description="The language as a tag such as en or pt-BR."
    )
    instructions: str | None = Field(
        None, max_length=2000, description="Further instructions to the model."
    )
    control_mode: Literal["hands-free", "balanced", "full-control"] | None = Field(
        None, description="Which stories a person approves before they air."
    )
    ai_label: Literal["always", "unreviewed"] | None = Field(
        None,
        description="Which stories pages label as made by software; unreviewed omits those that an "
        "editor approved.",
    )
    breaking_rule: Literal["any", "two-outlets"] | None = Field(
        None,
        description="Whether an event airs as breaking after one report, or after reports of two "
        "independent outlets.",
    )
    embedding: Literal["off", "anywhere"] | None = Field(
        None, description="Whether pages of other sites may show the player in a frame."
    )
    voice: str | None = Field(
        None,
        max_length=60,
        description="The voice of the host, such as en_US-joe-medium; empty is the best one for the "
        "language. Where it is not installed, another voice speaks.",
    )
    co_voice: str | None = Field(
        None,
        max_length=60,
        description="The voice of a second presenter, who reads every other paragraph or sentence; "
        "empty is one presenter.",
    )
    pronunciation: str | None = Field(
        None,
        max_length=4000,
        description="How voices say a word, one per line: word = spoken form. At most 100 words.",
    )


class NewSession(Payload):
    """An omitted setting has the default of the user, else that of the workspace."""

    name: str = Field(min_length=1, max_length=120, description="The name.")
    type: Literal["broadcast", "writing"] = Field(
        "broadcast", description="broadcast, or writing for drafts only."
    )
    sources: list[SourceSpec] = Field(
        default_factory=list, max_length=500, description="The sources to read."
    )
    groups: list[str] = Field(
        default_factory=list,
        max_length=20,
        description="Names of source groups; all their sources are added.",
    )
    settings: SettingsChange = Field(
        default_factory=SettingsChange, description="How the session is narrated."
    )
    budget_usd: Decimal | None = Field(
        None, ge=0, le=1_000_000, description="The budget in USD; null is no limit."
    )


class SessionChange(Payload):
    """Changes of a session; an omitted field keeps its value."""

    name: str | None = Field(None, min_length=1, max_length=120, description="The new name.")
    visible: bool | None = Field(
        None, description="Whether the public page is open; opening it gives it a new address."
    )
    settings: SettingsChange | None = Field(None, description="How the session is narrated.")
    budget_usd: Decimal | None = Field(
        None, ge=0, le=1_000_000, description="The budget in USD; null removes the limit."
    )
    expires_at: AwareDatetime | None = Field(
        None, description="When it is archived automatically, ISO 8601; null is never."
    )


class CloneName(Payload):
    """The name of a clone."""

    name: str | None = Field(
        None, min_length=1, max_length=120, description="The name; null for the old name (copy)."
    )


class SourceId(Payload):
    source: int


class SourceOrder(Payload):
    source: int
    sort: Literal["hot", "new", "top", "rising"]


class SeveralSources(Payload):
    sources: list[SourceSpec] = Field(min_length=1, max_length=500)


class GroupName(Payload):
    group: str = Field(min_length=1, max_length=60)


class StoryId(Payload):
    story: int


class OwnedSession(SessionFields):
    """A session as its owner sees it."""

    budget_usd: Annotated[
        str | None, Field(description="Budget in USD as a decimal string; null is no limit.")
    ]
    watch_url: Annotated[
        str | None, Field(description="Address of the watch page; null unless it is visible.")
    ]


def watch_url(session: Session) -> str | None:
    """Returns the public address of a visible session."""
    return f"{settings.PUBLIC_URL}/watch/{session.watch_token}/" if session.visible else None


def session_payload(session: Session) -> OwnedSession:
    budget = None if session.budget is None else str(to_usd(session.budget))
    return {**sessions.fields(session), "budget_usd": budget, "watch_url": watch_url(session)}


def create(call: Call) -> Session:
    """Creates a session with the named sources and all sources of the named groups."""
    new: NewSession = call.payload
    session = sessions.create(
        call.actor,
        new.name,
        {**sessions.defaults_of(call.actor), **new.settings.model_dump(exclude_none=True)},
        None if new.budget_usd is None else from_usd(new.budget_usd),
        new.type,
    )
    for spec in new.sources:
        service.add(session, spec)
    for name in new.groups:
        groups.add(session, name)
    return session


def change(call: Call) -> Session:
    """Changes a session; narration that waits for budget resumes when there is some."""
    new: SessionChange = call.payload
    session = call.target
    changes = new.settings.model_dump(exclude_none=True) if new.settings else {}
    if new.name is not None:
        changes["name"] = new.name
    if "expires_at" in new.model_fields_set:
        changes["expires_at"] = retention.ahead(new.expires_at)
    # Null removes the limit, so a field that is absent must not count as null.
    if "budget_usd" in new.model_fields_set:
        changes["budget"] = None if new.budget_usd is None else from_usd(new.budget_usd)
    mode = session.control_mode
    # The change counts an event, so the run, whose hold may be released, is locked before it.
    with orchestrator.locked_live_run(session) if changes else nullcontext() as run:
        session = sessions.change(session, **changes) if changes else session
        # Under the lock of the run, so that the host cannot set the hold again at the same time.
        waits_for_budget = run is not None and run.hold and run.hold["code"] == "budget"
        if run is not None and waits_for_budget and not budget.over_budget(session):
            orchestrator.set_hold(run, None)
            steps.run_now(session, orchestrator.NARRATE, run.pk)
        if run is not None and session.control_mode != mode:
            next_story.tell_all(run)
    if new.visible is not None:
        session = sessions.show(session, new.visible)
    return session


def clone(call: Call) -> Session:
    """Copies a session without its stories: settings, logo, sources, and the schedule disabled."""
    origin = call.target
    session = sessions.create(
        call.actor,
        call.payload.name or f"{origin.name[:110]} (copy)",
        {name: getattr(origin, name) for name in sessions.SETTINGS},
        origin.budget,
        origin.type if origin.type in sessions.CREATABLE_TYPES else Session.Type.BROADCAST,
        origin,
    )
    for source in service.shown(origin):
        spec = SourceSpec(kind=source.kind, locator=source.locator, sort=source.sort)
        service.add(session, spec)
    slots.copy(origin, session)
    artifacts.copy_logo(origin, session, call.actor)
    return session


def add_source(call: Call) -> Source:
    # Counted first: a refused addition counts too, and no row is locked while Redis is asked.
    _count_new_source(call)
    source = service.add(call.target, call.payload)
    _read_at_once(call.target, [source])
    return source


def add_sources(call: Call) -> AddedSources:
    """Adds several sources, which count as one addition; those that are refused stop no other."""
    _count_new_source(call)
    result = service.add_each(call.target, call.payload.sources)
    _read_at_once(call.target, result.added)
    return result


def loop_sources(call: Call) -> list[Source]:
    """Lets recordings begin again whenever they end, those that have ended at once."""
    looped = service.loop(call.target)
    _read_at_once(call.target, [each for each in looped if each.health == Source.Health.NEW])
    return looped


def change_source(session: Session, new: SourceOrder) -> Source:
    """Changes the order of a source, and reads it at once if the session is on air."""
    source = service.change(session, new.source, new.sort)
    _read_at_once(session, [source])
    return source


def add_group(call: Call) -> list[Source]:
    """Adds all sources of a group; Conflict if the session has them already."""
    added = groups.add(call.target, call.payload.group)
    if not added:
        raise Conflict(f"All sources of {call.payload.group} are in this session already.")
    for _ in added:
        _count_new_source(call)
    _read_at_once(call.target, added)
    return added


def _count_new_source(call: Call) -> None:
    rate_limits.count("new sources", call.actor.pk, settings.SMNB.limit_feeds, window=3600)


def _read_at_once(session: Session, added: Sequence[Source]) -> None:
    """Enqueues the first reading of new sources if the session is on air."""
    run = orchestrator.active(session)
    if run is not None and run.state in ON_AIR:
        for source in added:
            steps.enqueue(session, orchestrator.POLL, source.pk)


CREATE = Command("session.create", NewSession, create, "Creates a session with its sources.")
CHANGE = Command(
    "session.change", SessionChange, change, "Renames, shows or hides a session, changes settings."
)
CLONE = Command(
    "session.clone", CloneName, clone, "Copies settings, logo, sources and schedule of a session."
)
ARCHIVE = Command(
    "session.archive", Nothing, lambda call: sessions.archive(call.target), "Archives a session."
)
RESTORE = Command(
    "session.restore", Nothing, lambda call: sessions.restore(call.target), "Restores a session."
)
ADD_SOURCE = Command("source.add", SourceSpec, add_source, "Adds a source.")
ADD_SOURCES = Command(
    "source.add_each",
    SeveralSources,
    add_sources,
    "Adds several sources, such as those of an OPML file.",
)
LOOP_SOURCES = Command(
    "source.loop", Nothing, loop_sources, "Lets recordings begin again whenever they end."
)
ADD_GROUP = Command("source.add_group", GroupName, add_group, "Adds all sources of a source group.")
CHANGE_SOURCE = Command(
    "source.change",
    SourceOrder,
    lambda call: change_source(call.target, call.payload),
    "Changes the order in which a subreddit is read.",
)
REMOVE_SOURCE = Command(
    "source.remove",
    SourceId,
    lambda call: service.remove(call.target, call.payload.source),
    "Removes a source.",
)
APPROVE = Command(
    "story.approve",
    StoryId,
    lambda call: airing.decide(call.target, call.payload.story, approve=True, editor=call.actor),
    "Approves a waiting story for air.",
)
VETO = Command(
    "story.veto",
    StoryId,
    lambda call: airing.decide(call.target, call.payload.story, approve=False, editor=call.actor),
    "Keeps a waiting story off the air.",
)
START = Command(
    "broadcast.start",
    Nothing,
    lambda call: orchestrator.start(call.target, call.actor),
    "Goes live.",
)
STOP = Command(
    "broadcast.stop",
    Nothing,
    lambda call: orchestrator.stop(call.target, call.actor),
    "Goes off the air, or closes a failed run.",
)
ASK_TO_STOP = Command(
    "broadcast.ask_to_stop",
    airing.StopTime,
    airing.ask_to_stop,
    "Stops after the story on air, or in 5 seconds; until then it can be undone.",
)
UNDO_STOP = Command(
    "broadcast.undo_stop", Nothing, airing.undo_stop, "Withdraws a stop that was asked for."
)
RECOVER = Command(
    "broadcast.recover",
    Nothing,
    lambda call: orchestrator.recover(call.target, call.actor),
    "Resumes a run that ended in an error.",
)


# What the pages and the API call the commands of a run, each with its payload.
RUN_COMMANDS: Mapping[str, tuple[Command[Any], Mapping[str, object]]] = {
    "start": (START, {}),
    "stop": (STOP, {}),
    "stop_after_story": (ASK_TO_STOP, {"when": "story"}),
    "stop_soon": (ASK_TO_STOP, {"when": "now"}),
    "undo_stop": (UNDO_STOP, {}),
    "recover": (RECOVER, {}),
}
# Stopping is never limited: a broadcast that costs money must always be stoppable.
LIMITED = ("start", "recover")


def register() -> None:
    commands.register(CREATE)
    commands.register(CHANGE)
    commands.register(CLONE)
    commands.register(ARCHIVE)
    commands.register(RESTORE)
    commands.register(ADD_SOURCE)
    commands.register(ADD_SOURCES)
    commands.register(LOOP_SOURCES)
    commands.register(ADD_GROUP)
    commands.register(CHANGE_SOURCE)
    commands.register(REMOVE_SOURCE)
    commands.register(APPROVE)
    commands.register(VETO)
    commands.register(START)
    commands.register(STOP)
    commands.register(ASK_TO_STOP)
    commands.register(UNDO_STOP)
    commands.register(RECOVER)
