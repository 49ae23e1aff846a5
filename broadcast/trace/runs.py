"""In which state the run of a session was at any moment: its changes, folded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from broadcast.models import StateChange
from broadcast.states import State
from sessions_app.models import Session

Change = tuple[datetime, int, int, str]  # at, seq, number of the run, state


class Runs:
    """The changes of a session's runs in their order."""

    def __init__(self, changes: Sequence[Change] = ()) -> None:
        self._changes = changes
        self._seqs = [seq for _, seq, _, _ in changes]
        self._moments = [at for at, _, _, _ in changes]

    def at(self, moment: datetime) -> tuple[int | None, str]:
        """Number of the run and its state; off air there is no run."""
        return self._after(bisect_right(self._moments, moment))

    def at_seq(self, seq: int) -> tuple[int | None, str]:
        """The same as the event of this seq was recorded."""
        return self._after(bisect_right(self._seqs, seq))

    def _after(self, number: int) -> tuple[int | None, str]:
        if number == 0:
            return None, str(State.IDLE)
        _, _, run, state = self._changes[number - 1]
        return (None if state == State.IDLE else run), state


def between(session: Session, low: datetime, high: datetime) -> Runs:
    """The runs of the session that were not over by ``low`` and had begun by ``high``; one query."""
    # A run that is not over has been in its state since whenever, weeks before ``low`` maybe.
    there = Q(run__since__gte=low) | ~Q(run__state=State.IDLE)
    rows = StateChange.objects.filter(there, session=session, run__created_at__lte=high)
    return Runs(list(rows.order_by("seq").values_list("created_at", "seq", "run__number",
                                                      "to_state")))  # fmt: skip
