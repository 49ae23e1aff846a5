"""Log files become artifacts, and lines are found by id, request and text."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import structlog
from django.core.management import CommandError, call_command
from django.utils import timezone

from sessions_app import context
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session, SessionEvent
from sessions_app.session_logs import catalog, reader, writer
from sessions_app.session_logs.reader import ByteBudget, LogQuery, lines_backwards
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db

log = structlog.get_logger("tests")
YESTERDAY = timezone.now().date() - timedelta(days=1)


def say(session: Session, event: str, environment: str = "worker", **fields: Any) -> None:
    with context.scope(**context.session_fields(session), environment=environment, **fields):
        log.info(event)


def write(session: Session, day: date, text: str = '{"id":"x"}\n') -> writer.LogFile:
    file = writer.LogFile(session.folder, "logs", "worker", day)
    path = storage.full_path(file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return file


def test_a_file_that_is_written_has_an_open_row_that_follows_it(session: Session) -> None:
    say(session, "one")
    catalog.update_artifacts(session)
    row = Artifact.objects.get(name__startswith="worker")
    assert (row.category, row.state, row.sha256) == ("logs", "open", "")
    say(session, "two")
    catalog.update_artifacts(session)
    row.refresh_from_db()
    assert row.bytes == storage.full_path(row.path).stat().st_size


def test_when_the_day_is_over_the_row_gets_its_hash(session: Session) -> None:
    file = write(session, YESTERDAY - timedelta(days=1))
    assert catalog.update_artifacts(session) == 1
    row = Artifact.objects.get(path=file.path)
    text = storage.full_path(file.path).read_bytes()
    assert (row.state, row.sha256) == ("ready", hashlib.sha256(text).hexdigest())
    assert catalog.update_artifacts(session) == 0
    assert SessionEvent.objects.filter(session=session, type="artifact.kept").count() == 1


def test_an_open_row_is_closed_once_its_day_is_over(session: Session) -> None:
    file = write(session, YESTERDAY - timedelta(days=1))
    Artifact.objects.create(
        session=session, category="logs", state="open", path=file.path, name="x"
    )
    catalog.update_artifacts(session)
    assert Artifact.objects.get(path=file.path).state == "ready"


def test_shortly_after_midnight_the_day_is_not_over_yet() -> None:
    file = writer.LogFile("f", "logs", "worker", date(2026, 1, 1))
    assert not file.over(datetime(2026, 1, 2, 0, 4, tzinfo=UTC))
    assert file.over(datetime(2026, 1, 2, 0, 6, tzinfo=UTC))


def test_a_removed_file_that_is_written_again_is_there_again(session: Session) -> None:
    say(session, "one")
    catalog.update_artifacts(session)
    Artifact.objects.filter(name__startswith="worker").update(state="ready")
    row = Artifact.objects.get(name__startswith="worker")
    artifacts.remove(row)
    storage.remove(row.path)
    say(session, "two")
    catalog.update_artifacts(session)
    row.refresh_from_db()
    assert row.state == "open"


def test_more_sessions_than_files_are_kept_open_each_get_their_own_lines(
    make_session: MakeSession,
) -> None:
    sessions = [make_session(f"Session {number}") for number in range(writer.MAX_OPEN_FILES + 2)]
    for event in ("one", "two"):
        for session in sessions:
            say(session, event)
    for session in sessions:
        lines = reader.find(session.folder, LogQuery(environment="worker")).lines
        assert [line["event"] for line in lines] == ["two", "one"]
        assert {line["session"] for line in lines} == {str(session.pk)}


def test_the_sweepers_first_look_is_at_all_folders_and_then_it_rests(
    make_session: MakeSession,
) -> None:
    sessions = [make_session(name) for name in ("One", "Two")]
    for session in sessions:
        write(session, YESTERDAY - timedelta(days=400))
    keeper = catalog.CatalogRound()
    keeper(1.0)
    assert Artifact.objects.filter(state="ready", session__in=sessions).count() == 2
    write(sessions[0], YESTERDAY - timedelta(days=399))
    keeper(2.0)
    assert Artifact.objects.filter(state="ready", session__in=sessions).count() == 2


def test_lines_of_all_environments_are_read_newest_first(session: Session) -> None:
    for number, environment in enumerate(["server", "worker", "agent", "worker"]):
        say(session, f"line {number}", environment)
    found = [line["event"] for line in catalog.find(session, LogQuery(text="line ")).lines]
    assert found == ["line 3", "line 2", "line 1", "line 0"]
    only = catalog.find(session, LogQuery(text="line ", environment="worker")).lines
    assert [line["event"] for line in only] == ["line 3", "line 1"]


def test_a_level_takes_what_is_worse_too(session: Session) -> None:
    with context.scope(**context.session_fields(session), environment="worker"):
        for write_line in (log.info, log.warning, log.error):
            write_line("logged")
    found = catalog.find(session, LogQuery(level="warning")).lines
    assert [line["level"] for line in found] == ["error", "warning"]


def test_a_line_is_found_by_its_id_and_its_request(session: Session) -> None:
    say(session, "asked", request="aaaaaaaa")
    say(session, "other", request="bbbbbbbb")
    (line,) = catalog.find(session, LogQuery(request="aaaaaaaa")).lines
    assert line["event"] == "asked"
    (same,) = catalog.find(session, LogQuery(text=line["id"])).lines
    assert same == line


def test_a_search_ends_where_it_gets_too_long_and_goes_on_from_there(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(session, "needle")
    for number in range(1500):
        say(session, f"hay {number}")
    monkeypatch.setattr("sessions_app.session_logs.reader.CHUNK", 4096)
    monkeypatch.setitem(reader.find.__kwdefaults__ or {}, "most_bytes", 100_000)
    wanted, pages = LogQuery(text="needle"), 0
    page = catalog.find(session, wanted)
    while not page.lines:
        assert page.next
        assert page.stopped is not None
        wanted, pages = LogQuery(text="needle", before=page.next), pages + 1
        page = catalog.find(session, wanted)
    assert (page.lines[0]["event"], pages > 1) == ("needle", True)


@pytest.mark.parametrize("chunk", [1, 3, 64, 1000])
def test_lines_are_read_backwards_whole(
    session: Session, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("sessions_app.session_logs.reader.CHUNK", chunk)
    file = write(session, YESTERDAY, "first\nsecond line\n\nlast\nhalf a li")
    found = [line for line in lines_backwards(file.path, ByteBudget(10**9)) if line != b"half a li"]
    assert found == [b"last", b"second line", b"first"]


def test_the_command_prints_a_line_or_a_request(session: Session) -> None:
    say(session, "asked", request="cccccccc")
    shown = io.StringIO()
    call_command("find_log", "cccccccc", stdout=shown)
    line = json.loads(shown.getvalue())
    again = io.StringIO()
    call_command("find_log", line["id"], "--session", str(session.pk), stdout=again)
    assert again.getvalue() == shown.getvalue()
    with pytest.raises(CommandError, match="No line"):
        call_command("find_log", "dddddddd")
