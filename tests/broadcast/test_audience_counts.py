"""The size of the audience: counted by pages and pieces of sound, and nothing of anyone in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from broadcast.models import Broadcast
from broadcast.stream import plan
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import presence
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live(session: Session, go_live: Callable[[Session], Any]) -> Session:
    go_live(session)
    run_due_steps(session, most=2)
    return session


def peak(session: Session) -> int:
    return Broadcast.objects.get(session=session).peak_audience


def listen(session: Session, most: int) -> None:
    """So many players get each piece of sound that is live, and those before it."""
    live = plan.slot_of(timezone.now())
    for piece in range(live - 8, live + 1):
        for _ in range(most):
            presence.note_sound(session.pk, piece)


def test_viewers_of_all_processes_are_added_and_renewed(live: Session) -> None:
    presence.note_viewers("one", {live.pk: 3})
    presence.note_viewers("two", {live.pk: 4, uuid4(): 9})
    assert presence.viewers(live.pk) == 7
    presence.note_viewers("one", {live.pk: 1})
    assert presence.viewers(live.pk) == 5
    # A process that died is counted for a moment only.
    old = int(time.time()) - presence.COUNT_LASTS - 1
    recorder.redis_client().hset(f"smnb:viewers:{live.pk}", "two", f"4 {old}")
    assert presence.viewers(live.pk) == 1
    assert presence.viewers(uuid4()) == 0


def test_listeners_are_the_players_that_got_the_same_piece(live: Session) -> None:
    presence.note_sound(live.pk, 41)
    presence.note_sound(live.pk, 41)
    presence.note_sound(live.pk, 42)
    # Those of the endless MP3 are known to their process, which may say so twice.
    presence.note_sound(live.pk, 41, "one", 5)
    presence.note_sound(live.pk, 41, "one", 6)
    presence.note_sound(live.pk, 41, "two", 1)
    assert (presence.listeners(live.pk, 41), presence.listeners(live.pk, 42)) == (9, 1)
    assert presence.listeners(live.pk, 43) == 0


def test_the_run_stores_its_largest_audience(live: Session) -> None:
    listen(live, 2)
    presence.note_viewers("one", {live.pk: 3})
    assert peak(live) == 5
    presence.note_viewers("one", {live.pk: 1})
    assert peak(live) == 5
    presence.note_viewers("two", {live.pk: 20})
    assert peak(live) == 23
    Broadcast.objects.filter(session=live).update(state="idle", peak_audience=0)
    presence.note_viewers("two", {live.pk: 30})
    assert peak(live) == 0


def test_nothing_of_a_viewer_or_a_listener_is_stored(live: Session) -> None:
    listen(live, 1)
    presence.note_viewers("one", {live.pk: 3})
    client = recorder.redis_client()
    keys = client.keys(f"smnb:*{live.pk}*")
    assert len(keys) == 10
    for key in keys:
        fields = client.hgetall(key)
        assert 0 < client.ttl(key) <= presence.SOUND_LASTS
        assert set(fields) <= {b"one", b"segments"}
        assert all(part.isdigit() for value in fields.values() for part in value.split())


def test_live_stats_show_the_audience(
    live: Session, client_of: Callable[[User], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(live, 2)
    presence.note_viewers("one", {live.pk: 1234})
    page = " ".join(
        client_of(live.owner).get(f"/stats/?session={live.pk}").content.decode().split()
    )
    assert "<dt>Audience now</dt> <dd> <strong>1,236</strong>" in page
    assert "1,234 watching, 2 listening; peak&nbsp;1,236" in page
    # Without Redis nothing is known, which is not zero.
    monkeypatch.setattr(presence, "viewers", lambda _: None)
    page = client_of(live.owner).get(f"/stats/?session={live.pk}").content.decode()
    assert "\N{EN DASH} watching, 2 listening" in page
