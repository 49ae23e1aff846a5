"""Pages that are open: told when a person's socket opens and when it closes.

People who work in a session, and when last: what they command, and open or close a page of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone

from sessions_app import commands
from sessions_app.hooks import Topic
from sessions_app.models import Participant, Session
from sessions_app.realtime.grants import Grant

log = structlog.get_logger(__name__)


on_open: Topic[[Session, User]] = Topic("page.opened", "A person's page opened its socket.")

on_close: Topic[[Session, User]] = Topic("page.closed", "The socket of a person's page closed.")


def opened(grant: Grant) -> None:
    _tell(on_open, grant)


def closed(grant: Grant) -> None:
    _tell(on_close, grant)


def _tell(topic: Topic[[Session, User]], grant: Grant) -> None:
    """The audience is nobody whom we know. What is noted here is not worth a socket."""
    if grant.user_id is None:
        return
    try:
        with transaction.atomic():
            session = Session.objects.get(pk=grant.session_id)
            topic.send(session, User.objects.get(pk=grant.user_id))
    except DatabaseError as error:
        log.warning("connection_not_noted", error=type(error).__name__)


def record_activity(session: Session, user: User) -> None:
    """Note that this person did something in the session; in the caller's transaction."""
    Participant.objects.update_or_create(
        session=session, user=user, defaults={"last_active_at": timezone.now()}
    )


def participants(session: Session) -> Sequence[Participant]:
    """Who has worked here, the latest first."""
    found = Participant.objects.filter(session=session).select_related("user")
    return list(found.order_by("-last_active_at"))


def register() -> None:
    for topic in (commands.on_done, on_open, on_close):
        topic.subscribe(record_activity)
