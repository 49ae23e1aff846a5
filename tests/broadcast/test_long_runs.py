"""A run that has been live for weeks: its old events are archived, and nobody misses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from broadcast import orchestrator, recordings
from broadcast.models import StateChange
from broadcast.trace import listing
from broadcast.trace.hops import Trace
from sessions_app import (
    archives,
    archiving,
    audits,
    commands,
    events,
    files,
    news,
    record_reading,
    retention,
)
from sessions_app.models import Archive, Artifact, Session, SessionEvent, Workspace
from stories import reading
from stories.models import SourcePost, Story
from stories.reading import SourceSpec
from tests.broadcast.hearing import press, show
from tests.broadcast.test_replay import Stage, load, play, quick  # noqa: F401
from tests.broadcast.told import exported
from tests.conftest import MakeSession, make_post, run_due_steps
from tests.keeping import let_time_pass

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

ClientOf = Callable[[User], Client]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of four, and the six newest stay."""
    monkeypatch.setattr(retention, "CHUNK", 4)
    monkeypatch.setattr(archiving, "NEWEST", 6)


def go_on(session: Session, stories: int) -> None:
    """Stay on air until so many stories have been told in all."""
    while Story.objects.filter(session=session, state="aired").count() < stories:
        for kind in ("poll", "narrate", "finish_airing"):
            run_due_steps(session, kind, most=1)


@pytest.fixture
def long(make_session: MakeSession) -> Session:
    """On air for forty days: stories of its first day and of today."""
    session = show(make_session(model="extractive"))
    press(session, "broadcast.start")
    go_on(session, 3)
    let_time_pass(40)
    go_on(session, 5)
    return session


def archive() -> int:
    return archiving.archive_events(Workspace(keep_events_days=30), timezone.now())


def archive_all() -> None:
    while archive():
        pass


def rows(session: Session) -> list[int]:
    found = SessionEvent.objects.filter(session=session).order_by("seq")
    return list(found.values_list("seq", flat=True))


def test_old_events_of_a_live_run_are_archived(long: Session) -> None:
    old = SessionEvent.objects.filter(session=long, at__lt=timezone.now() - archiving.A_DAY)
    many = old.count()
    assert many > 8
    archive_all()
    assert old.count() == 0
    assert sum(Archive.objects.values_list("count", flat=True)) == many
    assert orchestrator.active(long) is not None
    go_on(long, 6)
    assert list(audits.run()) == []


def test_what_is_young_or_newest_stays(long: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "NEWEST", len(rows(long)) - 3)
    archive_all()
    assert rows(long)[0] == 4


def test_every_trace_is_intact_wherever_the_archive_ends(
    long: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 1)
    stories = [trace.story.pk for trace in listing.latest(long, 99)]
    known = {each: seqs(listing.find(long, each)) for each in stories}
    while archive():
        assert {trace.verdict for trace in listing.latest(long, 99)} == {"INTACT"}
        assert {each: seqs(listing.find(long, each)) for each in stories} == known


def seqs(trace: Trace) -> tuple[str, list[int | None]]:
    return trace.verdict, [hop.seq for hop in trace.hops]


def test_a_source_that_joined_the_run_late_is_told_from_on_air(long: Session) -> None:
    SourcePost.objects.filter(session=long, state="queued").update(state="skipped")
    source = press(long, "source.add", kind="rss", locator="https://news.example/feed.xml")
    post = make_post(source, "t1", "A lighthouse is lit again after forty years")
    run_due_steps(long, "narrate", most=1)
    trace = listing.page(long, None, 1).traces[0]
    assert (trace.story.post, trace.verdict) == (post, "INTACT")
