"""Recordings of finished runs, and the events and times within one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, Max, Min, OuterRef, QuerySet
from typing_extensions import TypedDict

from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import State
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.events.archive import events_between
from sessions_app.models import Session, SessionEvent
from stories.models import Story

SHOWN = 10
AIRED_AT_ALL = Exists(Airing.objects.filter(run=OuterRef("pk")))
PULLED_SINCE = Exists(Airing.objects.filter(run=OuterRef("pk"), story__state=Story.State.KILLED))


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
        """Returns the milliseconds from the beginning to ``moment``."""
        return max(0, (moment - self.began) // timedelta(milliseconds=1))

    def moment(self, offset: int) -> datetime:
        """Returns the time ``offset`` milliseconds after the beginning, at most that of the end."""
        return min(self.began + timedelta(milliseconds=offset), self.ended)

    def before(self, moment: datetime) -> int:
        """Returns the seq of the latest event before ``moment``; ``first - 1`` if there is none.

        A binary search, as the times of events ascend with their seqs.
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
        """Returns the time of the event ``seq``, which is the latest that a page shows."""
        event = self._event(min(seq, self.last)) if seq >= self.first else None
        return event.at if event else self.began

    def on_air_until(self, moment: datetime) -> datetime:
        """Returns the end of the story on air at ``moment``; ``moment`` if there is none."""
        airing = Airing.objects.filter(run=self.run, aired_at__lte=moment).order_by("-id").first()
        if airing is None:
            return moment
        return max(moment, min(airing.finish_at, airing.finished_at or airing.finish_at))

    def _event(self, seq: int) -> SessionEvent | None:
        return next(events_between(self.session, seq, seq), None)


class RunRow(TypedDict):
    """A finished run in a list of replays."""

    number: int
    title: str  # of its recap; "" without one, and for the public after a pull
    at: str | None  # when it went live
    seconds: int  # duration on air


def finished(session: Session) -> QuerySet[Broadcast]:
    """Returns the session's runs that were live and have ended, latest first."""
    rows = Broadcast.objects.filter(session=session, state=State.IDLE, live_at__isnull=False)
    return rows.select_related("session").order_by("-number")


def for_audience(session: Session, audience: str) -> QuerySet[Broadcast]:
    """Returns the runs that this audience may replay: for the public only those with a story.

    For the public each says as ``pulled`` whether a story of it was pulled since.
    """
    rows = finished(session)
    if audience == recorder.OWNER:
        return rows
    return rows.filter(AIRED_AT_ALL).annotate(pulled=PULLED_SINCE)


def find(session: Session, number: int, audience: str) -> Recording:
    """Returns the recording of a run by its number; raises NotFound with the reason."""
    run = for_audience(session, audience).filter(number=number).first()
    if run is None:
        raise NotFound("There is no finished broadcast with this number.")
    seqs = StateChange.objects.filter(run=run).aggregate(first=Min("seq"), last=Max("seq"))
    if seqs["first"] is None:
        raise NotFound("There is no recording of this broadcast.")
    began = run.started_at or run.live_at or run.since
    return Recording(run, seqs["first"], seqs["last"], began, run.since)


def listed(session: Session, audience: str, most: int = SHOWN) -> list[RunRow]:
    """Returns the latest runs that can be replayed."""
    runs = for_audience(session, audience).select_related("session", "recap")[:most]
    return [row(run) for run in runs]


def row(run: Broadcast) -> RunRow:
    """Returns a run as pages show it."""
    # The title of a recap may be, or name, the headline of a story that was pulled since.
    recap = None if getattr(run, "pulled", False) else getattr(run, "recap", None)
    ended = run.stopped_at or run.since
    return {
        "number": run.number,
        "title": recap.title if recap else "",
        "at": recorder.timestamp(run.live_at),
        "seconds": int((ended - run.live_at).total_seconds()) if run.live_at else 0,
    }
