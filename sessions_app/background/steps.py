"""Background work as rows: steps that are claimed, leased and fenced by an epoch.

A step is inserted in the transaction that causes it, so the table is its own outbox. A Celery message
only says which step is due. The worker claims the row by one conditional UPDATE that raises its
epoch, and every later write of the handler checks that epoch: if no row changes, another worker has
claimed the step since, and the handler stops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app import context, statements
from sessions_app.background import isolation, sending
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.hooks import Topic
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)

# Ten heartbeats fit into a lease, so a few that fail do not lose the step.
LEASE = timedelta(seconds=20)
HEARTBEAT_SECONDS = 2.0
MAX_ATTEMPTS = 3
AT_ONCE = timedelta()  # until a step is due again
CLEANING = "Cleaning up after an earlier attempt"
BACKOFF = (2, 5, 15, 30, 60, 120, 300)  # seconds before the next attempt


@dataclass(slots=True)
class Claim:
    """A step that this process has leased.

    The heartbeat sets ``lost`` when another worker has claimed the step, or when ``still_needed``
    returns False.
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

    def check(self) -> None:
        """Raises StaleClaim when another worker has the step, or its result is no longer needed."""
        if self.lost.is_set():
            raise StaleClaim("Another worker has claimed the step, or it is no longer needed.")

    def extend_lease(self) -> bool:
        """Extends the lease; False when another worker has claimed the step."""
        return bool(self._row().update(lease_until=Now() + LEASE))

    def complete(self) -> None:
        """Marks the step as done; call it inside the transaction that holds the step's effect."""
        self._settle(state=Step.State.DONE, last_error="", poked_at=None)

    def reschedule(self, due_at: datetime | timedelta, *, error: str = "") -> None:
        """Makes the same step due again, at a time or after a pause.

        Call it inside the transaction that holds the step's effect.
        """
        due: object = due_at
        at_once = isinstance(due_at, timedelta) and not due_at
        if isinstance(due_at, timedelta):
            # Added by the statement itself, so that a clock that is set back between a look at it
            # and this statement does not delay the step.
            due = Now() + due_at if due_at else Now()
            due_at = timezone.now() + due_at
        self._settle(
            state=Step.State.PENDING,
            due_at=due,
            # A step that waits on purpose, e.g. for its next poll, starts counting from 0 again.
            attempts=F("attempts") if error else 0,
            last_error=error[:500],
            poked_at=Now() if at_once and sending.can_send() else None,
        )
        queue = queue_of(self.step.kind)
        sending.after_commit(self.step.pk, queue, None if at_once else due_at)

    def fail(self, error: str) -> None:
        """Marks the step as failed for good."""
        self._settle(state=Step.State.FAILED, last_error=error[:500], poked_at=None)

    def _settle(self, **changes: object) -> None:
        # The epoch is the fencing token: a row of another epoch belongs to another worker.
        if not self._row().update(lease_until=None, **changes):
            raise StaleClaim("Another worker has claimed the step.")
        self.settled = True

    def _row(self) -> QuerySet[Step]:
        return Step.objects.filter(pk=self.step.pk, epoch=self.epoch, state=Step.State.LEASED)


Handler = Callable[[Claim], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of step: its queue, its handler, and a function to call when all attempts failed.

    A step that ``outlives_run`` belongs to the session, not to its run: a run that ends neither
    cancels it nor waits for it. One that is ``usually_open`` is enqueued again and again meanwhile.
    """

    name: str
    queue: str
    handler: Handler
    gave_up: Handler | None = None
    outlives_run: bool = False
    usually_open: bool = False


_kinds: dict[str, Kind] = {}
on_claimed = Topic[[Claim]](
    "step.claimed", "A worker claimed a step; an earlier attempt may have left something."
)


def register(kind: Kind) -> None:
    """Registers a kind of step; called by ``register()`` of the module that defines it."""
    _kinds[kind.name] = kind


def kinds() -> list[str]:
    """Returns the kinds of steps that are registered."""
    return sorted(_kinds)


def queue_of(kind: str) -> str:
    """Returns the Celery queue of a kind of step."""
    return _kinds[kind].queue


def queues() -> set[str]:
    """Returns the queues of all kinds of steps; each needs a worker."""
    return {kind.queue for kind in _kinds.values()}


def now() -> datetime:
    """Returns the time of the database's clock, with which all due times and leases are compared."""
    if connection.vendor == "sqlite":
        # Its clock is that of this process. It has milliseconds and compares texts, and "….271"
        # sorts before "….271000": a step that is due at once has to be a millisecond older.
        at = timezone.now()
        return at - timedelta(microseconds=1000 + at.microsecond % 1000)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()", [])
        return datetime.fromisoformat(str(cursor.fetchone()[0]))


def enqueue(session: Session, kind: str, subject: object, due_at: datetime | None = None) -> Step:
    """Inserts a step, or returns the open one of the same kind and subject in this session."""
    if kind not in _kinds:
        raise ValueError(f"unknown kind of step: {kind}")
    known = Step.objects.filter(kind=kind, subject=str(subject), state__in=Step.OPEN)
    # A look costs a third of an insert that is refused, but most kinds are not open yet.
    found = known.first() if _kinds[kind].usually_open else None
    while found is None:
        step = Step(session=session, kind=kind, subject=str(subject), due_at=due_at or now())
        step.poked_at = step.due_at if due_at is None and sending.can_send() else None
        step.origin = context.origin()
        if statements.insert_if_new(step):
            sending.after_commit(step.pk, queue_of(kind), due_at)
            return step
        # The open one may end before it is read: then there is room for this one.
        found = known.first()
    # A subject belongs to one session, so two of them must never work on it at once.
    if found.session_id != session.pk:
        raise ValueError(f"{kind}({subject}) is an open step of another session")
    return found


def run_now(session: Session, kind: str, subject: object) -> None:
    """Makes the pending step of this kind and subject due now."""
    pending = Step.objects.filter(
        session=session, kind=kind, subject=str(subject), state=Step.State.PENDING
    )
    # A step that is due already has been sent to a worker.
    changed = statements.update_returning(
        pending.filter(due_at__gt=Now()),
        due_at=Now(),
        poked_at=Now() if sending.can_send() else None,
    )
    for step in changed:
        sending.marked_after_commit(step.pk, queue_of(kind))


def outliving_kinds() -> list[str]:
    """Returns the kinds of steps that belong to a session and not to its run."""
    return [kind.name for kind in _kinds.values() if kind.outlives_run]


def cancel_pending(session: Session) -> int:
    """Cancels the pending steps of the session's run; leased ones end when they check their claim."""
    pending = Step.objects.filter(session=session, state=Step.State.PENDING)
    # A worker that claims such a row meanwhile comes first, or finds it cancelled.
    return pending.exclude(kind__in=outliving_kinds()).update(state=Step.State.CANCELLED)


def leased(session_id: UUID) -> QuerySet[Step]:
    """Returns the steps of the session's run that workers have leased."""
    rows = Step.objects.filter(session_id=session_id, state=Step.State.LEASED)
    return rows.exclude(kind__in=outliving_kinds())


def claim(step_id: int, task_id: str = "", *, redelivered: bool = False) -> Claim | None:
    """Leases the step if it is due or its lease has expired; None when it cannot be claimed.

    A task that the broker delivers again, as the process that ran it has died, takes its own lease
    over at once.
    """
    free = sending.DUE | sending.LEASE_EXPIRED
    if redelivered and task_id:
        free |= Q(state=Step.State.LEASED, task_id=task_id)
    with transaction.atomic():
        # One statement, so that of two workers with the same message only one changes the row. The
        # other one finds its lease and its new epoch.
        changed = Step.objects.filter(free, pk=step_id).update(
            state=Step.State.LEASED,
            task_id=task_id,
            epoch=F("epoch") + 1,
            attempts=F("attempts") + 1,
            lease_until=Now() + LEASE,
        )
        if not changed:
            return None
        step = Step.objects.select_related("session").get(pk=step_id)
        claimed = Claim(step, step.epoch)
        # In the same transaction, so that a subscriber cleans up after an earlier attempt exactly once.
        # After one that ended as it should there is nothing to clean up.
        if step.attempts < 2 and not redelivered:
            return claimed
        with isolation.isolated(CLEANING, step_id, step.session_id), transaction.atomic():
            on_claimed.send(claimed)
        return claimed


@contextmanager
def heartbeat(claim: Claim) -> Iterator[None]:
    """Extends the lease from a thread while the handler works; sets ``lost`` when it cannot."""
    stop = threading.Event()

    def beat() -> None:
        # Most steps end before the first beat, and so without a connection of this thread.
        if stop.wait(HEARTBEAT_SECONDS):
            return
        while True:
            try:
                # The database may have closed the connection of this thread meanwhile.
                close_old_connections()
                lost = not (claim.extend_lease() and claim.still_needed())
            except DatabaseError as error:
                # The next beat finds out whether the lease has been lost meanwhile.
                log.warning("heartbeat_failed", error=type(error).__name__)
            else:
                if lost:
                    claim.lost.set()
                    break
            if stop.wait(HEARTBEAT_SECONDS):
                break
        # Django closes the connections of requests only, not those of other threads.
        connection.close()

    thread = threading.Thread(target=beat, name=f"heartbeat-{claim.step.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        # With a limit: a beat that waits for the database must not hold up the worker.
        thread.join(timeout=HEARTBEAT_SECONDS)


def run(step_id: int, task_id: str = "", *, redelivered: bool = False) -> bool:
    """Claims and runs one step; False when it could not be claimed.

    Only an unexpected exception of the handler is raised again, after it was logged and stored.
    """
    claim_it = partial(claim, step_id, task_id, redelivered=redelivered)
    try:
        try:
            claimed = claim_it()
        except DatabaseError as error:
            # While it restarts, messages would be lost one after another, and each step wait for
            # the next.
            if not isolation.database_came_back(error):
                raise
            claimed = claim_it()
        if claimed is None:
            return False
        step = claimed.step
        if step.kind not in _kinds:
            claimed.fail("This version does not know this kind of work.")
            return False
        kind = _kinds[step.kind]
        with context.step_scope(step, claimed.epoch):
            if step.attempts > MAX_ATTEMPTS and step.last_error == "":
                # Every attempt so far ended without an error, e.g. its worker was killed each time.
                _give_up(claimed, kind)
            else:
                with heartbeat(claimed):
                    handle(claimed, kind)
    except SystemExit:
        # A signal ends this process: its worker stops, or has lost Redis and with it the message.
        # The step is due again at once, instead of after its lease.
        connection.close()  # the signal may have interrupted a query
        ours = Step.objects.filter(pk=step_id, task_id=task_id, state=Step.State.LEASED)
        with suppress(DatabaseError):
            ours.update(state=Step.State.PENDING, lease_until=None, poked_at=None, attempts=0)
            sending.call_sweeper(timezone.now())
        raise
    return True


def handle(claim: Claim, kind: Kind) -> None:
    """Calls the step's handler and settles the step by how it ends."""
    try:
        kind.handler(claim)
        # Most handlers complete the step in the transaction that stores their result.
        if not claim.settled:
            claim.complete()
    except StaleClaim:
        # The result is no longer needed, so the step is done, unless another worker claimed it.
        with _unless_claimed_again():
            claim.complete()
    # The time is known, e.g. from a Retry-After header, so there is no back-off.
    except WaitUntil as error:
        _postpone(claim, error.until, error)
    # Not limited to MAX_ATTEMPTS: a service comes back, or the user fixes the cause.
    except (Retry, NeedsHuman) as error:
        _postpone(claim, backoff(claim.step.attempts), error)
    except Exception as error:
        pause = backoff(claim.step.attempts)
        if sentence := isolation.passing_fault(error):
            away = sentence == isolation.DATABASE_AWAY
            return _postpone(claim, AT_ONCE if away else pause, Retry(sentence))
        # A bug: after MAX_ATTEMPTS the step is given up.
        log.exception("step_failed")
        with _unless_claimed_again(), transaction.atomic():
            if claim.step.attempts >= MAX_ATTEMPTS:
                _give_up(claim, kind)
            else:
                claim.reschedule(pause, error="An internal error; see the log.")
        raise


def backoff(attempts: int) -> timedelta:
    """Returns the wait before the next attempt."""
    return timedelta(seconds=BACKOFF[min(attempts, len(BACKOFF)) - 1])


def _postpone(claim: Claim, until: datetime | timedelta, error: SmnbError) -> None:
    log.warning("step_postponed", code=error.code, sentence=error.sentence)
    with _unless_claimed_again(), transaction.atomic():
        claim.reschedule(until, error=error.sentence)


def _give_up(claim: Claim, kind: Kind) -> None:
    with transaction.atomic():
        claim.fail(f"Given up after {MAX_ATTEMPTS} attempts; see the log.")
        if kind.gave_up is not None:
            kind.gave_up(claim)
    log.error("step_given_up")


@contextmanager
def _unless_claimed_again() -> Iterator[None]:
    """Stops quietly where another worker has claimed the step meanwhile."""
    try:
        yield
    except StaleClaim:
        log.info("step_taken_over")
