"""Isolates units of background work, so that one that fails stops no other.

A unit is a row that a rule of the sweeper handles, a rule as a whole, or an event to be shown. One
that fails is tried again after a pause. After ``TRIES`` failures it is set aside: its session's
owner gets a message, the health page counts it, and it is tried once a day, or when the operator chooses
“Try again” in the admin. Failures are rows, so a restart does not forget them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from sessions_app.events import recorder
from sessions_app.models import FailedWork, Session, Step

log = structlog.get_logger(__name__)

TRIES = 3
PAUSES = (timedelta(seconds=5), timedelta(seconds=30))  # after the first and the second failure
ASIDE = timedelta(days=1)
CODE = "set_aside"
# How long a worker that has lost the database waits for it: less than the lease of a step.
DATABASE_SECONDS = 15.0
CONNECTION_LOST = ("08", "57P")  # how the codes of such errors begin: connection, shutdown
# A statement timeout, a lock that is not available, a serialization failure and a deadlock.
CONTENTION = ("57014", "55P03", "40001", "40P01")
DATABASE_AWAY = "The database was not reachable for a moment."
DATABASE_BUSY = "The database was too busy to answer in time."


@contextmanager
def isolated(
    rule: str, unit: object, session_id: UUID | None = None, aside: timedelta = ASIDE
) -> Iterator[None]:
    """Notes an exception of the block instead of raising it, unless the database is not reachable.

    ``rule`` says what is done, for people; ``unit`` is the key of what it is done with.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        # SQLite reports malformed JSON and PostgreSQL an outage by the same class.
        if "locked" in str(error) or not database_answers():
            raise
        note(rule, unit, session_id, error, aside=aside)
    except Exception as error:  # noqa: BLE001
        note(rule, unit, session_id, error, aside=aside)


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def database_came_back(error: Exception) -> bool:
    """Whether the error is that of a lost connection, and the database answers again.

    Until then the step remains leased: without this it would wait for the end of its lease.
    """
    # Without a code of the server it is an error of the connection itself. SQLite's errors have no
    # such attribute, as there is no server to lose.
    state = getattr(error.__cause__, "sqlstate", "")
    lost = state is None or state.startswith(CONNECTION_LOST)
    if not lost or not isinstance(error, (OperationalError, InterfaceError)):
        return False
    until = time.monotonic() + DATABASE_SECONDS
    while time.monotonic() < until:
        connection.close()
        if database_answers():
            return True
        time.sleep(0.2)
    return False


def passing_fault(error: Exception) -> str:
    """Returns a sentence for an error of the database that may not occur again; "" for any other.

    After a lost connection it first waits until the database answers.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return ""
    # SQLite has no codes here: "database is locked", "database table is locked".
    if getattr(error.__cause__, "sqlstate", "") in CONTENTION or "locked" in str(error):
        log.warning("database_busy", exc_info=error)
        return DATABASE_BUSY
    return DATABASE_AWAY if database_came_back(error) else ""


def is_excused(step: Step) -> bool:
    """Whether the step's last attempt ended because of the database, and not for the third time.

    A statement that always takes too long must end at some time, as its work may be the reason.
    """
    busy = step.last_error == DATABASE_BUSY and step.attempts <= TRIES
    return busy or step.last_error == DATABASE_AWAY


def note(
    rule: str,
    unit: object,
    session_id: UUID | None,
    error: Exception,
    *,
    at_once: bool = False,
    aside: timedelta = ASIDE,
) -> None:
    """Counts a failure of a unit, and sets it aside after ``TRIES``, or at once."""
    log.error("work_failed", rule=rule, unit=str(unit), exc_info=error)
    key = str(unit)[:200]
    try:
        with transaction.atomic():
            # Locked, so that failures in two processes at once count as two.
            row, _ = FailedWork.objects.select_for_update().get_or_create(
                rule=rule[:60], unit=key, defaults={"about_session": session_id}
            )
            row.tries = max(row.tries + 1, TRIES if at_once else 0)
            pause = aside if row.tries >= TRIES else PAUSES[row.tries - 1]
            row.next_try_at = timezone.now() + pause
            # Only the type: the message of an exception may hold a path or a secret.
            row.error = type(error).__name__[:60]
            row.save()
        if row.tries == TRIES and session_id is not None:
            with transaction.atomic():
                about = Session.objects.get(pk=session_id)
                recorder.add_message(about, "system", row.sentence, CODE)
    # The unit's session may be what is broken; the log has the failure in any case.
    except Exception as second:
        log.exception("failure_not_noted", rule=rule, unit=key, error=type(second).__name__)


def known(rule: str) -> dict[str, datetime | None]:
    """Returns when each failed unit of a rule is to be tried again."""
    rows = FailedWork.objects.filter(rule=rule[:60])
    return dict(rows.values_list("unit", "next_try_at"))


def succeeded(rule: str, unit: object) -> None:
    FailedWork.objects.filter(rule=rule[:60], unit=str(unit)[:200]).delete()


def set_aside(session_id: UUID | None = None) -> QuerySet[FailedWork]:
    """Returns the units that are set aside, of all sessions or of one."""
    rows = FailedWork.objects.filter(tries__gte=TRIES)
    return rows if session_id is None else rows.filter(about_session=session_id)


def units_aside(rule: str) -> list[str]:
    """Returns the keys of the units of a rule that are set aside."""
    return list(set_aside().filter(rule=rule[:60]).values_list("unit", flat=True))


def try_again(rows: QuerySet[FailedWork]) -> int:
    """Makes units due for their next try; returns how many."""
    # Below the limit: the rules that leave out what is set aside take it up again too.
    return rows.update(next_try_at=timezone.now(), tries=0)
