"""Recordings: each finished run once, as its events, however often and wherever it is tried."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from broadcast import recordings
from broadcast.models import Broadcast
from sessions_app import commands, preferences, sessions
from sessions_app.background import steps
from sessions_app.errors import Conflict, NotFound, StaleClaim
from sessions_app.events import recorder
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Message, Session, SessionEvent, Step, Workspace
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]


@pytest.fixture
@made_once
def session(make_session: MakeSession, go_live: GoLive) -> Session:
    """A session whose run told something and ended; the recording is still to be made."""
    session = make_session()
    go_live(session)
    run_due_steps(session, "poll", most=1)
    run_due_steps(session, most=6)
    commands.run("broadcast.stop", session.owner, session, {})
    return session


@pytest.fixture
def run(session: Session) -> Broadcast:
    return Broadcast.objects.get(session=session)


def record(session: Session) -> int:
    return run_due_steps(session, recordings.RECORD)


def made() -> list[Artifact]:
    return list(Artifact.objects.filter(category="recordings").order_by("pk"))


def lines(artifact: Artifact) -> list[dict[str, Any]]:
    return [json.loads(line) for line in storage.full_path(artifact.path).read_text().splitlines()]


def said(session: Session) -> list[str]:
    return list(
        Message.objects.filter(session=session, role="system").values_list("text", flat=True)
    )


def test_a_run_that_ended_is_recorded_from_its_first_change_to_its_last(
    session: Session, run: Broadcast
) -> None:
    assert record(session) == 1
    [recording] = made()
    found = lines(recording)
    first, last = (run.changes.order_by(by)[0].seq for by in ("seq", "-seq"))
    rows = SessionEvent.objects.filter(session=session, seq__range=(first, last)).order_by("seq")
    assert [(line["seq"], line["type"], line["at"]) for line in found] == [
        (row.seq, row.type, recorder.timestamp(row.at)) for row in rows
    ]
    for line, row in zip(found, rows, strict=True):
        stored, figures = dict(row.payload), line["data"].pop("figures")
        # Amounts are stored as whole numbers and shown as decimal strings.
        assert (stored.pop("figures")["cost"], figures["cost"]) == (0, "0")
        assert line["data"] == stored
    assert {"story.written", "story.aired"} <= {line["type"] for line in found}
    assert (recording.name, recording.media_type) == ("run-1.ndjson", "application/x-ndjson")


def test_nothing_that_came_before_or_after_is_in_a_recording(
    session: Session, run: Broadcast
) -> None:
    sessions.change(session, name="Later")
    record(session)
    types = [line["type"] for line in lines(made()[0])]
    assert types[0] == types[-1] == "broadcast.state"
    assert "session.changed" not in types


@pytest.mark.databases
def test_a_run_is_recorded_once(session: Session, run: Broadcast) -> None:
    record(session)
    recordings.arrange(run)
    record(session)
    assert len(made()) == 1


def test_a_killed_attempt_is_made_anew_under_the_same_name(
    session: Session, run: Broadcast
) -> None:
    left = artifacts.folder(session, "recordings") / "run-1.ndjson"
    left.parent.mkdir(parents=True)
    left.write_text("half a li")
    record(session)
    [recording] = made()
    assert storage.full_path(recording.path) == left
    assert lines(recording)[-1]["data"]["air"]["state"] == "idle"


@pytest.mark.databases
def test_who_lost_the_step_keeps_no_row(session: Session, run: Broadcast) -> None:
    step = Step.objects.get(session=session, kind=recordings.RECORD)
    held = steps.claim(step.pk)
    assert held is not None
    Step.objects.filter(pk=step.pk).update(epoch=held.epoch + 1)
    with pytest.raises(StaleClaim):
        recordings.make(held)
    assert made() == []


def test_every_run_has_a_recording_of_its_own(session: Session, run: Broadcast) -> None:
    record(session)
    commands.run("broadcast.start", session.owner, session, {})
    commands.run("broadcast.stop", session.owner, session, {})
    record(session)
    assert [each.name for each in made()] == ["run-1.ndjson", "run-2.ndjson"]
    assert recordings.missing(session) == []


def test_without_room_the_owner_is_told_and_may_record_it_later(
    session: Session, run: Broadcast
) -> None:
    preferences.workspace()
    Workspace.objects.update(artifact_quota_mb=10)
    full = artifacts.store(
        session, "files", "full", [bytes(9_999_999)], media_type="application/octet-stream"
    )
    record(session)
    assert made() == []
    assert any("reached their quota" in each for each in said(session))
    artifacts.remove(full)
    assert recordings.missing(session) == [1]
    commands.run("recording.make", session.owner, session, {"run": 1})
    record(session)
    assert len(lines(made()[0])) > 3


def test_a_removed_recording_is_made_again_on_demand_alone(
    session: Session, run: Broadcast
) -> None:
    record(session)
    artifacts.remove(made()[0])
    record(session)
    assert [each.state for each in made()] == ["dropped"]
    commands.run("recording.make", session.owner, session, {"run": 1})
    record(session)
    assert [each.name for each in made()] == ["run-1.ndjson", "run-1-2.ndjson"]
    assert recordings.missing(session) == []


def test_what_cannot_be_recorded_says_why(
    session: Session, run: Broadcast, go_live: GoLive
) -> None:
    record(session)
    go_live(session)
    for number, error, reason in (
        (1, Conflict, "a recording already"),
        (2, Conflict, "has not ended"),
        (3, NotFound, "no such broadcast"),
    ):
        with pytest.raises(error, match=reason):
            commands.run("recording.make", session.owner, session, {"run": number})


def test_a_recording_that_fails_three_times_is_told(
    session: Session, run: Broadcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(storage, "write", broken)
    step = Step.objects.get(session=session, kind=recordings.RECORD)
    for _ in range(3):
        Step.objects.filter(pk=step.pk).update(due_at=steps.now())
        with pytest.raises(OSError, match="no space"):
            steps.run(step.pk)
    assert "was not recorded" in said(session)[-1]
    assert made() == []
