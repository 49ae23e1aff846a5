"""What has been archived by now, read as if it were still in its table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sessions_app import archives, record_reading
from sessions_app.models import AILink, AITransition, Session

Row = dict[str, Any]


def events(session: Session, first: int, last: int) -> Iterator[Row]:
    for event in record_reading.events_between(session, first, last):
        yield {"seq": event.seq, "type": event.type, "payload": event.payload, "at": event.at}


def transitions(session: Session, after: int, upto: int) -> Iterator[Row]:
    """Archived ones first; they name links by the ids of their providers."""
    for row in _archived(session):
        if after < row["id"] <= upto:
            yield row
            after = row["id"]
    yield from _live(session, after, upto)


def _archived(session: Session) -> Iterator[Row]:
    found = archives.of_session(session, archives.TRANSITIONS).order_by("first")
    links = AILink.objects.filter(session=session) if found.exists() else AILink.objects.none()
    ids = dict(links.order_by("number").values_list("provider_id", "pk"))
    for archive in found:
        for one in archives.lines(archive):
            yield {
                "id": one["id"], "created_at": one["at"], "old": ids.get(one["old"]),
                "new": ids[one["new"]], "source": one["source"], "run_number": one["run"],
            }  # fmt: skip


def _live(session: Session, after: int, upto: int) -> Iterator[Row]:
    names = ("id", "created_at", "old", "new", "source", "run_number")
    rows = AITransition.objects.filter(session=session, pk__lte=upto).order_by("pk")
    while True:
        piece = list(rows.filter(pk__gt=after).values(*names)[:500])
        yield from piece
        if len(piece) < 500:
            return
        after = piece[-1]["id"]
