"""A few simulated schedules, and proof that the simulation notices what is broken.

``make chaos`` plays many more: see tests/chaos/simulation.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.db import connection

from sessions_app.background import sweeper
from sessions_app.models import SessionEvent
from stories.usage import budget
from tests.chaos import simulation
from tests.chaos.compiled_queries import Chain
from tests.chaos.simulation import Fault, World, on_stage

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "os.environ.get('SMNB_TEST_DATABASE') == 'postgres'", reason="Its clock is SQLite's."
    ),
]

SCHEDULES = 25


def test_no_schedule_loses_or_doubles_anything(owner: User) -> None:
    with on_stage(owner) as play:
        worlds = [play(seed) for seed in range(SCHEDULES)]
        # What the schedules did, so that they are known to try something.
        done = {name for world in worlds for name in world.log}
        assert {"kill", "freeze", "thaw", "time", "clock", "sweep", "look", "deliver"} <= done
        assert sum(len(world.asked) for world in worlds) > SCHEDULES
        # The same seed gives the same schedule.
        assert play(3).log == worlds[3].log
    assert connection.connection is None


def test_queries_that_are_compiled_once_ask_what_django_asks(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def courses() -> list[tuple[list[str], list[int], list[str]]]:
        with on_stage(owner) as play:
            worlds = [play(seed) for seed in range(6)]
            events = SessionEvent.objects.order_by("seq")
            return [
                (
                    world.log,
                    sorted(counts.output for counts in world.asked.values()),
                    list(events.filter(session=world.session.pk).values_list("type", flat=True)),
                )
                for world in worlds
            ]

    known: list[bool] = []
    asked = Chain.asked

    def noting(chain: Chain, *args: Any) -> Any:
        statement, values = asked(chain, *args)
        known.append(statement is not None)
        return statement, values

    monkeypatch.setattr(Chain, "asked", noting)
    found = courses()
    # Nearly nothing is left to Django.
    assert len(known) > 100
    assert known.count(False) < len(known) / 50
    monkeypatch.setattr(simulation, "compiled_once", lambda _: nullcontext())
    assert courses() == found


def play_all(play: Callable[[int], World], seeds: range) -> None:
    for seed in seeds:
        play(seed)


def test_a_sweeper_that_sends_nothing_is_noticed(owner: User) -> None:
    with (
        patch.object(sweeper, "poke_overdue", lambda: 0),
        on_stage(owner) as play,
        pytest.raises(Fault, match="steps open after"),
    ):
        play_all(play, range(10))


def test_a_budget_that_is_not_held_is_noticed(owner: User) -> None:
    with (
        patch.object(budget, "_refuse_if_over", lambda *_: None),
        on_stage(owner) as play,
        pytest.raises(Fault, match="of a budget of"),
    ):
        play_all(play, range(0, 90, 3))
