"""Deletes or archives rows that are older than the workspace's retention settings; ends sessions.

A session is archived at its expiry time, once it is off the air; nothing of it is deleted.

Other modules register their rules here. The sweeper runs them in small pieces, so that no lock is
long and no round is late: each rule deletes at most ``CHUNK`` rows a round, and when a round finds
nothing more, the rules pause for an hour. Several sweepers at once share the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app import preferences, sessions
from sessions_app.background import isolation, steps, sweeper
from sessions_app.errors import Conflict, Invalid
from sessions_app.events import recorder
from sessions_app.models import Bucket, IdempotencyKey, Session, Step, Workspace

log = structlog.get_logger(__name__)

CHUNK = 1000
EVERY = 3600.0  # seconds
FINE = (1, 5)  # minutes; the buckets of 15 and 60 minutes are never deleted

Rule = Callable[[Workspace, datetime], int | None]
_rules: list[Rule] = []


def register(rule: Rule) -> None:
    """Calls ``rule(workspace, now)`` in rounds of the sweeper.

    A rule deletes at most ``CHUNK`` rows in one transaction and returns how many. It is called again
    in the next round while any rule returns more than 0, and otherwise after an hour.
    """
    _rules.append(rule)


def delete_chunk(rows: QuerySet[Model]) -> int:
    """Deletes up to ``CHUNK`` of ``rows`` in one statement; returns how many."""
    # A subquery, because DELETE has no LIMIT on PostgreSQL.
    chosen = rows.order_by().values("pk")[:CHUNK]
    return int(rows.model._default_manager.filter(pk__in=chosen).delete()[0])


def run_rules(now: datetime) -> int:
    """Calls every rule once; returns how many rows they deleted.

    One that fails stops no other, and is called again after an hour.
    """
    # Read in each round, so that a change of the settings applies without a restart.
    settings, deleted = preferences.workspace(), 0
    for rule in _rules:
        name = f"{rule.__module__}.{rule.__qualname__}"
        with isolation.isolated("Rule of retention", name):
            deleted += rule(settings, now) or 0
            isolation.succeeded("Rule of retention", name)
    return deleted


class Hourly:
    """Runs the rules in every round of the sweeper, and pauses for an hour when none is left to do."""

    def __init__(self) -> None:
        self._due = float("-inf")

    def __call__(self, _up: float) -> float | None:
        # The monotonic clock, as a change of the system's time must not stop or repeat the rounds.
        if time.monotonic() < self._due:
            return None
        rows = run_rules(timezone.now())
        if rows:
            log.info("retention", rows=rows)
            return sweeper.SOON
        self._due = time.monotonic() + EVERY
        return None


def delete_old_buckets(settings: Workspace, now: datetime) -> int:
    """Deletes the 1- and 5-minute buckets that are too old."""
    before = now - timedelta(days=settings.keep_fine_days)
    return delete_chunk(Bucket.objects.filter(size__in=FINE, start__lt=before))


def delete_old_answers(settings: Workspace, now: datetime) -> int:
    """Deletes the stored answers of idempotent requests that are too old."""
    before = now - timedelta(days=settings.keep_answers_days)
    # There is no index on created_at: keys ascend with it, so only the first rows can be too old.
    oldest = IdempotencyKey.objects.order_by("pk").values("pk")[:CHUNK]
    return delete_chunk(IdempotencyKey.objects.filter(pk__in=oldest, created_at__lt=before))


def register_own() -> None:
    """Registers the rules of this module, the round that runs all rules, and the expiry of sessions."""
    register(delete_old_buckets)
    register(delete_old_answers)
    sweeper.register(Hourly())
    sweeper.register(expire)


EXPIRED = "session_expired"
MOST_EXPIRED = 20  # sessions a round


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
    sweeper.for_each(
        "Archiving of an expired session", idle.order_by("expires_at"), _archive, MOST_EXPIRED
    )


def _expired() -> QuerySet[Session]:
    """Returns sessions whose expiry time has passed by the database's clock."""
    rows = Session.objects.filter(expires_at__lte=Now())
    return rows.exclude(status=Session.Status.ARCHIVED)


def _archive(session: Session) -> None:
    try:
        with transaction.atomic():
            sessions.lock(session)
            # Checked again under the lock: it may have been given more time, or been archived.
            expired = _expired().filter(pk=session.pk).first()
            if expired is None:
                return
            sessions.archive(expired)
            day = f"{expired.expires_at:%d %B %Y}".lstrip("0")
            sentence = f"The session expired on {day} and was archived. Restore it to continue."
            recorder.add_message(expired, "system", sentence, EXPIRED)
    except Conflict as error:
        # It went on air since; a later round tries again.
        log.info("not_expired", reason=error.sentence)
    else:
        log.info("session_expired")
