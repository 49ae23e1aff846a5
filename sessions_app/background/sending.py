"""Sends steps to workers once the transaction that made them due is committed.

A row is marked as sent by the statement that makes it due, or by a conditional UPDATE. A message that
is lost afterwards is sent again by the sweeper.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app.events import recorder
from sessions_app.models import Step

# How long a worker may take to claim a step before it is sent again.
POKE_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = 5.0  # of the sweepers, in seconds, unless they are called

DUE = Q(state=Step.State.PENDING, due_at__lte=Now())
LEASE_EXPIRED = Q(state=Step.State.LEASED, lease_until__lt=Now())
# Of these a message should be in a queue: they were sent since they were due, or lost their lease.
SENT = Q(state=Step.State.PENDING, poked_at__isnull=False) | (
    LEASE_EXPIRED & Q(poked_at__gt=F("lease_until"))
)
NOT_JUST_POKED = Q(poked_at__isnull=True) | Q(poked_at__lt=Now() - POKE_PAUSE)


class NotSent(Exception):
    """A step could not be sent, as Redis is not reachable."""


Poker = Callable[[int, str], None]
MessageCount = Callable[[str], int]
# Empty or one function each, set by ``AppConfig.ready()``: tests run without Celery.
_poker: list[Poker] = []
_message_count: list[MessageCount] = []


def set_poker(function: Poker, message_count: MessageCount | None = None) -> None:
    """Sets the function that sends a step to a worker: ``function(step id, queue)``.

    ``message_count(queue)`` returns how many messages no worker has taken yet. Both raise NotSent
    when Redis is not reachable.
    """
    _poker[:] = [function]
    _message_count[:] = [message_count] if message_count else []


def can_send() -> bool:
    """Whether a row may be marked as sent: something sends it after the commit."""
    return bool(_poker)


def after_commit(step_id: int, queue: str, due_at: datetime | None) -> None:
    """Sends a step after the commit; without ``due_at`` the transaction has marked it as sent."""
    if due_at is None:
        marked_after_commit(step_id, queue)
    else:
        poke_after_commit(step_id, queue, due_at)


def marked_after_commit(step_id: int, queue: str) -> None:
    """Sends a step after the commit that the transaction made due and marked as sent."""

    def send() -> None:
        # Without Redis the sweeper sends it later.
        with suppress(NotSent):
            _send(step_id, queue)

    # Before the commit the worker could not see the row, and after a rollback there is none.
    transaction.on_commit(send, robust=True)


def poke_after_commit(step_id: int, queue: str, at: datetime) -> None:
    """Sends a step after the commit if it is due; otherwise the sweeper does later."""
    transaction.on_commit(lambda: poke(step_id, queue, at), robust=True)


def poke(step_id: int, queue: str, at: datetime | None = None) -> None:
    """Sends the step to a worker if it is due and was not sent in the last 10 s."""
    # This machine's clock suffices to see that it is not: the sweeper asks the database.
    if at is not None and at > timezone.now():
        call_sweeper(at)
        return
    with suppress(NotSent):
        if not send_if(DUE & NOT_JUST_POKED, step_id, queue) and at is not None:
            call_sweeper(at)


def call_sweeper(at: datetime) -> None:
    """Makes the sweepers do a round at this time, if they might pause for longer."""
    # This machine's clock suffices: a round that is early reads when the next one has to be.
    if (seconds := (at - timezone.now()).total_seconds()) < LONGEST_PAUSE:
        recorder.send(recorder.DUE_CHANNEL, max(0.0, seconds))


def send_if(condition: Q, step_id: int, queue: str) -> bool:
    """Sends the step to a worker, if no other process has changed the row and done so."""
    # Marked before it is sent, so that of two sweepers one changes the row and sends.
    if not Step.objects.filter(condition, pk=step_id).update(poked_at=Now()):
        return False
    _send(step_id, queue)
    return True


def is_backlogged(queue: str, kinds: list[str]) -> bool:
    """Whether the queue has as many messages as steps of these kinds wait: then none seems lost.

    Without this, steps that wait for longer than ``POKE_PAUSE`` would be sent again and again, and
    the queue would grow as long as they wait.
    """
    sent = Step.objects.filter(SENT, kind__in=kinds)
    counts = [message_count(queue) for message_count in _message_count]
    return any(count and count >= sent.count() for count in counts)


def _send(step_id: int, queue: str) -> None:
    for poker in _poker:
        try:
            poker(step_id, queue)
        except NotSent:
            # Not marked any more, so that the next round tries at once and not after POKE_PAUSE.
            Step.objects.filter(pk=step_id).update(poked_at=None)
            raise
