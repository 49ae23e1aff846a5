"""Go Live pressed twice at the same moment, thousands of times by four processes: one run each time."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from functools import partial

import pytest

from broadcast.models import Broadcast, StateChange
from broadcast.states import State
from sessions_app import audits
from sessions_app.errors import Conflict
from sessions_app.models import Session, Step
from tests.broadcast_runs import press, state_of
from tests.concurrency import PATIENCE, forked

PRESSES = int(os.environ.get("PRESSES", "10000"))
PROCESSES = 4
ROUNDS = PRESSES // PROCESSES


@pytest.mark.timeout(3600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_of_those_who_press_go_live_at_once_one_starts_a_run(session: Session) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES)
    # Who got a run, and who was refused, by round and process.
    started, refused = (context.Array("b", ROUNDS * PROCESSES, lock=False) for _ in range(2))

    def presser(number: int) -> None:
        for round_ in range(ROUNDS):
            barrier.wait(PATIENCE)
            try:
                press(session, "start")
                started[round_ * PROCESSES + number] = 1
            except Conflict:
                refused[round_ * PROCESSES + number] = 1
            barrier.wait(PATIENCE)
            # Another one each time, so that nobody is always first.
            if number == round_ % PROCESSES:
                press(session, "stop")

    pids = [forked(partial(presser, number)) for number in range(PROCESSES)]
    assert {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids} == {0}
    runs_of_rounds = Counter(
        sum(started[at : at + PROCESSES]) for at in range(0, ROUNDS * PROCESSES, PROCESSES)
    )
    assert runs_of_rounds == {1: ROUNDS}
    assert sum(refused) == ROUNDS * (PROCESSES - 1)
    assert Broadcast.objects.count() == ROUNDS
    assert StateChange.objects.filter(to_state=State.STARTING).count() == ROUNDS
    assert Step.objects.filter(kind="narrate").count() == ROUNDS
    assert state_of(session) == State.IDLE
    assert list(audits.run()) == []
