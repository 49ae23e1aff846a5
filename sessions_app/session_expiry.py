"""Archives sessions at their expiry time, once they are off the air. Nothing is deleted."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from sessions_app import sessions
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict, Invalid
from sessions_app.events import recorder
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)

CODE = "session_expired"
CHUNK = 20


def ahead(expires_at: datetime | None) -> datetime | None:
    """Returns a time at which a session may expire, or None for never; Invalid when it is past."""
    # By the database's clock, as the sweeper compares with it too.
    if expires_at is not None and expires_at <= steps.now():
        raise Invalid("This time has passed. Choose a later one, or none for never.")
    return expires_at


def expire(_up: float) -> None:
    """The sweeper's round: archives expired sessions that are not busy."""
    # A worker may still be writing for the session.
    leased = Step.objects.filter(session=OuterRef("pk"), state=Step.State.LEASED)
    idle = sessions.exclude_protected(_expired(), "pk").exclude(Exists(leased))
    sweeper.for_each("Archiving of an expired session", idle.order_by("expires_at"), _try, CHUNK)


def _try(session: Session) -> None:
    try:
        _archive(session)
    except Conflict as error:
        log.info("not_expired", reason=error.sentence)


def _expired() -> QuerySet[Session]:
    """Returns sessions whose expiry time has passed by the database's clock."""
    rows = Session.objects.filter(expires_at__lte=Now())
    return rows.exclude(status=Session.Status.ARCHIVED)


def _archive(session: Session) -> None:
    with transaction.atomic():
        sessions.lock(session)
        # Checked again under the lock: it may have been given more time, or been archived.
        expired = _expired().filter(pk=session.pk).first()
        if expired is None:
            return
        sessions.archive(expired)
        day = f"{expired.expires_at:%d %B %Y}".lstrip("0")
        sentence = f"The session expired on {day} and was archived. Restore it to continue."
        recorder.add_message(expired, "system", sentence, CODE)
    log.info("session_expired")


def register() -> None:
    sweeper.register(expire, every=5)
