"""Sessions that expire: from that moment on, once off the air, they are filed away by themselves.

Nothing of them is deleted, and each can be restored.
"""

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


def ahead(moment: datetime | None) -> datetime | None:
    """A moment at which a session may expire, or None for never; Invalid when it has passed."""
    if moment is not None and moment <= steps.now():
        raise Invalid(
            "This moment is over already. Choose one that is still to come, or none for never."
        )
    return moment


def expire(_up: float) -> None:
    """A round of the sweeper: file away what is due and at rest."""
    leased = Step.objects.filter(session=OuterRef("pk"), state=Step.State.LEASED)
    resting = sessions.exclude_protected(_due(), "pk").exclude(Exists(leased))
    for session in resting.order_by("expires_at")[:CHUNK]:
        with sweeper.session_scope(session):
            try:
                _file_away(session)
            except Conflict as error:
                log.info("not_expired", reason=error.sentence)


def _due() -> QuerySet[Session]:
    """By the database's clock, which is the only one that counts."""
    rows = Session.objects.filter(expires_at__lte=Now())
    return rows.exclude(status=Session.Status.ARCHIVED)


def _file_away(session: Session) -> None:
    with transaction.atomic():
        sessions.lock(session)
        # Held, and looked at again: it may have been given more time, or been filed away.
        fresh = _due().filter(pk=session.pk).first()
        if fresh is None:
            return
        sessions.archive(fresh)
        day = f"{fresh.expires_at:%d %B %Y}".lstrip("0")
        sentence = f"The session expired on {day} and was archived. Restore it to go on with it."
        recorder.add_message(fresh, "system", sentence, CODE)
    log.info("session_expired")


def register() -> None:
    sweeper.register(expire)
