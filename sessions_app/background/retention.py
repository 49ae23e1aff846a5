"""What has been kept long enough goes: fine-grained figures, and answers to repeated requests.

The sweeper does it in small pieces, so that no lock is long and no round is late: each rule drops at
most ``CHUNK`` rows a round, and when a round finds nothing more, the rules rest for an hour. Several
sweepers at once only share the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db.models import Model, QuerySet
from django.utils import timezone

from sessions_app import workspace
from sessions_app.background import sweeper
from sessions_app.models import Bucket, IdempotencyKey, Workspace

log = structlog.get_logger(__name__)

CHUNK = 1000
EVERY = 3600.0  # seconds
FINE = (1, 5)  # minutes; the buckets of 15 and 60 stay for good

Rule = Callable[[Workspace, datetime], int | None]
_rules: list[Rule] = []


def register(rule: Rule) -> None:
    """Have ``rule(workspace, now)`` called now and then.

    It drops at most ``CHUNK`` rows in one transaction and returns how many; while that is not 0 or
    None it is called again in the next round.
    """
    _rules.append(rule)


def delete_chunk(rows: QuerySet[Model]) -> int:
    """Delete up to ``CHUNK`` of ``rows`` in one statement; returns how many went."""
    chosen = rows.order_by().values("pk")[:CHUNK]
    return int(rows.model._default_manager.filter(pk__in=chosen).delete()[0])


def run_rules(now: datetime) -> int:
    """One call of every rule; returns how many rows went."""
    shared = workspace.current()
    return sum(rule(shared, now) or 0 for rule in _rules)


class Hourly:
    """A round of the sweeper that rests for an hour when nothing is left to do."""

    def __init__(self) -> None:
        self._due = float("-inf")

    def __call__(self, _up: float) -> None:
        if time.monotonic() < self._due:
            return
        gone = run_rules(timezone.now())
        if gone:
            log.info("retention", rows=gone)
        else:
            self._due = time.monotonic() + EVERY


def old_buckets(shared: Workspace, now: datetime) -> int:
    before = now - timedelta(days=shared.keep_fine_days)
    return delete_chunk(Bucket.objects.filter(size__in=FINE, start__lt=before))


def old_answers(shared: Workspace, now: datetime) -> int:
    before = now - timedelta(days=shared.keep_answers_days)
    # The oldest come first by key, so that nothing has to look through all of them.
    oldest = IdempotencyKey.objects.order_by("pk").values("pk")[:CHUNK]
    return delete_chunk(IdempotencyKey.objects.filter(pk__in=oldest, created_at__lt=before))


def register_own() -> None:
    for rule in (old_buckets, old_answers):
        register(rule)
    sweeper.register(Hourly())
