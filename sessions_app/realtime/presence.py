"""Records which users have a session's pages open or work in it, and when they were last active."""

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

on_open: Topic[[Session, User]] = Topic("page.opened", "A user's page opened its socket.")
on_close: Topic[[Session, User]] = Topic("page.closed", "The socket of a user's page closed.")


def opened(grant: Grant) -> None:
    """Sends ``on_open`` for a user's socket."""
    _send(on_open, grant)


def closed(grant: Grant) -> None:
    """Sends ``on_close`` for a user's socket."""
    _send(on_close, grant)


def _send(topic: Topic[[Session, User]], grant: Grant) -> None:
    if grant.user_id is None:
        # The audience is anonymous.
        return
    try:
        with transaction.atomic():
            session = Session.objects.get(pk=grant.session_id)
            topic.send(session, User.objects.get(pk=grant.user_id))
    except DatabaseError as error:
        # Only logged: a failed note of presence must not close the socket.
        log.warning("connection_not_noted", error=type(error).__name__)


def record_activity(session: Session, user: User) -> None:
    """Stores that the user was active in the session just now, in the caller's transaction."""
    Participant.objects.update_or_create(
        session=session, user=user, defaults={"last_active_at": timezone.now()}
    )


def participants(session: Session) -> Sequence[Participant]:
    """Returns the users who have worked in the session, the last active one first."""
    rows = Participant.objects.filter(session=session).select_related("user")
    return list(rows.order_by("-last_active_at"))


def register() -> None:
    commands.on_done.subscribe(record_activity)
    on_open.subscribe(record_activity)
    on_close.subscribe(record_activity)
