"""Steps: all background work, as rows that are claimed, leased and fenced.

A step is inserted in the transaction that causes it, so it is its own outbox. A Celery message only
pokes; whoever is poked claims the row by one conditional UPDATE that raises its epoch, and every
later write of the handler carries that epoch: zero rows changed means that somebody else has taken
over, and the handler stops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from sessions_app import context
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.hooks import Topic
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=20)
HEARTBEAT_SECONDS = 2.0
MAX_ATTEMPTS = 3
BACKOFF = (2, 5, 15, 30, 60, 120, 300)


@dataclass(slots=True)
class Claim:
    """A step that this process holds.

    The heartbeat sets ``lost`` when somebody else has the step, or when ``still_needed`` says that its
    result is of no use any more.
    """

    step: Step
    epoch: int
    settled: bool = False
    lost: threading.Event = field(default_factory=threading.Event)
    still_needed: Callable[[], bool] = lambda: True

    @property
    def session(self) -> Session:
        return self.step.session

    @property
    def subject(self) -> str:
        return self.step.subject

    def _mine(self) -> QuerySet[Step]:
        return Step.objects.filter(pk=self.step.pk, epoch=self.epoch, state=Step.State.LEASED)

    def check(self) -> None:
        """Raise StaleClaim when the step has been taken over, or is not wanted any more."""
        if self.lost.is_set():
            raise StaleClaim("The step was taken over, or is not wanted any more.")

    def complete(self) -> None:
        """End the step; call it inside the transaction that holds the step's effect."""
        self._settle(state=Step.State.DONE, last_error="")

    def reschedule(self, due_at: datetime, *, error: str = "") -> None:
        """Arm the same step once more; inside the transaction that holds its effect."""
        attempts = F("attempts") if error else 0
        self._settle(
            state=Step.State.PENDING, due_at=due_at, attempts=attempts, last_error=error[:500]
        )
        poke_after_commit(self.step)

    def fail(self, error: str) -> None:
        self._settle(state=Step.State.FAILED, last_error=error[:500])

    def _settle(self, **changes: object) -> None:
        if not self._mine().update(lease_until=None, poked_at=None, **changes):
            raise StaleClaim("The step was taken over.")
        self.settled = True


Handler = Callable[[Claim], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step. ``gave_up`` tells the app that knows it that all attempts failed.

    What ``outlives_run`` belongs to the session, not to its run: a run that ends neither cancels
    it nor waits for it.
    """

    name: str
    queue: str
    handler: Handler
    gave_up: Callable[[Claim, SmnbError | None], None] | None = None
    outlives_run: bool = False


_kinds: dict[str, Kind] = {}
on_claimed = Topic[[Claim]]("step.claimed", "A worker claimed a step; see what was left of it.")


def register(kind: Kind) -> None:
    _kinds[kind.name] = kind


def queue_of(kind: str) -> str:
    return _kinds[kind].queue


def now() -> datetime:
    """The database's clock: due times and leases are compared with nothing else."""
    if connection.vendor == "sqlite":
        # It compares texts, "….271" being before "….271000": a millisecond less is due at once.
        query = "SELECT STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f+00:00', 'NOW', '-0.001 seconds')"
    else:
        query = "SELECT statement_timestamp()"
    with connection.cursor() as cursor:
        cursor.execute(query, [])
        return datetime.fromisoformat(str(cursor.fetchone()[0]))


def enqueue(session: Session, kind: str, subject: object, due_at: datetime | None = None) -> Step:
    """Insert a step, or return the open one of the same kind and subject."""
    if kind not in _kinds:
        raise ValueError(f"unknown kind of step: {kind}")
    # By session and state, because there is an index: most steps were done long ago.
    step, created = Step.objects.get_or_create(
        session=session,
        state__in=Step.OPEN,
        kind=kind,
        subject=str(subject),
        defaults={"due_at": due_at or now(), "origin": context.origin()},
    )
    if created:
        poke_after_commit(step)
    return step


def run_now(session: Session, kind: str, subject: object) -> None:
    """Make the pending step due now."""
    pending = Step.objects.filter(
        session=session, kind=kind, subject=str(subject), state=Step.State.PENDING
    )
    if pending.filter(due_at__gt=Now()).update(due_at=Now(), poked_at=None):
        poke_after_commit(pending.get())


def outliving_kinds() -> list[str]:
    """The kinds that belong to a session and not to its run."""
    return [each.name for each in _kinds.values() if each.outlives_run]


def _of_runs() -> QuerySet[Step]:
    return Step.objects.exclude(kind__in=outliving_kinds())


def cancel_pending(session: Session) -> int:
    """Cancel all of the run that waits in the session; what is leased ends by its own fence."""
    waiting = _of_runs().filter(session=session, state=Step.State.PENDING)
    return waiting.update(state=Step.State.CANCELLED)


def poke_after_commit(step: Step) -> None:
    """Send the step to its worker when the transaction is committed and it is due."""
    step_id, kind = step.pk, step.kind
    transaction.on_commit(lambda: poke(step_id, kind), robust=True)


Poker = Callable[[int, str], None]
_poker: list[Poker] = []


def set_poker(function: Poker) -> None:
    """Name the one way to a worker: ``function(step id, queue)``."""
    _poker[:] = [function]


def _send(step_id: int, kind: str) -> None:
    for poker in _poker:
        poker(step_id, queue_of(kind))


def poke(step_id: int, kind: str) -> None:
    """Poke the worker if the step is due and nobody poked it in the last 10 s."""
    due = Step.objects.filter(pk=step_id, state=Step.State.PENDING, due_at__lte=Now())
    fresh = Q(poked_at__isnull=True) | Q(poked_at__lt=Now() - timedelta(seconds=10))
    if due.filter(fresh).update(poked_at=Now()):
        _send(step_id, kind)


def claim(step_id: int) -> Claim | None:
    """Take the step if it is due or its lease has run out; None when it is not ours to take."""
    takeable = Q(state=Step.State.PENDING, due_at__lte=Now()) | Q(
        state=Step.State.LEASED, lease_until__lt=Now()
    )
    with transaction.atomic():
        taken = Step.objects.filter(takeable, pk=step_id).update(
            state=Step.State.LEASED,
            epoch=F("epoch") + 1,
            attempts=F("attempts") + 1,
            lease_until=Now() + LEASE,
        )
        if not taken:
            return None
        step = Step.objects.select_related("session").get(pk=step_id)
        held = Claim(step, step.epoch)
        on_claimed.send(held)
        return held


@contextmanager
def heartbeat(held: Claim) -> Iterator[None]:
    """Keep the lease while the handler works; mark the claim lost when the row says so."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            try:
                close_old_connections()
                kept = held._mine().update(lease_until=Now() + LEASE) and held.still_needed()
            except DatabaseError as error:
                # The next beat tells whether the step is still ours.
                log.warning("heartbeat_failed", error=type(error).__name__)
                continue
            if not kept:
                held.lost.set()
                break
        connection.close()

    thread = threading.Thread(target=beat, name=f"heartbeat-{held.step.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=HEARTBEAT_SECONDS)


def run(step_id: int) -> bool:
    """Claim and run one step; False when it was not ours. Only bugs escape, after being recorded."""
    held = claim(step_id)
    if held is None:
        return False
    kind = _kinds[held.step.kind]
    with context.step_scope(held.step, held.epoch):
        if held.step.attempts > MAX_ATTEMPTS and held.step.last_error == "":
            # Every attempt so far died without a word, e.g. the worker was killed each time.
            return _give_up(held, kind, None)
        with heartbeat(held):
            _handle(held, kind)
    return True


def _handle(held: Claim, kind: Kind) -> None:
    try:
        kind.handler(held)
        if not held.settled:
            held.complete()
    except StaleClaim:
        _let_go(held)
    except WaitUntil as error:
        _postpone(held, error.until, error)
    except (Retry, NeedsHuman) as error:
        _postpone(held, now() + backoff(held.step.attempts), error)
    except Exception:
        log.exception("step_failed")
        _after_bug(held, kind)
        raise


def _let_go(held: Claim) -> None:
    """Whatever the handler worked for is over; end the step too, if it is still ours to end."""
    try:
        held.complete()
    except StaleClaim:
        log.info("step_taken_over")


def backoff(attempts: int) -> timedelta:
    return timedelta(seconds=BACKOFF[min(attempts, len(BACKOFF)) - 1])


def _postpone(held: Claim, until: datetime, error: SmnbError) -> None:
    log.warning("step_postponed", code=error.code, sentence=error.sentence)
    try:
        with transaction.atomic():
            held.reschedule(until, error=error.sentence)
    except StaleClaim:
        log.info("step_taken_over")


def _after_bug(held: Claim, kind: Kind) -> None:
    try:
        if held.step.attempts >= MAX_ATTEMPTS:
            _give_up(held, kind, None)
        else:
            with transaction.atomic():
                held.reschedule(
                    now() + backoff(held.step.attempts), error="A fault of ours; see the log."
                )
    except StaleClaim:
        log.info("step_taken_over")


def _give_up(held: Claim, kind: Kind, error: SmnbError | None) -> bool:
    with transaction.atomic():
        held.fail(error.sentence if error else "Given up after three attempts; see the log.")
        if kind.gave_up is not None:
            kind.gave_up(held, error)
    log.error("step_given_up")
    return True


def overdue(limit: int = 200) -> list[tuple[int, str]]:
    """Steps that should run: due and not poked of late, or leased by somebody who died."""
    quiet = Q(poked_at__isnull=True) | Q(poked_at__lt=Now() - timedelta(seconds=10))
    waiting = Q(state=Step.State.PENDING, due_at__lte=Now()) & quiet
    orphaned = Q(state=Step.State.LEASED, lease_until__lt=Now()) & quiet
    rows = Step.objects.filter(waiting | orphaned).order_by("due_at")
    return list(rows.values_list("pk", "kind")[:limit])


def poke_overdue() -> int:
    """Poke what is overdue; of several sweepers each row is poked by one. Returns how many."""
    poked = 0
    for step_id, kind in overdue():
        quiet = Q(poked_at__isnull=True) | Q(poked_at__lt=Now() - timedelta(seconds=10))
        open_ = Step.objects.filter(quiet, pk=step_id, state__in=Step.OPEN)
        if open_.update(poked_at=Now()):
            _send(step_id, kind)
            poked += 1
    return poked


def leased(session_id: UUID) -> QuerySet[Step]:
    """The steps of the session's run that somebody works on."""
    return _of_runs().filter(session_id=session_id, state=Step.State.LEASED)
