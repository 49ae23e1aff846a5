"""Audits: each checks one invariant of the stored rows and yields the violations.

The docstring of an audit is its description in the documentation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, models
from django.db.models import Count, F, Max, Min, Q
from django.db.models.functions import Now

from sessions_app import constraints
from sessions_app.events import archive as events_archive
from sessions_app.events.statistics import HIGHEST
from sessions_app.models import Archive, Message, Session, SessionEvent, SessionStats, Step


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation; ``session`` is "" when it belongs to no session."""

    audit: str
    session: str
    detail: str


Audit = Callable[[], Iterator[tuple[object, str]]]
_audits: dict[str, Audit] = {}


def register(name: str, audit: Audit) -> None:
    """Registers an audit: a function that yields (session id or "", description)."""
    _audits[name] = audit


def meaning_of(name: str) -> str:
    """Returns the docstring of an audit."""
    return str(_audits[name].__doc__)


def names() -> list[str]:
    """Returns the names of all audits."""
    return sorted(_audits)


def run(only: str = "") -> Iterator[Finding]:
    """Runs all audits, or the one named; yields their findings."""
    for name in [only] if only else names():
        for session_id, detail in _audits[name]():
            yield Finding(name, str(session_id or ""), detail)


def agreement() -> Iterator[tuple[object, str]]:
    """Every row has the session of each row it points to."""
    # One query for each rule, grouped in the database: a large table is not read into Python.
    for rule in constraints.same_session_rules():
        query = (
            f'SELECT c.session_id, COUNT(*) FROM "{rule.child}" c '  # noqa: S608
            f'WHERE c."{rule.column}" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "{rule.parent}" p '
            f'WHERE p."{rule.key}" = c."{rule.column}" AND p.session_id = c.session_id) '
            f"GROUP BY c.session_id"
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            for session_id, count in cursor.fetchall():
                yield (
                    session_id,
                    f"{count} rows of {rule.child}.{rule.column} are of another session",
                )


def orphans() -> Iterator[tuple[object, str]]:
    """No row is without a session that exists."""
    known = Session.objects.values("pk")
    for model in constraints.session_models():
        orphaned = model._base_manager.exclude(session_id__in=known).count()
        if orphaned:
            yield "", f"{orphaned} rows of {model._meta.db_table} have no session"


def schema() -> Iterator[tuple[object, str]]:
    """Triggers and constraints are in the live schema."""
    for name in constraints.missing():
        yield "", f"{name} is missing from the live schema"


def events() -> Iterator[tuple[object, str]]:
    """Every seq from 1 to the last is there once, as a row or in an archive."""
    last_seqs = dict(SessionStats.objects.values_list("session_id", "last_seq"))
    spans = defaultdict(list)
    archived = Archive.objects.filter(kind=Archive.Kind.EVENTS).order_by("first")
    for session_id, *span in archived.values_list("session_id", "first", "last", "count"):
        spans[session_id].append(span)
    rows = SessionEvent.objects.values_list("session_id").annotate(
        low=Min("seq"), high=Max("seq"), number=Count("pk")
    )
    # Events are archived from the oldest on, so the stored rows always follow the archives.
    for session_id, *span in rows.order_by():
        spans[session_id].append(span)
    for session_id, last_seq in last_seqs.items():
        reached = number = 0
        gapless = True
        for first, last, count in spans[session_id]:
            gapless &= first == reached + 1 and count == last - first + 1
            reached = last
            number += count
        if not gapless or reached != last_seq:
            yield session_id, f"events are not gapless: {number} of {last_seq}"


def in_archives() -> Iterator[tuple[object, str]]:
    """Every archive can be read, and holds what its row says."""
    for archive in Archive.objects.select_related("artifact").iterator(chunk_size=50):
        key = "seq" if archive.kind == Archive.Kind.EVENTS else "id"
        try:
            lines = events_archive.read_lines(archive)
        except events_archive.Damaged as error:
            yield archive.session_id, error.sentence
        else:
            if (lines[0][key], lines[-1][key]) != (archive.first, archive.last):
                yield archive.session_id, f"archive {archive.pk} begins or ends elsewhere"


def counters() -> Iterator[tuple[object, str]]:
    """Every session has counters, and those of this app equal the sums."""
    for session_id in Session.objects.filter(stats=None).values_list("pk", flat=True):
        yield session_id, "the session has no counters"
    yield from compare("messages", "messages", Message.objects.all(), Count("pk"))


def compare(
    column: str, what: str, rows: models.QuerySet[models.Model], aggregate: models.Aggregate
) -> Iterator[tuple[object, str]]:
    """Compares one counter of each session with an aggregate over ``rows``."""
    sums = {
        row["session_id"]: row["total"] or 0
        for row in rows.order_by().values("session_id").annotate(total=aggregate)
    }
    for session_id, counted in SessionStats.objects.values_list("session_id", column):
        # A counter ends at its highest sum instead of overflowing.
        total = max(-HIGHEST, min(HIGHEST, sums.get(session_id, 0)))
        if counted != total:
            yield session_id, f"{what}: {counted} counted, {sums.get(session_id, 0)} there"


def steps() -> Iterator[tuple[object, str]]:
    """No step is overdue without having been poked, none is leased long past its lease."""
    # A minute, so that a step which the sweeper is about to send is not reported.
    late = Now() - timedelta(seconds=60)
    unsent = Q(state=Step.State.PENDING, due_at__lt=late) & (
        Q(poked_at=None) | Q(poked_at__lt=F("due_at"))
    )
    dead = Q(state=Step.State.LEASED, lease_until__lt=late)
    for step in Step.objects.filter(unsent | dead):
        yield step.session_id, f"step {step.pk} ({step.kind}) is overdue and no worker claims it"


def register_own() -> None:
    """Registers the audits of this app."""
    register("agreement", agreement)
    register("orphans", orphans)
    register("schema", schema)
    register("events", events)
    register("archives", in_archives)
    register("counters", counters)
    register("steps", steps)
