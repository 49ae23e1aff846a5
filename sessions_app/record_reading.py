"""Events read as one record, whether they are rows still or archived already.

What is archived comes as a SessionEvent without a key, which is not to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sessions_app import archives, events, render
from sessions_app.archives import DAMAGED, Damaged, Line
from sessions_app.models import Session, SessionEvent

PIECE = 100


def line_of(event: SessionEvent) -> Line:
    """An event as archives hold it."""
    at = event.at.isoformat()
    return {"seq": event.seq, "type": event.type, "at": at, "data": event.payload}


def _event(session: Session, line: Line) -> SessionEvent:
    at = datetime.fromisoformat(line["at"])
    return SessionEvent(
        session=session, seq=line["seq"], type=line["type"], payload=line["data"], at=at
    )


def newest(session: Session, before: int | None, most: int) -> list[SessionEvent]:
    """Up to ``most`` events below the seq ``before``, newest first.

    One event of the type ``archive.damaged`` stands for all of an archive that cannot be read.
    """
    rows = SessionEvent.objects.filter(session=session)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    found = list(rows.order_by("-seq")[:most])
    if len(found) < most:
        # What is archived between the two queries is found by the second one.
        packed = archives.of_session(session, archives.EVENTS)
        oldest = found[-1].seq if found else before
        lines = archives.newest(packed, "seq", oldest, most - len(found), _instead)
        found += [_event(session, line) for line in lines]
    return found


def _instead(error: Damaged) -> Line:
    archive = error.archive
    said = {"first": archive.first, "last": archive.last, "sentence": error.sentence}
    at = archive.created_at.isoformat()
    return {"seq": archive.first, "type": DAMAGED, "at": at, "data": said}


def events_between(
    session: Session, first: int, last: int, audience: str = events.OWNER
) -> Iterator[SessionEvent]:
    """What the audience may see of the events from ``first`` to ``last``, oldest first.

    It is read a piece at a time. Raises Damaged where an archive cannot be read.
    """
    at = first
    while at <= last:
        piece = _rows(session, at, last)
        if not piece or piece[0].seq > at:
            # Not there, or archived since: the archive was there before the rows went.
            piece = _archived(session, at, last) or piece
        if not piece:
            return
        yield from (event for event in piece if render.visible(event.type, audience))
        at = piece[-1].seq + 1


def _rows(session: Session, first: int, last: int) -> list[SessionEvent]:
    rows = SessionEvent.objects.filter(session=session, seq__range=(first, last))
    return list(rows.order_by("seq")[:PIECE])


def _archived(session: Session, first: int, last: int) -> list[SessionEvent]:
    """What the archive that begins the rest holds of it."""
    packed = archives.of_session(session, archives.EVENTS)
    archive = packed.filter(last__gte=first, first__lte=last).last()
    lines = archives.lines(archive) if archive else []
    return [_event(session, line) for line in lines if first <= line["seq"] <= last]
