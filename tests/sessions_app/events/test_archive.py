"""Old events are archived as files, and readers get them together with the rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from sessions_app import audits
from sessions_app.background import retention
from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.events.archive import Damaged
from sessions_app.files import artifacts, storage
from sessions_app.models import Archive, Artifact, Session, SessionEvent, Workspace
from sessions_app.realtime import frames
from tests.archived_events import archive, archive_all, fill, grow_old, spoil
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives four events at a time and never the three newest."""
    monkeypatch.setattr(retention, "CHUNK", 4)
    monkeypatch.setattr(events_archive, "NEWEST", 3)


@pytest.fixture
def aged_session(session: Session) -> Session:
    """Returns a session with twelve events, of which all but the last are old."""
    fill(session, 12)
    grow_old(session, 11)
    return session


def live(session: Session) -> list[int]:
    rows = SessionEvent.objects.filter(session=session).order_by("seq")
    return list(rows.values_list("seq", flat=True))


def read(session: Session, first: int = 1, last: int = 99, **more: Any) -> list[tuple[Any, ...]]:
    found = events_archive.events_between(session, first, last, **more)
    return [(each.seq, each.type, each.payload, each.at) for each in found]


def all_files(session: Session) -> list[Path]:
    return sorted(artifacts.folder(session, "archive").glob("*"))


@pytest.mark.databases
def test_old_events_are_archived_a_chunk_at_a_time(aged_session: Session) -> None:
    before = read(aged_session)
    assert [archive() for _ in range(4)] == [4, 4, 3, 0]
    spans = Archive.objects.order_by("first").values_list("first", "last", "count")
    assert list(spans) == [(1, 4, 4), (5, 8, 4), (9, 11, 3)]
    # Each archive adds an event, so there are three new ones.
    assert live(aged_session) == [12, 13, 14, 15]
    assert read(aged_session)[:12] == before
    assert list(audits.run()) == []


def test_an_archive_is_an_artifact_whose_file_is_whole(aged_session: Session) -> None:
    archive()
    artifact = Artifact.objects.get(session=aged_session)
    assert (artifact.category, artifact.media_type, artifact.state) == (
        "archive",
        "application/gzip",
        "ready",
    )
    assert [file.name for file in all_files(aged_session)] == [artifact.name]
    written = SessionEvent.objects.filter(session=aged_session).latest("seq")
    assert (written.type, written.payload["artifact"]["name"]) == ("artifact.kept", artifact.name)


def test_the_newest_events_stay_however_old_they_are(aged_session: Session) -> None:
    grow_old(aged_session, 12)
    archive_all()
    assert len(live(aged_session)) >= 3
    grow_old(aged_session, 99)
    assert archive(timezone.now() + timedelta(hours=25)) <= 4
    assert len(live(aged_session)) >= 3


def test_the_events_that_pages_catch_up_with_stay() -> None:
    assert Workspace().keep_events_days == 90
    source = Path(events_archive.__file__).read_text("utf-8")
    assert f"NEWEST = {frames.CATCH_UP_MOST} " in source


def test_young_events_stay(aged_session: Session) -> None:
    grow_old(aged_session, 12, days=89)
    assert archive() == 0


def test_the_days_of_the_workspace_are_used(aged_session: Session) -> None:
    grow_old(aged_session, 12, days=6)
    assert events_archive.archive_events(Workspace(keep_events_days=5), timezone.now()) == 4


def test_a_session_on_air_is_archived_too(
    aged_session: Session, go_live: Callable[[Session], Any]
) -> None:
    go_live(aged_session)
    assert archive() == 4


def test_less_than_a_chunk_is_archived_once_a_day(aged_session: Session) -> None:
    archive_all()
    grow_old(aged_session, 12)
    assert archive() == 0
    assert archive(timezone.now() + timedelta(hours=25)) == 1


def test_an_old_event_behind_a_young_one_waits(aged_session: Session) -> None:
    SessionEvent.objects.filter(session=aged_session, seq=3).update(at=timezone.now())
    assert [archive(), archive()] == [2, 0]
    assert live(aged_session)[0] == 3


def test_a_file_of_a_process_that_died_is_used_by_the_next(
    aged_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(aged_session)

    def die(*_: Any) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "record", die)
        with pytest.raises(OperationalError):
            archive()
    left = all_files(aged_session)
    assert (len(left), Archive.objects.count(), read(aged_session)) == (1, 0, before)
    assert archive() == 4
    assert all_files(aged_session) == left


def test_old_files_without_a_row_are_removed(aged_session: Session) -> None:
    folder = artifacts.folder(aged_session, "archive")
    folder.mkdir(parents=True)
    for name in ("events-1-9-left.ndjson.gz", "events-1-9.0a1b.part"):
        (folder / name).write_bytes(b"half")
    archive()
    assert len(all_files(aged_session)) == 3
    for file in all_files(aged_session):
        os.utime(file, (0, 0))
    archive()
    assert len(all_files(aged_session)) == Archive.objects.count() == 2


@pytest.mark.databases
def test_of_two_processes_one_archives_the_same_events(aged_session: Session) -> None:
    rows = SessionEvent.objects.filter(session=aged_session, seq__lte=4)
    lines = [events_archive.line_of(row) for row in rows.order_by("seq")]
    assert events_archive.pack(aged_session, "events", "seq", lines, rows) == 4
    assert events_archive.pack(aged_session, "events", "seq", lines, rows) == 0
    assert len(all_files(aged_session)) == 1
    assert events_archive.pack(aged_session, "events", "seq", lines[:2], rows) == 0
    assert len(all_files(aged_session)) == 1
    assert list(audits.run()) == []


def test_on_a_full_disk_the_events_stay(
    aged_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(storage, "write", full)
    assert archive() == 0
    assert live(aged_session) == list(range(1, 13))


@pytest.mark.databases
def test_a_range_of_events_is_read_across_archives(aged_session: Session) -> None:
    before = read(aged_session)
    archive_all()
    for first, last in ((1, 1), (2, 3), (3, 6), (4, 5), (8, 11), (9, 10), (12, 12), (5, 4)):
        assert read(aged_session, first, last) == before[first - 1 : last]
    assert read(aged_session, 1, 12, audience=recorder.PUBLIC) == []


def test_a_damaged_archive_says_so_and_hides_nothing_else(aged_session: Session) -> None:
    archive_all()
    damaged = spoil(aged_session, 5)
    with pytest.raises(Damaged, match="events 5 to 8 are in events-000000005"):
        read(aged_session)
    assert [each[0] for each in read(aged_session, 1, 4)] == [1, 2, 3, 4]
    newest = events_archive.newest_events(aged_session, None, 50)
    shown = [each.seq for each in newest]
    assert shown == [15, 14, 13, 12, 11, 10, 9, 5, 4, 3, 2, 1]
    assert newest[7].type == events_archive.DAMAGED
    assert newest[7].payload["last"] == damaged.last
    assert [each.audit for each in audits.run()] == ["archives", "artifacts"]


def test_a_missing_archive_is_found(aged_session: Session) -> None:
    archive()
    (file,) = all_files(aged_session)
    file.unlink()
    (finding,) = audits.run("archives")
    assert "damaged or gone" in finding.detail
    assert finding.session == str(aged_session.pk)


@pytest.mark.databases
def test_an_archive_that_was_lost_with_its_row_leaves_a_gap(aged_session: Session) -> None:
    archive_all()
    Archive.objects.filter(first=5).delete()
    (finding,) = audits.run("events")
    assert finding.detail == "events are not gapless: 11 of 15"


def test_a_page_that_missed_archived_events_is_made_to_reload(aged_session: Session) -> None:
    archive_all()

    def since(audience: str, after: int) -> tuple[list[str], int]:
        return frames.since(frames.Missed(aged_session.pk, audience, "json", after))

    texts, reached = since(recorder.OWNER, 8)
    assert (len(texts), '"reload"' in texts[0], reached) == (1, True, 15)
    texts, reached = since(recorder.OWNER, 11)
    assert (len(texts), reached) == (4, 15)
    texts, reached = since(recorder.PUBLIC, 3)
    assert ('"reload"' in texts[0], reached) == (True, 11)


def test_another_sessions_events_stay_where_they_are(
    aged_session: Session, make_session: MakeSession
) -> None:
    other = make_session("Other")
    archive_all()
    assert live(other) == [1, 2]
