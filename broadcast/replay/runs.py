"""Recordings: what is kept of finished runs, and which event was the latest at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Max, Min, OuterRef, QuerySet

from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import State
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.events.archive import events_between
from sessions_app.models import Session, SessionEvent

SHOWN = 10
AIRED_AT_ALL = Exists(Airing.objects.filter(run=OuterRef("pk")))


@dataclass(frozen=True, slots=True)
class Recording:
    """The events ``first`` to ``last`` (seqs) of a finished run, and when it began and ended."""

    run: Broadcast
    first: int
    last: int
    began: datetime
    ended: datetime

    @property
    def session(self) -> Session:
        return self.run.session

    @property
    def milliseconds(self) -> int:
        return self.offset(self.ended)

    def offset(self, moment: datetime) -> int:
        """How long after the beginning this was, in milliseconds."""
        return max(0, (moment - self.began) // timedelta(milliseconds=1))

    def moment(self, offset: int) -> datetime:
        """The moment that many milliseconds after the beginning, at most that of the end."""
        return min(self.began + timedelta(milliseconds=offset), self.ended)

    def before(self, moment: datetime) -> int:
        """The seq of the latest event of the run before ``moment``; ``first - 1`` if there is none.

        Found by halves, as the times of events ascend with their seqs.
        """
        low, high = self.first - 1, self.last
        while low < high:
            middle = (low + high + 1) // 2
            event = self._event(middle)
            if event is None or event.at < moment:
                low = middle
            else:
                high = middle - 1
        return low

    def reached(self, seq: int) -> datetime:
        """The moment to which a page has come that shows the event ``seq``."""
        event = self._event(min(seq, self.last)) if seq >= self.first else None
        return event.at if event else self.began

    def told_until(self, moment: datetime) -> datetime:
        """Until when the story is told that is on air at ``moment``; ``moment`` if there is none."""
        aired = Airing.objects.filter(run=self.run, aired_at__lte=moment).order_by("-id").first()
        if aired is None:
            return moment
        return max(moment, min(aired.finish_at, aired.finished_at or aired.finish_at))

    def _event(self, seq: int) -> SessionEvent | None:
        return next(events_between(self.session, seq, seq), None)


def finished(session: Session) -> QuerySet[Broadcast]:
    """The session's runs that went on air and have come to rest, the latest first."""
    rows = Broadcast.objects.filter(session=session, state=State.IDLE, live_at__isnull=False)
    return rows.select_related("session").order_by("-number")


def for_audience(session: Session, audience: str) -> QuerySet[Broadcast]:
    """What this audience can see again: the public only what told a story."""
    rows = finished(session)
    return rows if audience == recorder.OWNER else rows.filter(AIRED_AT_ALL)


def find(session: Session, number: int, audience: str) -> Recording:
    """The recording of a run by its number, or NotFound with the reason."""
    run = for_audience(session, audience).filter(number=number).first()
    if run is None:
        raise NotFound("There is no finished broadcast with this number to play again.")
    seqs = StateChange.objects.filter(run=run).aggregate(first=Min("seq"), last=Max("seq"))
    if seqs["first"] is None:
        raise NotFound("Nothing is recorded of this broadcast.")
    began = run.started_at or run.live_at or run.since
    return Recording(run, seqs["first"], seqs["last"], began, run.since)


def listed(session: Session, audience: str, most: int = SHOWN) -> list[dict[str, Any]]:
    """The latest runs that can be played again, as pages show them; lengths are in seconds."""
    runs = for_audience(session, audience).select_related("session", "recap")[:most]
    return [row(run) for run in runs]


def row(run: Broadcast) -> dict[str, Any]:
    recap = getattr(run, "recap", None)
    ended = run.stopped_at or run.since
    return {
        "number": run.number,
        "title": recap.title if recap else "",
        "at": recorder.timestamp(run.live_at),
        "seconds": int((ended - run.live_at).total_seconds()) if run.live_at else 0,
    }
