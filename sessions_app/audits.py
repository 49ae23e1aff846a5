"""Audits: each checks one invariant of the stored rows and yields the violations.

The docstring of an audit is its description in the documentation.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from itertools import chain
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, models
from django.db.models import Count, F, Max, Min, OuterRef, Subquery

from sessions_app import constraints, credentials, sessions
from sessions_app.events import recorder
from sessions_app.events.statistics import HIGHEST
from sessions_app.models import Archive, Message, Session, SessionEvent, SessionStats

log = structlog.get_logger(__name__)

# What reading a damaged row can raise.
UNREADABLE = (DatabaseError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
BATCH = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation; ``session`` is "" when it belongs to no session."""

    audit: str
    session: str
    detail: str


Audit = Callable[[], Iterator[tuple[object, str]]]
_audits: dict[str, Audit] = {}


def register(name: str, audit: Audit, *of: type[models.Model]) -> None:
    """Registers an audit: yields (session id or "", description), nothing if ``of`` have no rows."""

    @wraps(audit)
    def of_rows() -> Iterator[tuple[object, str]]:
        return audit() if not of or constraints.with_rows(of) else iter(())

    _audits[name] = of_rows


@dataclass(frozen=True, slots=True)
class Repair:
    """Repairs what an audit found in a session ("" for all); only what is derived from other rows."""

    sentence: str
    apply: Callable[[str], object]


_repairs: dict[str, Repair] = {}


def register_repair(audit: str, sentence: str, apply: Callable[[str], object]) -> None:
    """Registers a safe repair: ``sentence`` says what it does."""
    _repairs[audit] = Repair(sentence, apply)


def repairs_of(findings: list[Finding]) -> list[tuple[Finding, Repair]]:
    """Returns the repairs that exist for the findings, each once for an audit and session."""
    first = {(each.audit, each.session): each for each in reversed(findings)}
    return [(each, _repairs[each.audit]) for each in first.values() if each.audit in _repairs]


def meaning_of(name: str) -> str:
    """Returns the docstring of an audit."""
    return str(_audits[name].__doc__)


def names() -> list[str]:
    """Returns the names of all audits."""
    return sorted(_audits)


def run(only: str = "") -> Iterator[Finding]:
    """Runs all audits, or the one named; yields their findings."""
    for name in [only] if only else names():
        try:
            for session_id, detail in _audits[name]():
                yield Finding(name, str(session_id or ""), detail)
        # A row that cannot even be read must not hide what the other audits find.
        except UNREADABLE as error:
            log.exception("audit_failed", audit=name)
            yield Finding(name, "", f"the audit ended early: {type(error).__name__}, see the log")


def lost(child: str, column: str, parent: type[Any]) -> int:
    """Returns how many rows of a table refer to a row of ``parent`` that does not exist."""
    query = (
        f'SELECT COUNT(*) FROM "{child}" c WHERE c."{column}" IS NOT NULL AND NOT EXISTS (SELECT 1 '  # noqa: S608
        f'FROM "{parent._meta.db_table}" p WHERE p."{parent._meta.pk.column}" = c."{column}")'
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def orphans() -> Iterator[tuple[object, str]]:
    """No row is without a session that exists."""
    for model in constraints.with_rows(constraints.session_models()):
        if orphaned := lost(model._meta.db_table, "session_id", Session):
            yield "", f"{orphaned} rows of {model._meta.db_table} have no session"


def references() -> Iterator[tuple[object, str]]:
    """Every reference to a user or another session is to one that exists."""
    inside = set(constraints.session_models())
    for model in constraints.our_models():
        table = model._meta.db_table
        for field in model._meta.concrete_fields:
            parent, column = field.related_model, str(field.column)
            outside = parent if isinstance(parent, type) and parent not in inside else None
            if outside and (rows := lost(table, column, outside)):
                yield "", f"{rows} rows of {table}.{column} refer to nothing"


Queries = Callable[[], Iterator[tuple[models.QuerySet[Any], str]]]
_statements: dict[tuple[str, Queries], list[tuple[str, Any, str]]] = {}


def rows_of(queries: Queries) -> Iterator[tuple[object, str]]:
    """Yields session and description of each row that queries, always the same ones, find."""
    # Built once a process, which takes longer than the database takes to answer.
    statements = _statements.setdefault((connection.vendor, queries), [])
    if not statements:
        for rows, what in queries():
            built = rows.order_by().values_list("session_id", "pk").query.sql_with_params()
            statements.append((*built, what))
    for statement, parameters, what in statements:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            for session_id, key in cursor.fetchall():
                yield UUID(str(session_id)), what.format(key=key)


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


def counters() -> Iterator[tuple[object, str]]:
    """Every session has counters, and those of this app equal the sums."""
    for session_id in Session.objects.filter(stats=None).values_list("pk", flat=True):
        yield session_id, "the session has no counters"
    yield from compare(Message.objects.all(), ("messages", "messages", Count("pk")))


def compare(
    rows: models.QuerySet[Any], *sums: tuple[str, str, models.Aggregate]
) -> Iterator[tuple[object, str]]:
    """Compares counters of each session, by column, name and aggregate, with sums over ``rows``."""
    totals = {f"total_{column}": total for column, _, total in sums}
    grouped: Any = rows.order_by().values_list("session_id").annotate(**totals)
    there = {session_id: found for session_id, *found in grouped}
    columns = (column for column, _, _ in sums)
    for session_id, *counted in SessionStats.objects.values_list("session_id", *columns):
        found = there.get(session_id, [0] * len(sums))
        for (_, what, _), number, total in zip(sums, counted, found, strict=True):
            # A counter ends at its highest sum instead of overflowing.
            if number != max(-HIGHEST, min(HIGHEST, total or 0)):
                yield session_id, f"{what}: {number} counted, {total or 0} there"


def figures() -> Iterator[tuple[object, str]]:
    """The newest event of a session has the figures of its counters."""
    newest = SessionEvent.objects.filter(session=OuterRef("pk"), seq=OuterRef("last_seq"))
    rows = SessionStats.objects.annotate(payload=Subquery(newest.values("payload")[:1]))
    for stats in rows.iterator(BATCH):
        now = recorder.figures(stats)
        then = stats.payload["figures"] if stats.payload else {}
        # An event of an earlier version has fewer figures.
        wrong = [name for name, value in then.items() if now.get(name, value) != value]
        if wrong or (stats.payload and not then):
            yield stats.pk, f"the newest event has other figures: {', '.join(wrong) or 'none'}"


SUMMED = {"total_tokens", "input_tokens", "output_tokens", "cost", "cost_lower"}


def sums_up(figures: Mapping[str, Any]) -> bool:
    """Whether the figures of an event are whole numbers, and the sums are those of their parts."""
    numbers = {name: value for name, value in figures.items() if name != "last_story_at"}
    return (
        numbers.keys() >= SUMMED
        and all(type(value) is int for value in numbers.values())
        and figures["total_tokens"] == figures["input_tokens"] + figures["output_tokens"]
        and figures["cost"] == figures["cost_lower"]
    )


def event_types() -> Iterator[tuple[object, str]]:
    """Every event has a declared type and its figures."""
    rows = SessionEvent.objects.exclude(type__in=recorder.types(), payload__has_key="figures")
    for session_id, number in rows.order_by().values_list("session").annotate(n=Count("pk")):
        yield session_id, f"{number} events have an unknown type, or no figures"


@dataclass(frozen=True, slots=True)
class Record:
    """Compares rows with the latest event about each: ``payload`` made the event's part ``key``."""

    key: str
    rows: Callable[[UUID], models.QuerySet[Any]]
    payload: Callable[[Any], Mapping[str, Any]]
    ignored: frozenset[str] = frozenset()
    removable: bool = False
    identity: str = "id"
    lookup: str = "pk"
    also: str = ""  # another key of such parts
    mark: str = ""  # a field that its parts have, and other parts with the same key lack
    whole: bool = False  # whether the parts of an event are all rows that there are
    removal: str = ""  # the ``change`` of an event about a row that is gone
    of_copies: bool = True  # False if a fork changes them without an event

    def parts(self, payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Returns the parts of a payload that are about rows."""
        found = payload.get(self.key)
        if self.removal and payload.get("change") == self.removal:
            found = {**(found or {}), GONE: True}
        parts = [*(found if isinstance(found, list) else [found]), payload.get(self.also)]
        return [
            part
            for part in parts
            if isinstance(part, dict)
            and self.identity in part
            and (not self.mark or self.mark in part)
        ]


GONE = "gone"
_records: list[Record] = []
# The function that reads the payloads of a session's archived events, newest first.
_archived: Callable[[UUID], Iterator[Any]] | None = None
_last_imported: Callable[[UUID], int | None] | None = None
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
# Clocks of processes and the database differ, and an event has milliseconds.
NEAR = timedelta(hours=1)
# The latest part about each row, by its key, of each of the records.
Latest = dict[int, dict[object, Mapping[str, Any]]]


def register_record(record: Record) -> None:
    """Compares the rows of ``record`` with their latest events in the audit ``records``."""
    _records.append(record)


def register_archived(read: Callable[[UUID], Iterator[Any]]) -> None:
    """Reads archived events by ``read`` in the audit ``records``."""
    global _archived  # noqa: PLW0603 - set once, as the apps are loaded
    _archived = read


def register_imports(last_imported: Callable[[UUID], int | None]) -> None:
    """Asks ``last_imported`` for the last seq that a session has from an archive, None if unknown."""
    global _last_imported  # noqa: PLW0603 - set once, as the apps are loaded
    _last_imported = last_imported


def records() -> Iterator[tuple[object, str]]:
    """Every row is what the latest event about it says, and none of them is gone."""
    rows = SessionStats.objects.annotate(
        imported=F("session__imported_id"), original=F("session__made_from")
    )
    for session_id, last_seq, imported_id, original in rows.values_list(
        "session_id", "last_seq", "imported", "original"
    ):
        # The events of its original say nothing about the rows of an imported session.
        first = _last_imported(session_id) if imported_id and _last_imported else 0
        if first is None:
            continue
        seen: set[tuple[int, object]] = set()
        whole: set[int] = set()
        latest: Latest = defaultdict(dict)
        events = SessionEvent.objects.filter(session=session_id, seq__gt=first, seq__lte=last_seq)
        payloads = events.order_by("-seq").values_list("payload", flat=True).iterator(BATCH)
        archived = _archived(session_id) if _archived and not first else ()
        for number, payload in enumerate(chain(payloads, archived), start=1):
            if not sums_up(payload.get("figures") or {}):
                yield session_id, f"event {last_seq + 1 - number} has impossible figures"
            for at, record in enumerate(_records):
                compared = record.whole and (at in whole or record.key not in payload)
                if compared or (original is not None and not record.of_copies):
                    continue
                parts = record.parts(payload)
                if record.whole:
                    whole.add(at)
                    ids = {part[record.identity] for part in parts}
                    if ids != set(record.rows(session_id).values_list(record.lookup, flat=True)):
                        latest[at][None] = {}
                for part in parts:
                    key = part[record.identity]
                    if (at, key) not in seen:
                        seen.add((at, key))
                        latest[at][key] = part
            if number % BATCH == 0:
                yield from _differences(session_id, last_seq, latest)
        yield from _differences(session_id, last_seq, latest)


def _differences(session_id: UUID, last_seq: int, latest: Latest) -> Iterator[tuple[object, str]]:
    """Compares the latest payloads of some rows with the rows, and clears them."""
    problems = []
    for at in list(latest):
        record, found = _records[at], latest.pop(at)
        rows = record.rows(session_id).filter(
            **{f"{record.lookup}__in": list(found.keys() - {None})}
        )
        there = {}
        for row in rows:
            # As the event went through JSON, which has neither tuples nor keys that are numbers.
            now = json.loads(json.dumps(record.payload(row)))
            there[now[record.identity]] = now
        if found.pop(None, None) is not None:
            problems.append(f"{record.key} are not those of the newest event about them")
        for key, then in found.items():
            now = there.get(key, {})
            if (key not in there) != (GONE in then) and not record.removable:
                problems.append(f"{record.key} {key} is gone, but its events are there")
            wrong = [
                name
                for name in now
                if name in then and name not in record.ignored and _differs(now[name], then[name])
            ]
            if wrong:
                problems.append(f"{record.key} {key} is not what its latest event says: {wrong}")
    # What changed while it was read has a newer event, and is compared by the next audit.
    if problems and SessionStats.objects.filter(session=session_id, last_seq=last_seq).exists():
        for problem in problems:
            yield session_id, problem


def _differs(now: object, then: object) -> bool:
    """Whether JSON has changed; what an earlier version did not have yet does not count."""
    if isinstance(now, dict) and isinstance(then, dict):
        both = now.keys() & then.keys()
        return (not now and bool(then)) or any(_differs(now[name], then[name]) for name in both)
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        return any(map(_differs, now, then))
    if _TIME.fullmatch(str(now)) and _TIME.fullmatch(str(then)):
        return abs(datetime.fromisoformat(str(now)) - datetime.fromisoformat(str(then))) > NEAR
    return now != then


def register_own() -> None:
    """Registers the audits of this app."""
    register("agreement", constraints.agreement)
    register("orphans", orphans)
    register("schema", constraints.schema)
    register("events", events)
    register("counters", counters)
    register("references", references)
    register("values", constraints.wrong_values)
    register("figures", figures)
    register("event-types", event_types)
    register("keys", credentials.audit)
    register("records", records)
    register_repair(
        "schema", "restore the triggers and constraints", lambda _: constraints.restore()
    )
    register_record(Record("session", lambda key: Session.objects.filter(pk=key), sessions.payload))
