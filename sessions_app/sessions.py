"""Sessions: create, change, show, archive and restore them. A session is never deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NotRequired, TypeVar
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.files.storage import folder_name
from sessions_app.models import Preferences, Session, SessionStats, Workspace
from sessions_app.models.session import Person, new_watch_token
from sessions_app.money import Amount

M = TypeVar("M", bound=Model)

# The types of session that a user can create; the others come from an import or a replay.
CREATABLE_TYPES = (Session.Type.BROADCAST, Session.Type.WRITING)


class NarrationSettings(TypedDict):
    """How the stories of a session are narrated."""

    model: Annotated[str, Field(description="The model that narrates, or extractive for none.")]
    personality: Annotated[str, Field(description="The host's manner of speaking.")]
    verbosity: Annotated[str, Field(description="The length of a story.")]
    pace: Annotated[int, Field(description="Words a minute on air; 0 is without waiting.")]
    language: Annotated[str, Field(description="The language as a tag such as en or pt-BR.")]
    instructions: Annotated[str, Field(description="What else the owner asks of the host.")]
    control_mode: Annotated[str, Field(description="Which stories a person approves before air.")]
    ai_label: Annotated[str, Field(description="Which stories pages label: always or unreviewed.")]
    breaking_rule: Annotated[
        str, Field(description="What breaking news needs: any (report) or two-outlets.")
    ]
    embedding: Annotated[
        str, Field(description="Which sites may show the player in a frame: off or anywhere.")
    ]
    voice: Annotated[
        str, Field(description="The voice of the host; empty is the best one for the language.")
    ]
    co_voice: Annotated[
        str, Field(description="The voice of the second presenter; empty is one presenter.")
    ]
    pronunciation: Annotated[
        str, Field(description="How voices say a word, one per line: word = spoken form.")
    ]


SETTINGS = tuple(NarrationSettings.__annotations__)


class SessionFields(TypedDict):
    """A session without its budget and its addresses."""

    id: Annotated[str, Field(description="The session's id, a UUID.")]
    name: Annotated[str, Field(description="The name that its owner chose.")]
    type: Annotated[str, Field(description="What the session is for, such as broadcast.")]
    status: Annotated[str, Field(description="active or archived.")]
    visible: Annotated[bool, Field(description="Whether its public page is open.")]
    settings: Annotated[NarrationSettings, Field(description="How its stories are narrated.")]
    expires_at: Annotated[
        str | None, Field(description="When it is archived, in ISO 8601 and UTC; null is never.")
    ]
    created_at: Annotated[
        str | None, Field(description="The time of its creation, in ISO 8601 and UTC.")
    ]
    made_from: Annotated[
        str | None, Field(description="The id of the session it is a copy of; null if of none.")
    ]


class SessionPayload(SessionFields):
    """A session as pages and frames show it, without its addresses."""

    budget: Annotated[
        Amount | None, Field(description="What it may spend, in USD; null is no limit.")
    ]


class LegacyOrigin(TypedDict):
    """Where a session was before it was imported."""

    id: Annotated[str, Field(description="Its id in the old system.")]
    broadcast_state: Annotated[str, Field(description="The state of its broadcast there.")]


class SessionChanged(TypedDict):
    """Payload of session.changed."""

    session: Annotated[SessionPayload, Field(description="The session after the change.")]
    legacy: NotRequired[
        Annotated[LegacyOrigin, Field(description="Set when it comes from the old system.")]
    ]


# The recorder declares the type, and cannot import this module.
recorder.set_payload_type(recorder.SESSION_CHANGED, SessionChanged)


def get(user: Person, session_id: UUID | str, *only: str) -> Session:
    """Returns a session that the user may access; NotFound also for another user's session.

    ``only`` names the columns to read beside the counters; any other costs a query when it is used.
    """
    rows = Session.objects.select_related("stats").for_user(user)
    try:
        return (rows.only(*only, "stats") if only else rows).get(pk=session_id)
    except (Session.DoesNotExist, ValidationError, ValueError):
        raise NotFound("There is no such session.") from None


def newest(user: Person) -> Session | None:
    """Returns the user's newest session that is not archived."""
    rows = Session.objects.select_related("stats").for_user(user)
    return rows.exclude(status=Session.Status.ARCHIVED).order_by("-created_at", "id").first()


def by_watch_token(token: str) -> Session:
    """Returns the visible session with this public address; NotFound when the link is not valid."""
    try:
        # PostgreSQL raises an error for NUL in a parameter; no token contains one.
        return Session.objects.select_related("stats").get(
            watch_token=token.replace("\x00", ""), visible=True
        )
    except Session.DoesNotExist:
        raise NotFound("This link is not valid, or no longer valid.") from None


def _validated(session: Session) -> Session:
    """Returns the session when its model accepts it; raises Invalid with the reasons otherwise."""
    try:
        # The excluded fields are not typed in: whether one is taken is left to the database.
        session.full_clean(exclude=("id", "owner", "watch_token", "folder", "imported_id"))
    except ValidationError as error:
        reasons = [
            " ".join(texts) if name == NON_FIELD_ERRORS else f"{name}: {' '.join(texts)}"
            for name, texts in error.message_dict.items()
        ]
        raise Invalid("; ".join(reasons)) from None
    return session


def used_percent(spent: int, budget: int) -> int:
    """Returns the used share of a budget in whole per cent, rounded down; 100 for a budget of 0."""
    return spent * 100 // budget if budget else 100


def defaults_of(user: User) -> dict[str, Any]:
    """Returns the narration settings of the user's new sessions: their own before the workspace's."""
    shared = Workspace.objects.filter(pk=1).values_list("defaults", flat=True).first()
    own = Preferences.objects.filter(user=user).values_list("defaults", flat=True).first()
    both = {**(shared or {}), **(own or {})}
    return {name: both[name] for name in SETTINGS if both.get(name) is not None}


def create(
    owner: User,
    name: str,
    settings: Mapping[str, Any],
    budget: int | None,
    type_: str = Session.Type.BROADCAST,
    made_from: Session | None = None,
) -> Session:
    """Creates a session with its counters in one transaction. ``budget`` is in 10⁻¹² USD."""
    session = Session(owner=owner, name=name.strip(), type=type_, budget=budget, **settings)
    session.made_from = made_from
    session.folder = folder_name(session.name, timezone.now().date(), session.pk)
    _validated(session)
    with transaction.atomic():
        session.save(force_insert=True)
        # Before the event, which takes its seq from this row.
        SessionStats.objects.create(session=session)
        recorder.record(session, recorder.SESSION_CHANGED, {"session": payload(session)})
    return session


def change(session: Session, **changes: Any) -> Session:
    """Changes name, narration settings, budget or visibility; raises Invalid for a wrong value."""
    for field, value in changes.items():
        setattr(session, field, value.strip() if field == "name" else value)
    _validated(session)
    with transaction.atomic():
        session.save(update_fields=[*changes, "updated_at"])
        recorder.record(session, recorder.SESSION_CHANGED, {"session": payload(session)})
    return session


def show(session: Session, visible: bool) -> Session:
    """Opens or closes the public page; closing revokes its address permanently."""
    if visible == session.visible:
        return session
    if visible:
        return change(session, visible=True)
    # A new token, so that links which were passed on stay invalid when the page opens again.
    return change(session, visible=False, watch_token=new_watch_token())


def require_open(session: Session) -> None:
    """Raises Conflict for an archived session."""
    if session.status == Session.Status.ARCHIVED:
        raise Conflict("The session is archived. Restore it first.", state="archived")


def lock(session: Session) -> Session:
    """Locks the session's row until the caller's transaction ends, and returns it as it is now."""
    # no_key: rows that refer to the session can still be inserted by other transactions.
    return Session.objects.select_for_update(no_key=True).get(pk=session.pk)


# Functions that return why a session may not be archived now, registered by the app that airs.
_vetoes: list[Callable[[Session], str]] = []


def veto_archiving(function: Callable[[Session], str]) -> None:
    """Registers ``function(session)``, which returns why not to archive a session, or ""."""
    _vetoes.append(function)


def archive(session: Session) -> Session:
    """Archives the session; raises Conflict with the reason when something prevents it."""
    with transaction.atomic():
        # The lock comes first: a run that starts meanwhile waits, and then finds the session
        # archived.
        lock(session)
        for veto in _vetoes:
            if reason := veto(session):
                raise Conflict(reason, state=session.status)
        return change(session, status=Session.Status.ARCHIVED)


def restore(session: Session) -> Session:
    """Restores an archived session and removes an expiry time that has passed."""
    if session.expires_at is not None and session.expires_at <= timezone.now():
        # Otherwise the sweeper would archive the session again at once.
        return change(session, status=Session.Status.ACTIVE, expires_at=None)
    return change(session, status=Session.Status.ACTIVE)


def fields(session: Session) -> SessionFields:
    return {
        "id": str(session.pk),
        "name": session.name,
        "type": session.type,
        "status": session.status,
        "visible": session.visible,
        "settings": {
            "model": session.model,
            "personality": session.personality,
            "verbosity": session.verbosity,
            "pace": session.pace,
            "language": session.language,
            "instructions": session.instructions,
            "control_mode": session.control_mode,
            "ai_label": session.ai_label,
            "breaking_rule": session.breaking_rule,
            "embedding": session.embedding,
            "voice": session.voice,
            "co_voice": session.co_voice,
            "pronunciation": session.pronunciation,
        },
        "expires_at": recorder.timestamp(session.expires_at),
        "created_at": recorder.timestamp(session.created_at),
        "made_from": str(session.made_from_id) if session.made_from_id else None,
    }


def payload(session: Session) -> SessionPayload:
    """Returns a session as pages and frames show it."""
    return {**fields(session), "budget": session.budget}


# Queries for sessions with an active run, registered by the app that airs.
_protected: list[Callable[[], QuerySet[Any, Any]]] = []


def protect_from_timers(sessions: Callable[[], QuerySet[Any, Any]]) -> None:
    """Registers a query for the ids of sessions that timers must not touch."""
    _protected.append(sessions)


def exclude_protected(rows: QuerySet[M], field: str = "session") -> QuerySet[M]:
    """Returns ``rows`` without those whose ``field`` is a session that timers must not touch."""
    for sessions in _protected:
        rows = rows.exclude(**{f"{field}__in": sessions()})
    return rows
