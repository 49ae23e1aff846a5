"""Decisions about quarantined records: adopted, discarded, and taken back; each is recorded.

What is decided together is one act. It is done in lots, each in one transaction with its rows,
figures and event, so an act that is cut short has decided about whole records only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from stories.legacy import adoption, attach
from stories.models import QuarantineDecision, QuarantinedRecord, Story, TokenUsage
from stories.posts import queue

Record = QuarantinedRecord
State = QuarantinedRecord.State
Action = QuarantineDecision.Action
LOT = 500
MOST = 5000  # records of one act, so that it ends within a request


@dataclass(slots=True)
class Act:
    """What came of an act: how many records it decided about, and why not about the others."""

    done: int = 0
    refused: list[str] = field(default_factory=list)


def discard(record: Record, actor: User) -> None:
    with transaction.atomic():
        _discard_lot([record], actor, uuid4())


def adopt(record: Record, session: Session, actor: User) -> Story | TokenUsage:
    """Make the record a row of the session, marked as legacy; raises Invalid when it cannot be."""
    with transaction.atomic():
        row = adoption.row_of(record, session)
        _settle([record], actor, State.ADOPTED, session)
        _write([record], Action.ADOPT, actor, uuid4(), session)
        told = [row] if isinstance(row, Story) else []
        used = [row] if isinstance(row, TokenUsage) else []
        attach.store(told, used)
        _name_rows([record], [row])
        event = (
            (stories.WRITTEN, _written(row, record))
            if isinstance(row, Story)
            else (attach.IMPORTED, attach.arrived(told, used))
        )
        attach.count(session, told, used, *event)
        return row


def _written(story: Story, record: Record) -> dict[str, Any]:
    return {
        "story": stories.payload(story),
        "queue": queue.queue_payload(story.session),
        "adopted": record.pk,
    }


def discard_all(records: QuerySet[Record], actor: User) -> Act:
    """Discard up to ``MOST`` of the records, as one act."""
    act = uuid4()
    return _in_lots(
        records.filter(state=State.WAITING), lambda lot, _: _discard_lot(lot, actor, act)
    )


def adopt_all(records: QuerySet[Record], session: Session, actor: User) -> Act:
    """Give up to ``MOST`` of the records to the session, as one act; the oldest first."""
    act = uuid4()
    waiting = records.filter(state=State.WAITING)
    return _in_lots(waiting, lambda lot, refused: _adopt_lot(lot, session, actor, act, refused))


def undo(act: UUID, actor: User) -> Act:
    """Take an act back, but for the records that were decided on again since."""
    return undo_all(undoable(act), actor)


def undoable(act: UUID) -> QuerySet[Record]:
    """The records of an act about which it is the last word."""
    return _last_decided(Record.objects.filter(decisions__act=act)).filter(last_act=act)


def standing(acts: Sequence[UUID]) -> dict[UUID, int]:
    """About how many records each act is the last word, where it is about any."""
    among = QuarantineDecision.objects.filter(act__in=acts).values("record")
    rows = _last_decided(Record.objects.filter(pk__in=among)).filter(last_act__in=acts)
    return dict(rows.order_by().values_list("last_act").annotate(number=Count("pk")))


def _last_decided(records: QuerySet[Record]) -> QuerySet[Any, Any]:
    latest = QuarantineDecision.objects.filter(record=OuterRef("pk")).order_by("-id")
    decided = records.exclude(state=State.WAITING)
    return decided.annotate(last_act=Subquery(latest.values("act")[:1]))


def undo_all(records: QuerySet[Record], actor: User) -> Act:
    """Put decided records back into quarantine, with their rows and figures; one act.

    What has been used since stays where it is.
    """
    act = uuid4()
    decided = records.exclude(state=State.WAITING)
    return _in_lots(decided, lambda lot, refused: _undo_lot(lot, actor, act, refused))


def _in_lots(
    records: QuerySet[Record], decide: Callable[[Sequence[Record], list[str]], int]
) -> Act:
    """Decide about the records, a lot in a transaction; each is looked at once."""
    found = Act()
    ids = list(records.order_by("at", "pk").values_list("pk", flat=True)[:MOST])
    for at in range(0, len(ids), LOT):
        with transaction.atomic():
            lot = records.filter(pk__in=ids[at : at + LOT]).order_by("adopted_by", "at", "pk")
            refused: list[str] = []
            found.done += decide(list(lot.select_for_update(of=("self",), no_key=True)), refused)
        found.refused += refused
    return found


def _discard_lot(lot: Sequence[Record], actor: User, act: UUID) -> int:
    _settle(lot, actor, State.DISCARDED, None)
    _write(lot, Action.DISCARD, actor, act, None)
    return len(lot)


def _adopt_lot(
    lot: Sequence[Record], session: Session, actor: User, act: UUID, refused: list[str]
) -> int:
    taken: list[Record] = []
    rows: list[Story | TokenUsage] = []
    for record in lot:
        try:
            rows.append(adoption.row_of(record, session))
            taken.append(record)
        except Invalid as error:
            refused.append(error.sentence)
    if not taken:
        return 0
    _settle(taken, actor, State.ADOPTED, session)
    _write(taken, Action.ADOPT, actor, act, session)
    told = [row for row in rows if isinstance(row, Story)]
    used = [row for row in rows if isinstance(row, TokenUsage)]
    attach.store(told, used)
    _name_rows(taken, rows)
    attach.count(session, told, used, attach.IMPORTED, attach.arrived(told, used))
    return len(taken)


def _undo_lot(lot: Sequence[Record], actor: User, act: UUID, refused: list[str]) -> int:
    done = 0
    discarded = [record for record in lot if record.state == State.DISCARDED]
    if discarded:
        done += _put_back(discarded, actor, act, None)
    adopted = [record for record in lot if record.state == State.ADOPTED]
    for session, some in groupby(adopted, lambda record: record.adopted_by):
        if session is not None:
            done += _undo_adoption(session, list(some), actor, act, refused)
    return done


def _undo_adoption(
    session: Session, lot: Sequence[Record], actor: User, act: UUID, refused: list[str]
) -> int:
    """The rows of one session leave it again; the last act of the lot for this session."""
    stories, usage = _rows_of(lot)
    kept = attach.why_kept(stories.values(), usage.values())
    free: list[Record] = []
    for record in lot:
        row = (usage if record.kind == "usage" else stories).get(record.row_id or 0)
        if row is None:
            refused.append(f"Record {record.pk} stays: the row it became is not known any more.")
        elif row in kept:
            refused.append(f"Record {record.pk} stays in “{session.name}”: {kept[row]}")
        else:
            free.append(record)
    if not free:
        return 0
    ids = {(record.kind, record.row_id) for record in free}
    _put_back(free, actor, act, session)
    attach.leave(
        session,
        [row for row in stories.values() if ("story", row.pk) in ids],
        [row for row in usage.values() if ("usage", row.pk) in ids],
    )
    return len(free)


def _rows_of(lot: Sequence[Record]) -> tuple[dict[int, Story], dict[int, TokenUsage]]:
    told = [record.row_id for record in lot if record.kind == "story" and record.row_id]
    used = [record.row_id for record in lot if record.kind == "usage" and record.row_id]
    return Story.objects.in_bulk(told), TokenUsage.objects.in_bulk(used)


def _settle(lot: Sequence[Record], actor: User, state: str, session: Session | None) -> None:
    """One of several deciders wins; the rows keep who, when and where to."""
    ids = [record.pk for record in lot]
    moved = Record.objects.filter(pk__in=ids, state=State.WAITING).update(
        state=state, decided_by=actor, decided_at=timezone.now(), adopted_by=session
    )
    if moved != len(ids):
        raise Conflict("This has been decided on already.", state=lot[0].state)


def _put_back(lot: Sequence[Record], actor: User, act: UUID, session: Session | None) -> int:
    ids = [record.pk for record in lot]
    moved = (
        Record.objects.filter(pk__in=ids)
        .exclude(state=State.WAITING)
        .update(state=State.WAITING, decided_by=None, decided_at=None, adopted_by=None, row_id=None)
    )
    if moved != len(ids):
        raise Conflict("This has been taken back already.")
    _write(lot, Action.UNDO, actor, act, session)
    return moved


def _name_rows(lot: Sequence[Record], rows: Sequence[Story | TokenUsage]) -> None:
    for record, row in zip(lot, rows, strict=True):
        record.row_id = row.pk
    Record.objects.bulk_update(lot, ["row_id"])


def _write(
    lot: Iterable[Record], action: str, actor: User, act: UUID, session: Session | None
) -> None:
    QuarantineDecision.objects.bulk_create([
        QuarantineDecision(record=record, action=action, actor=actor, act=act, to=session)
        for record in lot
    ])  # fmt: skip
