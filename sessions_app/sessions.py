"""The life of a session: created, changed, shown, archived, restored. Nothing is ever deleted.

Sessions that timers leave alone: the app that goes on air names those that have a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.files.storage import folder_name
from sessions_app.models import Preferences, Session, SessionStats, Workspace
from sessions_app.models.session import Person, new_watch_token

SETTINGS = (
    "model", "personality", "verbosity", "pace", "language", "instructions", "control_mode",
)  # fmt: skip


# The types a person can make; the others come from an import or a replay.
CREATABLE_TYPES = (Session.Type.BROADCAST, Session.Type.WRITING)


# Why a session may not be archived now; the app that goes on air adds its reason.
_vetoes: list[Callable[[Session], str]] = []


def veto_archiving(function: Callable[[Session], str]) -> None:
    """Have ``function(session)`` asked before archiving; a sentence refuses, "" agrees."""
    _vetoes.append(function)


def get(user: Person, session_id: UUID | str) -> Session:
    """The session, if this person may touch it; NotFound otherwise, whoever else has it."""
    try:
        return Session.objects.select_related("stats").for_user(user).get(pk=session_id)
    except (Session.DoesNotExist, ValidationError, ValueError):
        raise NotFound("There is no such session.") from None


def newest(user: Person) -> Session | None:
    """The session this person made last and has not filed away."""
    mine = Session.objects.select_related("stats").for_user(user)
    return mine.exclude(status=Session.Status.ARCHIVED).order_by("-created_at", "id").first()


def by_watch_token(token: str) -> Session:
    """The visible session behind a public address; NotFound when the link is not valid (any more)."""
    try:
        # No token of ours holds a NUL, and PostgreSQL would not even look for one.
        return Session.objects.select_related("stats").get(
            watch_token=token.replace("\x00", ""), visible=True
        )
    except Session.DoesNotExist:
        raise NotFound("This link is not valid, or no longer.") from None


def _validated(session: Session) -> Session:
    try:
        session.full_clean(validate_constraints=True)
    except ValidationError as error:
        raise Invalid("; ".join(_sentences(error))) from None
    return session


def _sentences(error: ValidationError) -> Iterator[str]:
    for name, texts in error.message_dict.items():
        said = " ".join(texts)
        yield said if name == NON_FIELD_ERRORS else f"{name}: {said}"


def used_percent(spent: int, budget: int) -> int:
    """How much of a budget is used in whole per cent, rounded down; all of a budget of nothing."""
    return spent * 100 // budget if budget else 100


def defaults_of(user: User) -> dict[str, Any]:
    """Narration settings of this person's new sessions: theirs before the workspace's."""
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
) -> Session:
    """A new session with its counters, in one transaction. ``budget`` is in 10⁻¹² USD."""
    fresh = Session(owner=owner, name=name.strip(), type=type_, budget=budget, **settings)
    fresh.folder = folder_name(fresh.name, timezone.now().date(), fresh.pk)
    session = _validated(fresh)
    with transaction.atomic():
        session.save(force_insert=True)
        SessionStats.objects.create(session=session)
        recorder.record(session, recorder.SESSION_CHANGED, {"session": payload(session)})
    return session


def change(session: Session, **changes: Any) -> Session:
    """Change name, narration settings, budget or visibility; refuses what the model refuses."""
    for field, value in changes.items():
        setattr(session, field, value.strip() if field == "name" else value)
    _validated(session)
    with transaction.atomic():
        session.save(update_fields=[*changes, "updated_at"])
        recorder.record(session, recorder.SESSION_CHANGED, {"session": payload(session)})
    return session


def show(session: Session, visible: bool) -> Session:
    """Open or close the public page; closing revokes the address for good."""
    if visible == session.visible:
        return session
    if visible:
        return change(session, visible=True)
    return change(session, visible=False, watch_token=new_watch_token())


def require_open(session: Session) -> None:
    """Raise Conflict for an archived session."""
    if session.status == Session.Status.ARCHIVED:
        raise Conflict("The session is archived. Restore it first.", state="archived")


def lock(session: Session) -> Session:
    """The session as it is now, held until the caller's transaction ends."""
    return Session.objects.select_for_update(no_key=True).get(pk=session.pk)


def archive(session: Session) -> Session:
    """File the session away; Conflict with the reason where somebody objects."""
    with transaction.atomic():
        # First held, then asked: a run that begins meanwhile waits, and then finds it archived.
        lock(session)
        for veto in _vetoes:
            if reason := veto(session):
                raise Conflict(reason, state=session.status)
        return change(session, status=Session.Status.ARCHIVED)


def restore(session: Session) -> Session:
    """Take the session back; one that has expired stays until somebody sets another time."""
    over = session.expires_at is not None and session.expires_at <= timezone.now()
    changes: dict[str, Any] = {"expires_at": None} if over else {}
    return change(session, status=Session.Status.ACTIVE, **changes)


def payload(session: Session) -> dict[str, Any]:
    """The session as pages, frames and the API show it (without addresses)."""
    return {
        "id": str(session.pk),
        "name": session.name,
        "type": session.type,
        "status": session.status,
        "visible": session.visible,
        "settings": {name: getattr(session, name) for name in SETTINGS},
        "budget": session.budget,
        "expires_at": recorder.timestamp(session.expires_at),
        "created_at": recorder.timestamp(session.created_at),
    }


M = TypeVar("M", bound=Model)


_queries: list[Callable[[], QuerySet[Any, Any]]] = []


def protect_from_timers(sessions: Callable[[], QuerySet[Any, Any]]) -> None:
    """Have timers leave these sessions alone, whose ids the query gives."""
    _queries.append(sessions)


def exclude_protected(rows: QuerySet[M], field: str = "session") -> QuerySet[M]:
    """``rows`` without those whose ``field`` is a session that is to be left alone."""
    for sessions in _queries:
        rows = rows.exclude(**{f"{field}__in": sessions()})
    return rows
