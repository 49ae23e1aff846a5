"""The sweeper: calls the registered functions, and sends steps that are due to workers.

A round repairs what a crash or a lost message left behind. The next one follows when a step is due, a
lease expires or a function wants to be called, but not within a second. Other processes announce on
Redis what is due earlier; a lost message costs five seconds. Several sweepers at once are safe: they
use the database's clock alone.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import Error as DatabaseUnreachable
from django.db import close_old_connections
from django.db.models import F, Min, Model, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app import context
from sessions_app.background import isolation, sending, steps
from sessions_app.background.sending import DUE, LEASE_EXPIRED, LONGEST_PAUSE, NOT_JUST_POKED
from sessions_app.events import recorder
from sessions_app.hooks import Topic
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)

on_work: Topic[[]] = Topic("sweeper.at-work", "The sweeper begins a round, a rule or a row.")

Row = TypeVar("Row", bound=Model)
Round = Callable[[float], float | None]
_rounds: list[Round] = []
# When each function is due again, in seconds since this sweeper started.
_due: dict[Round, float] = {}
# What a function returns that has more to do.
SOON = 1.0
MOST_SENT = 200  # steps in one round
SENDING = "Sending of a step to a worker"


def register(function: Round) -> None:
    """Calls ``function(seconds since this sweeper started)`` every few seconds.

    It may return in how many seconds it wants to be called again.
    """
    _rounds.append(function)


def session_scope(session: Session, **fields: Any) -> AbstractContextManager[None]:
    """Opens the logging scope for what a round does in one session."""
    return context.scope(
        **context.session_fields(session),
        environment="worker",
        operation="sweep",
        process="sweeper",
        **fields,
    )


def for_each(
    rule: str,
    rows: QuerySet[Row],
    handle: Callable[[Row], object],
    most: int | None = None,
    **fields: Callable[[Row], object],
) -> None:
    """Handles each row in isolation: one that fails is noted, and set aside after three tries.

    ``rule`` says what is done, for people. A row of ``rows`` is a session or has one. ``fields``
    are added to its logging scope.
    """
    failed, now = isolation.known(rule), timezone.now()
    paused = [key for key, next_try in failed.items() if next_try and next_try > now]
    owner = "pk" if rows.model is Session else "session_id"
    # The keys first: a row that cannot even be read must not hide those after it.
    for key, session_id in list(rows.exclude(pk__in=paused).values_list("pk", owner)[:most]):
        on_work.send()
        with isolation.isolated(rule, key, session_id):
            # Read by its conditions again: the row may have been handled elsewhere meanwhile.
            row = rows.filter(pk=key).first()
            if row is not None:
                session: Session = row if isinstance(row, Session) else row.session  # type: ignore[attr-defined]
                scope = {name: read(row) for name, read in fields.items()}
                with session_scope(session, **scope):
                    handle(row)
            if str(key) in failed:
                isolation.succeeded(rule, key)


RULES = "Rule of the sweeper"
# A rule as a whole is never set aside for long: all sessions need it.
RULE_PAUSE = timedelta(minutes=1)


def sweep(up: float = float("inf")) -> int:
    """Runs one round; returns how many steps were sent to workers.

    A rule that raises stops no other. Raises OperationalError when the database is not reachable.
    """
    failed, now = isolation.known(RULES), timezone.now()
    for function in _rounds:
        on_work.send()
        if up < _due.get(function, 0.0):
            continue
        if up < float("inf"):
            _due[function] = up + LONGEST_PAUSE
        own = getattr(function, "__qualname__", type(function).__qualname__)
        name = f"{getattr(function, '__module__', '')}.{own}"
        if (next_try := failed.get(name)) and next_try > now:
            continue
        with isolation.isolated(RULES, name, aside=RULE_PAUSE):
            if wish := function(up):
                _due[function] = up + wish
            if name in failed:
                isolation.succeeded(RULES, name)
    return poke_overdue()


def poke_overdue(limit: int = MOST_SENT) -> int:
    """Sends steps that are due, or whose worker died, to workers; returns how many.

    Of several sweepers that do so at once, one sends each step.
    """
    overdue = Step.objects.filter(DUE | LEASE_EXPIRED, NOT_JUST_POKED).order_by("due_at")
    overdue = overdue.exclude(pk__in=isolation.units_aside(SENDING))
    still_open = Q(state__in=Step.OPEN) & NOT_JUST_POKED
    is_backlogged = functools.cache(_is_backlogged)  # one look at each queue
    sent = 0
    # Read without a lock: the conditional update of each row decides which sweeper sends it.
    for step in list(overdue.only("kind", "session_id", "poked_at", "lease_until")[:limit]):
        on_work.send()
        with isolation.isolated(SENDING, step.pk, step.session_id):
            try:
                # A kind of another version raises here: no worker could run it.
                queue = steps.queue_of(step.kind)
                # The message of a leased step is used up, unless it was sent since the lease ended.
                waits = step.poked_at and (not step.lease_until or step.poked_at > step.lease_until)
                if not (waits and is_backlogged(queue)):
                    sent += sending.send_if(still_open, step.pk, queue)
            except sending.NotSent:
                # No other could be sent either, and each try may take seconds.
                break
    return sent


def _is_backlogged(queue: str) -> bool:
    return sending.is_backlogged(queue, [k for k in steps.kinds() if steps.queue_of(k) == queue])


def forget_pokes() -> int:
    """Makes all steps be sent again that no worker has claimed: Redis has lost its messages."""
    waiting = Step.objects.filter(state__in=Step.OPEN, poked_at__isnull=False)
    return waiting.update(poked_at=None)


def overdue() -> Iterator[tuple[object, str]]:
    """No step is overdue without having been poked, none is leased long past its lease."""
    # A minute, so that a step which the sweeper is about to send is not reported.
    late = Now() - timedelta(seconds=60)
    unsent = Q(state=Step.State.PENDING, due_at__lt=late) & (
        Q(poked_at=None) | Q(poked_at__lt=F("due_at"))
    )
    dead = Q(state=Step.State.LEASED, lease_until__lt=late)
    for step in Step.objects.filter(unsent | dead):
        yield step.session_id, f"step {step.pk} ({step.kind}) is overdue and no worker claims it"
    for step in Step.objects.filter(state__in=Step.OPEN).exclude(kind__in=steps.kinds()):
        yield step.session_id, f"step {step.pk} is of the unknown kind {step.kind}"


# Less than this is the time that a query takes, or a clock that is corrected little by little.
SET_BACK = timedelta(seconds=10)

Moment = tuple[float, datetime]


def follow_clock(last: Moment | None) -> Moment:
    """Returns the time by this process's monotonic clock and by the database's.

    When the latter was set back since ``last``, all steps are due earlier by as much: otherwise
    nothing would happen until the clock reaches the old time again.
    """
    here, there = time.monotonic(), steps.now()
    back = last[1] + timedelta(seconds=here - last[0]) - there if last else timedelta(0)
    if back > SET_BACK:
        log.warning("clock_set_back", seconds=round(back.total_seconds()))
        waiting = Step.objects.filter(state=Step.State.PENDING)
        waiting.filter(due_at__gt=there).update(due_at=F("due_at") - back, poked_at=None)
        # Leased ones too, as one whose lease has expired is sent again.
        Step.objects.filter(state__in=Step.OPEN, poked_at__gt=there).update(poked_at=None)
        leased = Step.objects.filter(state=Step.State.LEASED, lease_until__gt=there + steps.LEASE)
        leased.update(lease_until=there + steps.LEASE, poked_at=None)
    return here, there


def next_moment(at: datetime) -> datetime | None:
    """Returns when a step is next due, or to be sent again, or loses its lease; ``at`` is now."""
    pending = Step.objects.filter(state=Step.State.PENDING)
    leased = Step.objects.filter(state=Step.State.LEASED, lease_until__gt=at)
    # One query for each index; together they would read the steps that are done, too.
    due = pending.filter(due_at__gt=at).order_by("due_at").values_list("due_at", flat=True)
    lease = leased.order_by("lease_until").values_list("lease_until", flat=True)
    again = pending.filter(due_at__lte=at, poked_at__gt=at - sending.POKE_PAUSE)
    sent = again.aggregate(first=Min("poked_at"))["first"]
    moments: list[datetime | None] = [*due[:1], *lease[:1], sent and sent + sending.POKE_PAUSE]
    return min((moment for moment in moments if moment is not None), default=None)


Calls = SimpleQueue[float | None]


def run_forever(calls: Calls, every: float = SOON) -> None:
    """Sweeps until None is put into ``calls``; tries again after a database error.

    A number in ``calls`` is in how many seconds a round is needed.
    """
    started = time.monotonic()
    _due.clear()
    clock: Moment | None = None
    Thread(target=listen, args=(calls,), name="calls", daemon=True).start()
    with context.scope(environment="worker", operation="sweep", process="sweeper"):
        while True:
            on_work.send()
            began = time.monotonic()
            up, until = began - started, began + every
            try:
                # This process runs for weeks, and the database may have closed its connection.
                close_old_connections()
                # This process must outlive any error, or no session would be repaired any more.
                with isolation.isolated("Round of the sweeper", "sweep", aside=RULE_PAUSE):
                    clock = follow_clock(clock)
                    sent = sweep(up)
                    lost = note_round()
                    if sent < MOST_SENT and not lost:
                        pause = min([up + LONGEST_PAUSE, *_due.values()]) - up
                        if moment := next_moment(clock[1]):
                            pause = min(pause, (moment - clock[1]).total_seconds())
                        # Not too early, as the database compares whole milliseconds.
                        until = max(until, began + pause + 0.01)
            # The database may be restarting; the next round tries again.
            except DatabaseUnreachable as error:
                log.warning("sweep_failed", error=type(error).__name__)
            with suppress(Empty):
                while True:
                    seconds = calls.get(timeout=max(0.0, until - time.monotonic()))
                    if seconds is None:
                        return
                    until = min(until, max(began + every, time.monotonic() + seconds))


def listen(calls: Calls) -> None:
    """Puts what other processes announce into ``calls``; connects again after an error."""
    import redis

    while True:
        with suppress(redis.RedisError, OSError):
            client = redis.Redis.from_url(settings.REDIS.hub)
            with client, client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
                pubsub.subscribe(recorder.DUE_CHANNEL)
                for message in pubsub.listen():
                    # What was announced before a subscription is lost.
                    calls.put(float(message["data"]) if message["type"] == "message" else 0.0)
        time.sleep(1)


ROUND_KEY = "sweeper-round"


def note_round() -> bool:
    """Notes the end of a round for the metrics; without Redis nothing is noted.

    Where the note of the last round is gone, Redis has started empty: its messages are sent again, and
    this returns True.
    """
    from redis import RedisError

    lost = False
    try:
        if cache.get(ROUND_KEY) is None:
            lost = True
            log.info("messages_lost", steps=forget_pokes())
        cache.set(ROUND_KEY, time.time(), timeout=86_400)
    except RedisError as error:
        log.info("round_not_noted", error=type(error).__name__)
    return lost


def last_round() -> float | None:
    """Returns when a sweeper last ended a round, as a Unix time; None if that is not known."""
    from redis import RedisError

    try:
        found: float | None = cache.get(ROUND_KEY)
    except RedisError:
        return None
    return found
