"""Decisions about quarantined records: adopt into a session, discard, and undo.

Records that are decided on together form one act. An act is carried out in lots, each in one
transaction with its rows, figures and event, so an interrupted act has decided on whole records only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.utils import timezone

from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Session
from stories import stories
from stories.legacy import attach
from stories.models import QuarantineDecision, QuarantinedRecord, Story, TokenUsage
from stories.posts import queue

Record = QuarantinedRecord
State = QuarantinedRecord.State
Action = QuarantineDecision.Action
LOT = 500
MOST = 5000  # records of one act, so that it ends within a request


@dataclass(slots=True)
class Outcome:
    """The result of an act: the number of decided records, and why others were refused."""

    done: int = 0
    refused: list[str] = field(default_factory=list)


def discard(record: Record, actor: User) -> None:
    with transaction.atomic():
        _discard_lot([record], actor, uuid4())


def adopt(record: Record, session: Session, actor: User) -> Story | TokenUsage:
    """Turns the record into a row of the session, marked as legacy; Invalid where it cannot."""
    with transaction.atomic():
        row = attach.row_of(record, session)
        story_rows, usage_rows = _adopt_rows([record], [row], session, actor, uuid4())
        type_ = attach.IMPORTED
        payload: Mapping[str, object] = attach.arrived(story_rows, usage_rows)
        if isinstance(row, Story):
            type_ = stories.WRITTEN
            payload = {
                "story": stories.payload(row),
                "queue": queue.queue_payload(row.session),
                "adopted": record.pk,
            }
        attach.count(session, story_rows, usage_rows, type_, payload)
        return row


def discard_all(records: QuerySet[Record], actor: User) -> Outcome:
    """Discards up to ``MOST`` of the records, as one act."""
    act = uuid4()
    waiting = records.filter(state=State.WAITING)
    return _in_lots(waiting, lambda lot, _: _discard_lot(lot, actor, act))


def adopt_all(records: QuerySet[Record], session: Session, actor: User) -> Outcome:
    """Adopts up to ``MOST`` of the records into the session, oldest first, as one act."""
    act = uuid4()

    def adopt_lot(lot: Sequence[Record], refused: list[str]) -> int:
        adopted: list[Record] = []
        rows: list[Story | TokenUsage] = []
        for record in lot:
            try:
                rows.append(attach.row_of(record, session))
                adopted.append(record)
            except Invalid as error:
                refused.append(error.sentence)
        if adopted:
            story_rows, usage_rows = _adopt_rows(adopted, rows, session, actor, act)
            payload = attach.arrived(story_rows, usage_rows)
            attach.count(session, story_rows, usage_rows, attach.IMPORTED, payload)
        return len(adopted)

    return _in_lots(records.filter(state=State.WAITING), adopt_lot)


def undo(act: UUID, actor: User) -> Outcome:
    """Undoes an act, except for records that were decided on again since."""
    return undo_all(undoable(act), actor)


def undoable(act: UUID) -> QuerySet[Record]:
    """Returns the records whose latest decision is this act."""
    return _with_last_act(Record.objects.filter(decisions__act=act)).filter(last_act=act)


def undoable_counts(acts: Sequence[UUID]) -> dict[UUID, int]:
    """Returns how many records each act can still be undone for, where there are any."""
    record_ids = QuarantineDecision.objects.filter(act__in=acts).values("record")
    rows = _with_last_act(Record.objects.filter(pk__in=record_ids)).filter(last_act__in=acts)
    return dict(rows.order_by().values_list("last_act").annotate(number=Count("pk")))


def _with_last_act(records: QuerySet[Record]) -> QuerySet[Any, Any]:
    latest = QuarantineDecision.objects.filter(record=OuterRef("pk")).order_by("-id")
    decided = records.exclude(state=State.WAITING)
    return decided.annotate(last_act=Subquery(latest.values("act")[:1]))


def undo_all(records: QuerySet[Record], actor: User) -> Outcome:
    """Returns decided records to quarantine and removes their rows and figures, as one act.

    A record whose row has been used since then is refused.
    """
    act = uuid4()

    def undo_lot(lot: Sequence[Record], refused: list[str]) -> int:
        done = 0
        discarded = [record for record in lot if record.state == State.DISCARDED]
        if discarded:
            done += _put_back(discarded, actor, act, None)
        adopted = [record for record in lot if record.state == State.ADOPTED]
        for session, group in groupby(adopted, lambda record: record.adopted_by):
            if session is not None:
                done += _undo_adoption(session, list(group), actor, act, refused)
        return done

    return _in_lots(records.exclude(state=State.WAITING), undo_lot)


def _in_lots(
    records: QuerySet[Record], decide: Callable[[Sequence[Record], list[str]], int]
) -> Outcome:
    """Calls ``decide`` with one lot of the records per transaction; each record is in one lot."""
    outcome = Outcome()
    # The ids first: a decided record leaves the query, so a second page of it would skip some.
    ids = list(records.order_by("at", "pk").values_list("pk", flat=True)[:MOST])
    for start in range(0, len(ids), LOT):
        with transaction.atomic():
            # Filtered again under the lock: another act may have decided on some of them.
            rows = records.filter(pk__in=ids[start : start + LOT])
            # In one order, so that two acts which overlap wait for each other instead of a
            # deadlock.
            lot = rows.order_by("adopted_by", "at", "pk").select_for_update(
                of=("self",), no_key=True
            )
            refused: list[str] = []
            outcome.done += decide(list(lot), refused)
        outcome.refused += refused
    return outcome


def _discard_lot(lot: Sequence[Record], actor: User, act: UUID) -> int:
    _decide(lot, actor, State.DISCARDED, None)
    _record_decisions(lot, Action.DISCARD, actor, act, None)
    return len(lot)


def _adopt_rows(
    records: Sequence[Record],
    rows: Sequence[Story | TokenUsage],
    session: Session,
    actor: User,
    act: UUID,
) -> tuple[list[Story], list[TokenUsage]]:
    """Stores the rows that the records became; returns them by kind, for counting."""
    _decide(records, actor, State.ADOPTED, session)
    _record_decisions(records, Action.ADOPT, actor, act, session)
    story_rows = [row for row in rows if isinstance(row, Story)]
    usage_rows = [row for row in rows if isinstance(row, TokenUsage)]
    attach.store(story_rows, usage_rows)
    for record, row in zip(records, rows, strict=True):
        record.row_id = row.pk
    # The ids of the rows exist only after they were inserted.
    Record.objects.bulk_update(records, ["row_id"])
    return story_rows, usage_rows


def _undo_adoption(
    session: Session, lot: Sequence[Record], actor: User, act: UUID, refused: list[str]
) -> int:
    """Removes the rows of adopted records from one session, except for rows that are in use."""
    with_rows = [record for record in lot if record.row_id]
    # One query for each kind, however large the lot is.
    story_rows = Story.objects.in_bulk(r.row_id for r in with_rows if r.kind == "story")
    usage_rows = TokenUsage.objects.in_bulk(r.row_id for r in with_rows if r.kind == "usage")
    in_use = attach.rows_in_use(story_rows.values(), usage_rows.values())
    removed: list[Record] = []
    for record in lot:
        rows = usage_rows if record.kind == "usage" else story_rows
        row = rows.get(record.row_id or 0)
        # The row may have been deleted since it was adopted.
        if row is None:
            refused.append(f"Record {record.pk} was not undone: its row does not exist any more.")
        elif row in in_use:
            refused.append(f"Record {record.pk} stays in “{session.name}”: {in_use[row]}")
        else:
            removed.append(record)
    if not removed:
        return 0
    _put_back(removed, actor, act, session)
    removed_ids = {(record.kind, record.row_id) for record in removed}
    attach.leave(
        session,
        [row for row in story_rows.values() if ("story", row.pk) in removed_ids],
        [row for row in usage_rows.values() if ("usage", row.pk) in removed_ids],
    )
    return len(removed)


def _decide(lot: Sequence[Record], actor: User, state: str, session: Session | None) -> None:
    """Decides on waiting records; Conflict when another decision about one of them came first."""
    ids = [record.pk for record in lot]
    changed = Record.objects.filter(pk__in=ids, state=State.WAITING).update(
        state=state, decided_by=actor, decided_at=timezone.now(), adopted_by=session
    )
    # Raising undoes the whole lot, so that no record is decided on twice.
    if changed != len(ids):
        raise Conflict("This has been decided on already.", state=lot[0].state)


def _put_back(lot: Sequence[Record], actor: User, act: UUID, session: Session | None) -> int:
    """Returns decided records to quarantine; Conflict when another undo came first."""
    ids = [record.pk for record in lot]
    decided = Record.objects.filter(pk__in=ids).exclude(state=State.WAITING)
    changed = decided.update(
        state=State.WAITING, decided_by=None, decided_at=None, adopted_by=None, row_id=None
    )
    if changed != len(ids):
        raise Conflict("This has been undone already.")
    _record_decisions(lot, Action.UNDO, actor, act, session)
    return changed


def _record_decisions(
    lot: Sequence[Record], action: str, actor: User, act: UUID, session: Session | None
) -> None:
    QuarantineDecision.objects.bulk_create(
        QuarantineDecision(record=record, action=action, actor=actor, act=act, to=session)
        for record in lot
    )
