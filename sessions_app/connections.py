"""Pages that are open: told when a person's socket opens and when it closes."""

from __future__ import annotations

import structlog
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction

from sessions_app.bus import Topic
from sessions_app.grants import Grant
from sessions_app.models import Session

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
            topic.tell(session, User.objects.get(pk=grant.user_id))
    except DatabaseError as error:
        log.warning("connection_not_noted", error=type(error).__name__)
