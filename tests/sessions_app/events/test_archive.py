"""Old events go to files among the artifacts, and everybody reads on as if they had not."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError
from django.utils import timezone

from sessions_app import audits
from sessions_app.background import retention  # fmt: skip
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
    """Pieces of four, and the three newest stay."""
    monkeypatch.setattr(retention, "CHUNK", 4)
    monkeypatch.setattr(events_archive, "NEWEST", 3)


@pytest.fixture
def told(session: Session) -> Session:
    """A session with twelve events, all but the last of them old."""
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
def test_old_events_go_to_files_piece_by_piece(told: Session) -> None:
    before = read(told)
    assert [archive() for _ in range(4)] == [4, 4, 3, 0]
    spans = Archive.objects.order_by("first").values_list("first", "last", "count")
    assert list(spans) == [(1, 4, 4), (5, 8, 4), (9, 11, 3)]
    # Each archive is an event of its own, so three came and the record goes on.
    assert live(told) == [12, 13, 14, 15]
    assert read(told)[:12] == before
    assert list(audits.run()) == []


@pytest.mark.databases
def test_an_archive_is_an_artifact_whose_file_is_whole(told: Session) -> None:
    archive()
    kept = Artifact.objects.get(session=told)
    assert (kept.category, kept.media_type, kept.state) == ("archive", "application/gzip", "ready")
    assert [file.name for file in all_files(told)] == [kept.name]
    written = SessionEvent.objects.filter(session=told).latest("seq")
    assert (written.type, written.payload["artifact"]["name"]) == ("artifact.kept", kept.name)


def test_the_newest_events_stay_however_old_they_are(told: Session) -> None:
    grow_old(told, 12)
    archive_all()
    assert len(live(told)) >= 3
    grow_old(told, 99)
    assert archive(timezone.now() + timedelta(hours=25)) <= 4
    assert len(live(told)) >= 3


@pytest.mark.databases
def test_what_pages_catch_up_with_stays() -> None:
    assert Workspace().keep_events_days == 90
    source = Path(events_archive.__file__).read_text("utf-8")
    assert f"NEWEST = {frames.CATCH_UP_MOST} " in source


def test_young_events_stay(told: Session) -> None:
    grow_old(told, 12, days=89)
    assert archive() == 0


@pytest.mark.databases
def test_the_days_of_the_workspace_are_used(told: Session) -> None:
    grow_old(told, 12, days=6)
    assert events_archive.archive_events(Workspace(keep_events_days=5), timezone.now()) == 4


def test_a_session_with_a_run_is_no_exception(
    told: Session, go_live: Callable[[Session], Any]
) -> None:
    go_live(told)
    assert archive() == 4


@pytest.mark.databases
def test_a_rest_is_archived_once_a_day(told: Session) -> None:
    archive_all()
    grow_old(told, 12)
    assert archive() == 0
    assert archive(timezone.now() + timedelta(hours=25)) == 1


@pytest.mark.databases
def test_an_old_event_behind_a_young_one_waits(told: Session) -> None:
    SessionEvent.objects.filter(session=told, seq=3).update(at=timezone.now())
    assert [archive(), archive()] == [2, 0]
    assert live(told)[0] == 3


@pytest.mark.databases
def test_whoever_died_before_the_rows_made_no_difference(
    told: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(told)

    def die(*_: Any) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "record", die)
        with pytest.raises(OperationalError):
            archive()
    left = all_files(told)
    assert (len(left), Archive.objects.count(), read(told)) == (1, 0, before)
    assert archive() == 4
    assert all_files(told) == left


@pytest.mark.databases
def test_what_a_death_left_goes_when_it_is_old(told: Session) -> None:
    folder = artifacts.folder(told, "archive")
    folder.mkdir(parents=True)
    for name in ("events-1-9-left.ndjson.gz", "events-1-9.0a1b.part"):
        (folder / name).write_bytes(b"half")
    archive()
    assert len(all_files(told)) == 3
    for file in all_files(told):
        os.utime(file, (0, 0))
    archive()
    assert len(all_files(told)) == Archive.objects.count() == 2


@pytest.mark.databases
def test_of_two_that_archive_the_same_one_does(told: Session) -> None:
    rows = SessionEvent.objects.filter(session=told, seq__lte=4)
    lines = [events_archive.line_of(row) for row in rows.order_by("seq")]
    assert events_archive.pack(told, "events", "seq", lines, rows) == 4
    assert events_archive.pack(told, "events", "seq", lines, rows) == 0
    assert len(all_files(told)) == 1
    assert events_archive.pack(told, "events", "seq", lines[:2], rows) == 0
    assert len(all_files(told)) == 1
    assert list(audits.run()) == []


def test_a_full_disk_is_no_end(told: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(storage, "write", full)
    assert archive() == 0
    assert live(told) == list(range(1, 13))


@pytest.mark.databases
def test_a_part_of_the_record_is_read_across_archives(told: Session) -> None:
    before = read(told)
    archive_all()
    for first, last in ((1, 1), (2, 3), (3, 6), (4, 5), (8, 11), (9, 10), (12, 12), (5, 4)):
        assert read(told, first, last) == before[first - 1 : last]
    assert read(told, 1, 12, audience=recorder.PUBLIC) == []


@pytest.mark.databases
def test_a_damaged_archive_says_so_and_hides_nothing_else(told: Session) -> None:
    archive_all()
    damaged = spoil(told, 5)
    with pytest.raises(Damaged, match="events 5 to 8 are in events-000000005"):
        read(told)
    assert [each[0] for each in read(told, 1, 4)] == [1, 2, 3, 4]
    newest = events_archive.newest_events(told, None, 50)
    shown = [each.seq for each in newest]
    assert shown == [15, 14, 13, 12, 11, 10, 9, 5, 4, 3, 2, 1]
    assert newest[7].type == events_archive.DAMAGED
    assert newest[7].payload["last"] == damaged.last
    assert [each.audit for each in audits.run()] == ["archives", "artifacts"]


@pytest.mark.databases
def test_a_missing_archive_is_found(told: Session) -> None:
    archive()
    (file,) = all_files(told)
    file.unlink()
    (finding,) = audits.run("archives")
    assert "damaged or gone" in finding.detail
    assert finding.session == str(told.pk)


@pytest.mark.databases
def test_an_archive_that_was_lost_with_its_row_is_a_hole(told: Session) -> None:
    archive_all()
    Archive.objects.filter(first=5).delete()
    (finding,) = audits.run("events")
    assert finding.detail == "events are not gapless: 11 of 15"


@pytest.mark.databases
def test_a_page_that_missed_what_is_archived_loads_itself_anew(told: Session) -> None:
    archive_all()
    since = async_to_sync(frames.since)
    texts, reached = since(told.pk, recorder.OWNER, "json", 8)
    assert (len(texts), '"reload"' in texts[0], reached) == (1, True, 15)
    texts, reached = since(told.pk, recorder.OWNER, "json", 11)
    assert (len(texts), reached) == (4, 15)
    texts, reached = since(told.pk, recorder.PUBLIC, "json", 3)
    assert ('"reload"' in texts[0], reached) == (True, 11)


@pytest.mark.databases
def test_another_sessions_events_stay_where_they_are(
    told: Session, make_session: MakeSession
) -> None:
    other = make_session("Other")
    archive_all()
    assert live(other) == [1, 2]
