"""People who work in a session, and when last: what they command, and open or close a page of it."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import commands, connections
from sessions_app.models import Participant, Session


def seen(session: Session, user: User) -> None:
    """Note that this person did something in the session; in the caller's transaction."""
    Participant.objects.update_or_create(
        session=session, user=user, defaults={"last_active_at": timezone.now()}
    )


def people(session: Session) -> Sequence[Participant]:
    """Who has worked here, the latest first."""
    found = Participant.objects.filter(session=session).select_related("user")
    return list(found.order_by("-last_active_at"))


def register() -> None:
    for topic in (commands.on_done, connections.on_open, connections.on_close):
        topic(seen)
