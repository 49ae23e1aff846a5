"""The recap on the hour sums up what aired, once, and only for a run that was live for a while."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from broadcast import recaps
from broadcast.models import Airing, Broadcast
from sessions_app.models import Session
from stories.models import Source, Story
from tests.conftest import MakeSession, make_post

pytestmark = pytest.mark.django_db

HOUR = datetime(2026, 11, 28, 15, 0, tzinfo=UTC)
TITLES = ("The bridge closes", "Is it frost?", "Bells ring", "A seal is counted")


def run_of(
    make_session: MakeSession, go_live: Callable[[Session], Broadcast], **settings: object
) -> Broadcast:
    """A run that has been live since two, with four stories aired since then."""
    session = make_session(**{"pace": 180, "model": "extractive", **settings})
    go_live(session)
    run = Broadcast.objects.get(session=session)
    source = Source.objects.get(session=session)
    for number, title in enumerate(TITLES):
        story = Story.objects.create(
            session=session,
            post=make_post(source, f"p{number}", f"{title} number {number}"),
            origin="extractive",
            state="aired",
            title=title,
            narrative=f"{title}.",
            word_count=3,
            duration=1,
            completed_at=HOUR,
            priority=("low", "high", "medium", "low")[number],
        )
        at = HOUR - timedelta(minutes=50 - 10 * number)
        Airing.objects.create(
            session=session, run=run, story=story, aired_at=at, finish_at=at, finished_at=at
        )
    Broadcast.objects.filter(pk=run.pk).update(live_at=HOUR - timedelta(hours=1))
    run.refresh_from_db()
    return run


def test_the_headlines_of_the_hour_are_read_in_the_order_they_aired(
    make_session: MakeSession, go_live: Callable[[Session], Broadcast]
) -> None:
    run = run_of(make_session, go_live)
    now = HOUR + timedelta(minutes=2)
    assert recaps.may_be_due(run, now)
    recap = recaps.add(run, now)
    assert recap is not None
    assert (recap.origin, recap.title) == ("recap", "The past hour in headlines")
    assert recap.narrative == (
        "Here are the headlines of the past hour. The bridge closes. Is it frost? Bells ring. "
        "A seal is counted."
    )
    Story.objects.filter(pk=recap.pk).update(created_at=now)
    assert recaps.add(run, now + timedelta(minutes=3)) is None


def test_what_aired_before_the_hour_is_not_read_again(
    make_session: MakeSession, go_live: Callable[[Session], Broadcast]
) -> None:
    run = run_of(make_session, go_live)
    before = Airing.objects.filter(story__title="Bells ring")
    before.update(aired_at=HOUR - timedelta(minutes=61))
    recap = recaps.add(run, HOUR)
    assert recap is not None
    assert "Bells" not in recap.narrative


def test_a_pulled_story_is_not_read_again(
    make_session: MakeSession, go_live: Callable[[Session], Broadcast]
) -> None:
    run = run_of(make_session, go_live)
    Story.objects.filter(title="Bells ring").update(state="killed")
    recap = recaps.add(run, HOUR)
    assert recap is not None
    assert "Bells" not in recap.narrative
    Story.objects.filter(pk=recap.pk).delete()
    Story.objects.filter(title="Is it frost?").update(state="killed")
    assert recaps.add(run, HOUR) is None


@pytest.mark.parametrize(
    ("chosen", "minutes", "due"),
    [
        ({}, 0, True),
        ({}, 9, True),
        ({}, 10, False),
        ({}, -1, False),
        ({"pace": 0}, 2, False),
        ({"language": "de"}, 2, False),
    ],
)
def test_a_recap_is_due_in_the_first_ten_minutes_of_an_hour(
    make_session: MakeSession,
    go_live: Callable[[Session], Broadcast],
    chosen: dict[str, object],
    minutes: int,
    due: bool,
) -> None:
    run = run_of(make_session, go_live, **chosen)
    # At a minute before the hour the hour before that one is too long ago.
    assert recaps.may_be_due(run, HOUR + timedelta(minutes=minutes)) is due


def test_a_run_that_has_just_begun_gets_none(
    make_session: MakeSession, go_live: Callable[[Session], Broadcast]
) -> None:
    run = run_of(make_session, go_live)
    run.live_at = HOUR - timedelta(minutes=29)
    assert not recaps.may_be_due(run, HOUR)
