"""The log router: each line of a session lands in its own file, whole, without secrets or places."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from pydantic import SecretStr

from sessions_app import context
from sessions_app.files import storage
from sessions_app.models import Session, Step
from sessions_app.session_logs import catalog, reader, writer
from sessions_app.session_logs.reader import LogQuery
from smnb import logging as smnb_logging
from smnb.logging import SessionFiles
from smnb.management.commands.studio import boxed
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

log = structlog.get_logger("tests")


def lines_of(session: Session, environment: str) -> list[dict[str, Any]]:
    today = datetime.now(UTC).date()
    file = writer.LogFile(session.folder, "logs", environment, today)
    path = storage.full_path(file.path)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def router() -> SessionFiles:
    (found,) = [each for each in logging.getLogger().handlers if isinstance(each, SessionFiles)]
    return found


def test_a_line_goes_to_the_file_of_its_session_and_environment(session: Session) -> None:
    with context.scope(
        **context.session_fields(session), environment="command", operation="go_live"
    ):
        log.info("hello", answer=42)
    (line,) = lines_of(session, "command")
    assert (line["event"], line["answer"], line["operation"]) == ("hello", 42, "go_live")
    assert line["session"] == str(session.pk)
    assert context.time_of_id(line["id"]) is not None


def test_a_line_without_a_session_goes_to_no_file(session: Session) -> None:
    before = writer.folders()
    with context.scope(environment="command"):
        log.info("hello")
    assert writer.folders() == before


def test_a_library_s_line_goes_the_same_way_with_one_id_everywhere(session: Session) -> None:
    shown, root = io.StringIO(), logging.getLogger()
    second = logging.StreamHandler(shown)
    second.setFormatter(root.handlers[0].formatter)
    root.addHandler(second)
    with context.scope(**context.session_fields(session), environment="command"):
        logging.getLogger("library").warning("it is %s", "late")
    root.removeHandler(second)
    (line,) = lines_of(session, "command")
    assert (line["event"], line["level"]) == ("it is late", "warning")
    assert f"id={line['id']}" in shown.getvalue()


def test_neither_a_secret_nor_a_place_on_this_machine_is_in_a_line(
    session: Session, settings: Any
) -> None:
    env = settings.SMNB.model_copy(update={"anthropic_api_key": SecretStr('CANARY-"quoted"-key')})
    settings.SMNB = env
    with context.scope(**context.session_fields(session), environment="command"):
        try:
            Path(f"{settings.BASE_DIR}/absent").read_text()
        except OSError:
            log.exception(
                "bad",
                key='CANARY-"quoted"-key',
                url="redis://:pass-word@host/",
                header="Bearer abcdefghijkl",
                other="sk-ant-api03-abc",
                page="/watch/" + "t" * 43,
            )
    text = json.dumps(lines_of(session, "command"))
    assert "Traceback" in text
    for hidden in ("CANARY", "pass-word", "abcdefghijkl", "api03", "tttt", str(settings.BASE_DIR)):
        assert hidden not in text


def test_a_file_has_its_length_and_says_when_it_is_reached(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MEGABYTE", 2000 // settings.SMNB.log_file_mb)
    with context.scope(**context.session_fields(session), environment="command"):
        for _ in range(30):
            log.info("hello", text="x" * 200)
    found = lines_of(session, "command")
    assert 3 < len(found) < 10
    assert found[-1]["event"] == "log_full"


def test_a_folder_that_cannot_be_written_costs_the_line_and_is_told_once(
    session: Session, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "artifacts").write_text("in the way")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "full_path", lambda path: tmp_path / path)
        patch.setattr(router(), "warned_at", -math.inf)
        with context.scope(**context.session_fields(session), environment="command"):
            log.info("hello")
            log.info("hello again")
    assert lines_of(session, "command") == []
    lines = [str(record.msg) for record in caplog.records if "log_file_failed" in str(record.msg)]
    assert len(lines) == 1
    assert "NotADirectoryError" in lines[0]


def test_an_event_leaves_a_line_only_when_it_has_happened(session: Session) -> None:
    (line,) = [each for each in lines_of(session, "server") if each["event"] == "session.changed"]
    assert line["seq"] == 1


def test_a_request_leads_from_the_browser_to_the_step(
    owner: User, session: Session, client_of: Callable[[User], Client]
) -> None:
    path = f"/broadcast/{session.pk}/command/"
    answer = client_of(owner).post(path, {"command": "start"})
    asked = answer["X-Request-ID"]
    assert {
        (step.origin or {}).get("request") for step in Step.objects.filter(session=session)
    } == {asked}
    run_due_steps(session, most=6)
    found = catalog.find(session, LogQuery(request=asked)).lines
    assert {line["environment"] for line in found} >= {"server", "worker", "agent"}
    assert {line["user"] for line in found} == {owner.pk}
    (response,) = [line for line in found if line["event"] == "answered" and "status" in line]
    assert response["operation"] == "POST /broadcast/<uuid:session_id>/command/"
    caused = [line for line in found if line["environment"] == "agent"]
    assert {line["caused_by"] for line in caused} == {response["operation"]}
    assert {line["stack"] for line in caused} == {"narrate"}


@pytest.mark.parametrize(
    ("given", "accepted"),
    [("edge-1234567", True), ("short", False), ("with blank inside", False), ("x" * 65, False)],
)
def test_only_a_well_formed_id_is_taken_over(client: Client, given: str, accepted: bool) -> None:
    answer = client.get("/login/", headers={"X-Request-ID": given})
    assert (answer["X-Request-ID"] == given) is accepted


def test_what_crossed_on_its_way_is_read_in_order(session: Session) -> None:
    ids = [context.new_id() for _ in range(500)]
    swapped = [ids[at ^ 1] for at in range(500)]
    for line_id in swapped:
        line = json.dumps({"id": line_id, "event": "x", "level": "info"}, separators=(",", ":"))
        writer.append(session.folder, "logs", "worker", line.encode() + b"\n")
    wanted, seen = LogQuery(environment="worker"), list[str]()
    while True:
        page = reader.find(session.folder, wanted, limit=70)
        seen += [line["id"] for line in page.lines]
        if not page.next:
            break
        wanted = LogQuery(environment="worker", before=page.next)
    assert seen == sorted(ids, reverse=True)


def test_the_terminal_shows_what_matters_and_the_file_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        "web  | timestamp=2026-11-29T08:00:00Z level=info logger=x event=answered",
        'web  | timestamp=2026-11-29T08:00:00Z level=warning logger=django.request event="Not Found: /x"',
        "host | timestamp=2026-11-29T08:00:01Z level=warning logger=x event=slow",
        "host | Traceback (most recent call last):",
    ]
    for chosen, shown in (("warning", lines[2:]), ("info", lines)):
        env = settings.SMNB.model_copy(update={"log": chosen, "data_dir": tmp_path / chosen})
        env.data_dir.mkdir()
        monkeypatch.setattr(settings, "SMNB", env)
        smnb_logging._studio_log_file.cache_clear()
        for line in lines:
            smnb_logging.relay(line)
        assert capsys.readouterr().err.splitlines() == shown
        assert (env.data_dir / "studio.log").read_text().splitlines() == lines
    smnb_logging._studio_log_file.cache_clear()


def test_a_start_ends_with_its_summary_in_a_box() -> None:
    assert boxed(["Studio: here", "Stop"]) == [
        "┌──────────────┐",
        "│ Studio: here │",
        "│ Stop         │",
        "└──────────────┘",
    ]
