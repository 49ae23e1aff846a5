"""A run that has been live for weeks: its old events are archived, and nobody misses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from broadcast import orchestrator, recordings
from broadcast.models import StateChange
from broadcast.trace import evidence, queries
from broadcast.trace.hops import Trace
from sessions_app import audits
from sessions_app.background import retention
from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import Archive, Artifact, Session, SessionEvent, SessionStats, Workspace
from sessions_app.realtime import frames
from stories.models import SourcePost, Story
from tests.archived_events import let_time_pass
from tests.broadcast.replay.test_frames import Stage, assert_equal, quick  # noqa: F401
from tests.broadcast.session_with_history import exported
from tests.broadcast.speech.recorded_session import press, show
from tests.concurrency import together
from tests.conftest import MakeSession, make_post, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

ClientOf = Callable[[User], Client]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of four, and the six newest stay."""
    monkeypatch.setattr(retention, "CHUNK", 4)
    monkeypatch.setattr(events_archive, "NEWEST", 6)


def go_on(session: Session, stories: int) -> None:
    """Stay on air until so many stories have been told in all."""
    while Story.objects.filter(session=session, state="aired").count() < stories:
        for kind in ("poll", "narrate", "finish_airing"):
            run_due_steps(session, kind, most=1)


def on_air(make_session: MakeSession) -> Session:
    session = show(make_session(model="extractive"))
    press(session, "broadcast.start")
    go_on(session, 3)
    return session


@pytest.fixture
@made_once
def long(make_session: MakeSession) -> Session:
    """On air for forty days: stories of its first day and of today."""
    session = on_air(make_session)
    let_time_pass(40)
    go_on(session, 5)
    return session


def archive(days: int = 0) -> int:
    """Archive a piece of what is older than thirty days, as many ``days`` from now."""
    now = timezone.now() + timedelta(days=days)
    return events_archive.archive_events(Workspace(keep_events_days=30), now)


def archive_all() -> None:
    assert archive() > 0
    while archive():
        pass


def rows(session: Session) -> list[int]:
    found = SessionEvent.objects.filter(session=session).order_by("seq")
    return list(found.values_list("seq", flat=True))


def test_old_events_of_a_live_run_are_archived(long: Session) -> None:
    old = SessionEvent.objects.filter(session=long, at__lt=timezone.now() - events_archive.A_DAY)
    many = old.count()
    assert many > 8
    archive_all()
    assert old.count() == 0
    assert sum(Archive.objects.values_list("count", flat=True)) == many
    assert orchestrator.active(long) is not None
    go_on(long, 6)
    assert list(audits.run()) == []


def test_what_is_young_or_newest_stays(long: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_archive, "NEWEST", len(rows(long)) - 3)
    archive_all()
    assert rows(long)[0] == 4


@pytest.mark.slow
def test_every_trace_is_intact_wherever_the_archive_ends(
    long: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    stories = [trace.story.pk for trace in queries.latest(long, 99)]
    known = {each: seqs(queries.find(long, each)) for each in stories}
    while archive():
        assert {trace.verdict for trace in queries.latest(long, 99)} == {"INTACT"}
        assert {each: seqs(queries.find(long, each)) for each in stories} == known


@pytest.mark.databases
@pytest.mark.parametrize("far", [0, 99])
def test_a_claim_long_before_its_story_is_found(
    long: Session, monkeypatch: pytest.MonkeyPatch, far: int
) -> None:
    monkeypatch.setattr(evidence, "FAR", far)
    story = Story.objects.filter(session=long).latest("pk")
    rows = SessionEvent.objects.filter(session=long)
    claim = rows.get(payload__post__id=story.post_id, payload__post__state="claimed")
    for _ in range(20):
        recorder.add_message(long, "system", "All is well.")
    let_time_pass(40)
    late = timezone.now() - timedelta(days=31)
    rows.filter(seq__gt=claim.seq).update(at=late)
    Story.objects.filter(pk=story.pk).update(created_at=late)
    story.airings.update(aired_at=late, finish_at=late, finished_at=late)
    archive_all()
    assert claim.seq in seqs(queries.find(long, story.pk))[1]


def seqs(trace: Trace) -> tuple[str, list[int | None]]:
    return trace.verdict, [hop.seq for hop in trace.hops]


def test_a_source_that_joined_the_run_late_is_told_from_on_air(long: Session) -> None:
    SourcePost.objects.filter(session=long, state="queued").update(state="skipped")
    source = press(long, "source.add", kind="rss", locator="https://news.example/feed.xml")
    post = make_post(source, "t1", "A lighthouse is lit again after forty years")
    run_due_steps(long, "narrate", most=1)
    trace = queries.page(long, None, 1).traces[0]
    assert (trace.story.post, trace.verdict) == (post, "INTACT")


def test_figures_feed_and_pages_stay_as_they_were(long: Session, client_of: ClientOf) -> None:
    stage = Stage(long, client_of(long.owner))
    before, head = stage.now(), SessionStats.objects.get(session=long)
    archive_all()
    assert stage.now() == before
    now = SessionStats.objects.get(session=long)
    assert recorder.figures(now) == recorder.figures(head)
    assert now.last_seq == head.last_seq + Archive.objects.count()


def caught_up(session: Session, audience: str, after: int) -> tuple[list[dict[str, Any]], int]:
    texts, reached = frames.since(frames.Missed(session.pk, audience, "json", after))
    return [json.loads(text) for text in texts], reached


def test_whoever_missed_what_is_archived_by_now_loads_anew(long: Session) -> None:
    archive_all()
    first, *_, last = rows(long)
    for audience in (recorder.OWNER, recorder.PUBLIC):
        [frame], reached = caught_up(long, audience, first - 2)
        assert (frame["type"], frame["seq"]) == ("reload", reached)
        assert first <= reached <= last


def test_whoever_missed_less_gets_each_frame_once_and_in_order(long: Session) -> None:
    archive_all()
    first, *_, last = rows(long)
    frames, reached = caught_up(long, recorder.OWNER, first - 1)
    assert [frame["seq"] for frame in frames] == list(range(first, last + 1))
    assert reached == last
    told, _ = caught_up(long, recorder.PUBLIC, first - 1)
    assert [frame["type"] for frame in told].count("story.aired") == 2


def test_a_program_that_was_told_to_load_anew_is_told_so_once(long: Session) -> None:
    """Also where nothing was public for so long that all of it is archived."""
    public = SessionEvent.objects.filter(session=long, type__in=recorder.public_types())
    let_time_pass(40)
    for _ in range(7):
        recorder.add_message(long, "system", "All is well.")
    archive_all()
    assert not public.exists()
    _, reached = caught_up(long, recorder.PUBLIC, 3)
    assert caught_up(long, recorder.PUBLIC, reached) == ([], reached)


def test_the_recording_of_the_whole_run_is_complete(long: Session) -> None:
    before = {each.seq: line(each) for each in SessionEvent.objects.filter(session=long)}
    archive_all()
    press(long, "broadcast.stop")
    run_due_steps(long, recordings.RECORD)
    kept = Artifact.objects.get(session=long, category="recordings")
    lines = [json.loads(text) for text in storage.full_path(kept.path).read_text().splitlines()]
    seqs = StateChange.objects.order_by("seq").values_list("seq", flat=True)
    assert [each["seq"] for each in lines] == list(range(seqs[0], list(seqs)[-1] + 1))
    assert [each for each in lines if each["seq"] in before] == [
        before[seq] for seq in sorted(before) if seq >= seqs[0]
    ]


def line(event: SessionEvent) -> dict[str, Any]:
    at = recorder.timestamp(event.at)
    data = frames.published(event.type, event.payload)
    return {"seq": event.seq, "type": event.type, "at": at, "data": data}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("audience", [recorder.OWNER, recorder.PUBLIC])
@pytest.mark.slow
def test_the_whole_run_is_played_again(
    make_session: MakeSession, client_of: ClientOf, audience: str
) -> None:
    session = on_air(make_session)
    stage = Stage(session, client_of(session.owner))
    assert [archive(days=40) for _ in range(3)] == [4, 4, 4]
    press(session, "broadcast.stop")
    run_due_steps(session)
    then = stage.now()[audience]
    again = stage.again(1, audience)
    assert_equal(again, then)


@pytest.mark.databases
def test_an_export_in_the_middle_of_the_run_has_every_event(long: Session) -> None:
    before = json.loads(exported(long, "json"))["events"]
    archive_all()
    found = json.loads(exported(long, "json"))["events"]
    assert found[: len(before)] == before
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))


def test_the_host_goes_on_while_its_record_is_archived(long: Session) -> None:
    def work(index: int) -> None:
        go_on(long, 8) if index else archive_all()

    assert together(2, work) == [None, None]
    assert rows(long)[0] > 8
    assert list(audits.run()) == []
