"""The commands: audits with an exit code, quarantine, tokens, go live, stop, sweep."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from broadcast import orchestrator
from broadcast.management.commands import audit_sessions
from broadcast.models import Airing, Broadcast, Sound, StateChange
from sessions_app import api_tokens, audits, constraints
from sessions_app.background import steps
from sessions_app.files import artifacts, storage
from sessions_app.models import (
    AILink,
    Archive,
    Artifact,
    Bucket,
    Chain,
    Message,
    SealedKey,
    Session,
    SessionEvent,
    SessionStats,
    Step,
    Tally,
)
from stories.models import (
    Draft,
    QuarantinedRecord,
    Source,
    SourcePost,
    Story,
    StoryVersion,
    TokenUsage,
    TrendPost,
)
from stories.quarantine import records
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_on_air_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is looked for again at once."""
    monkeypatch.setattr(audit_sessions, "PAUSE", 0.0)


def manage(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue()


@contextmanager
def unguarded() -> Iterator[Any]:
    """A database whose guards are off, as a damaged one would be."""
    sqlite = connection.vendor == "sqlite"
    names = sorted(constraints.present(connection)) if sqlite else []
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f'DROP TRIGGER "{name}"')
        cursor.execute(
            "PRAGMA foreign_keys=OFF" if sqlite else "SET session_replication_role = replica"
        )
        try:
            yield cursor
        finally:
            cursor.execute("PRAGMA foreign_keys=ON" if sqlite else "RESET session_replication_role")
            constraints.restore()


@pytest.fixture
@made_once
def on_air(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, most=9)
    return session


def without_guards(act: Callable[[], object]) -> None:
    with unguarded():
        act()


def no_session_at_all(session: Session) -> None:
    without_guards(lambda: Message.objects.bulk_create([stray_message()]))


def stray_message() -> Message:
    return Message(session_id=uuid4(), role="system", text="x")


def of_another_session(session: Session) -> None:
    other = Session.objects.exclude(pk=session.pk).get()
    without_guards(lambda: Story.objects.filter(session=session).update(session=other))


def drop_a_guard(session: Session) -> None:
    on = "" if connection.vendor == "sqlite" else " ON stories_story"
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TRIGGER "fixed_stories_story"{on}')


def told_without_story(session: Session) -> None:
    SourcePost.objects.filter(session=session, state="queued").update(state="told")


def by_a_model(session: Session) -> None:
    Story.objects.filter(session=session).update(origin="model")


def open_airing(session: Session) -> None:
    Story.objects.filter(session=session, state="aired").update(state="airing")


def late_step(session: Session) -> None:
    late = steps.now() - timedelta(minutes=5)
    Step.objects.create(session=session, kind="poll", subject="0", due_at=late)


def with_turns_that_nobody_took(session: Session) -> None:
    Draft.objects.create(
        session=session, author=session.owner, words=400, turns=2, active_at=steps.now()
    )


def spent_unseen(session: Session) -> None:
    TokenUsage.objects.create(
        session=session,
        operation="narrate",
        model="m",
        max_tokens=1,
        state="final",
        input_tokens=7,
        stop_reason="end_turn",
    )


def archive_artifact(session: Session) -> Artifact:
    return artifacts.store(session, "archive", "x.gz", [b"x"], media_type="application/gzip")


def another_file(session: Session) -> None:
    storage.full_path(archive_artifact(session).path).write_bytes(b"y")


def unreadable(session: Session) -> None:
    Archive.objects.create(
        session=session, first=1, last=1, count=1, artifact=archive_artifact(session)
    )


def of_nobody(session: Session) -> None:
    without_guards(lambda: Session.objects.filter(pk=session.pk).update(owner_id=10**9))


def of_no_kind(session: Session) -> None:
    Story.objects.filter(session=session).update(tone="solemn")


def other_figures(session: Session) -> None:
    SessionStats.objects.filter(session=session).update(on_air_seconds=F("on_air_seconds") + 1)


def unreadable_key(session: Session) -> None:
    SealedKey.objects.create(
        owner=session.owner, service="anthropic", sealed="torn", last_four="torn"
    )


def out_of_the_index(session: Session) -> None:
    """The story is in the table; the index was never told, as its trigger was gone."""
    with connection.cursor() as cursor:
        cursor.execute('DROP TRIGGER "stories_story_text_update"')
    Story.objects.filter(session=session).update(title="Unheard of")


def without_index(session: Session) -> None:
    what = "TRIGGER" if connection.vendor == "sqlite" else "INDEX"
    suffix = "_insert" if connection.vendor == "sqlite" else ""
    with connection.cursor() as cursor:
        cursor.execute(f'DROP {what} "stories_story_text{suffix}"')


def answered_by_another(session: Session) -> None:
    link = AILink.objects.filter(session=session).latest("number")
    TokenUsage.objects.create(
        session=session, operation="narrate", model="m", max_tokens=1, link=link
    )


def live_an_hour_later(session: Session) -> None:
    later = steps.now() + timedelta(hours=1)
    Broadcast.objects.filter(session=session).update(live_at=later)


def without_its_file(session: Session) -> None:
    story = Story.objects.filter(session=session).latest("pk")
    Sound.objects.create(
        session=session, story=story, state="ready", path="sounds/none.mp3", sha256="0" * 64
    )


A_YEAR_AGO = timezone.now() - timedelta(days=365)


def with_other_passages(session: Session) -> None:
    story = Story.objects.filter(session=session).latest("pk")
    StoryVersion.objects.create(
        session=session,
        story=story,
        number=1,
        title=story.title,
        narrative=story.narrative,
        passages=[] if story.passages else [{"text": "x"}],
    )


CORRUPTIONS: dict[str, Callable[[Session], object]] = {
    "agreement": of_another_session,
    "orphans": no_session_at_all,
    "schema": drop_a_guard,
    "events": lambda s: SessionEvent.objects.filter(session=s, seq=3).delete(),
    "counters": lambda s: SessionStats.objects.filter(session=s).update(messages=F("messages") + 1),
    "steps": late_step,
    "story-counters": lambda s: SessionStats.objects.filter(session=s).update(words=1),
    "ledger": spent_unseen,
    "narrations": by_a_model,
    "posts": told_without_story,
    "states": lambda s: Broadcast.objects.filter(session=s).update(state="ready"),
    "airings": open_airing,
    "buckets": lambda s: Bucket.objects.filter(session=s, size=60).update(words=F("words") + 1),
    "series": lambda s: Bucket.objects.filter(session=s, size=15).update(aired=F("aired") + 1),
    "measures": lambda s: Bucket.objects.filter(session=s, size=60).update(calls=F("calls") + 1),
    "breakdowns": lambda s: Tally.objects.filter(session=s, dimension="tone").update(bounded=1),
    "columns": lambda s: Story.objects.filter(session=s).update(agent_type="odd"),
    "passages": with_other_passages,
    "moments": lambda s: Story.objects.filter(session=s).update(created_at=A_YEAR_AGO),
    "accounts": lambda s: Session.objects.filter(pk=s.pk).update(watch_token="guessed"),
    "origins": lambda s: Session.objects.filter(pk=s.pk).update(folder="of-another-session"),
    "tallies": lambda s: Tally.objects.filter(session=s, dimension="tone").update(count=0),
    "market": lambda s: TrendPost.objects.filter(session=s).delete(),
    "drafts": with_turns_that_nobody_took,
    "artifacts": another_file,
    "archives": unreadable,
    "chain": lambda s: Chain.objects.filter(session=s).update(head=None),
    "references": of_nobody,
    "values": of_no_kind,
    "figures": other_figures,
    "event-types": lambda s: SessionEvent.objects.filter(session=s, seq=2).update(type="odd"),
    "keys": unreadable_key,
    "links": lambda s: Chain.objects.filter(session=s).update(tokens=F("tokens") + 1),
    "records": lambda s: Story.objects.filter(session=s).update(summary="Not what was said."),
    "texts": lambda s: Story.objects.filter(session=s).update(word_count=F("word_count") + 1),
    "search-index": out_of_the_index,
    "search-schema": without_index,
    "derived": lambda s: Source.objects.filter(session=s).update(locator_digest="0" * 64),
    "answers": answered_by_another,
    "runs": live_an_hour_later,
    "scores": lambda s: SourcePost.objects.filter(session=s).update(priority=0.123),
    "sounds": without_its_file,
}
# PostgreSQL's index is over an expression, so it cannot differ from its table.
OF_SQLITE = {"search-index"}


@pytest.mark.databases
def test_each_audit_finds_what_was_corrupted_and_the_command_fails(
    on_air: Session, make_session: MakeSession
) -> None:
    make_session("Evening")
    assert list(audits.run()) == []
    names = set(CORRUPTIONS) - (OF_SQLITE if connection.vendor != "sqlite" else set())
    reports = {name: report_after(CORRUPTIONS[name], on_air, name) for name in sorted(names)}
    assert {
        name: text
        for name, text in reports.items()
        if not re.fullmatch(r"[1-9]\d* findings in 1 audits.*", text)
    } == {}
    assert list(audits.run()) == []


def report_after(corrupt: Callable[[Session], object], session: Session, name: str) -> str:
    """What the command fails with after this corruption, which is then taken back."""
    report = "nothing was found"
    with transaction.atomic():
        corrupt(session)
        try:
            manage("audit_sessions", "--only", name)
        except CommandError as error:
            report = str(error)
        transaction.set_rollback(True)
    return report


def test_there_is_a_corruption_for_every_audit() -> None:
    assert set(audits.names()) == set(CORRUPTIONS)


COUNT = "count the rows of the session again"


@pytest.mark.parametrize(
    "repairs",
    [
        {
            "story-counters": COUNT,
            "schema": "restore the triggers and constraints",
            "chain": "set the head of the AI chain to its latest link",
        },
        {
            "ledger": COUNT,
            "market": "count the trends of the session again",
            "search-schema": "read the search indexes from the tables again",
        },
    ],
)
def test_repairs_are_listed_first_and_done_only_when_they_shall_be_applied(
    on_air: Session, repairs: dict[str, str]
) -> None:
    for name in repairs:
        if name == "ledger":
            SessionStats.objects.filter(session=on_air).update(cost_upper=7)
        else:
            CORRUPTIONS[name](on_air)
    errors = StringIO()
    with pytest.raises(CommandError):
        call_command("audit_sessions", "--repair", stdout=StringIO(), stderr=errors)
    for name, sentence in repairs.items():
        assert f"Would: {sentence} ({name}, " in errors.getvalue()
    with pytest.raises(CommandError):
        manage("audit_sessions")
    errors = StringIO()
    call_command("audit_sessions", "--repair", "--apply", stdout=StringIO(), stderr=errors)
    for name, sentence in repairs.items():
        assert f"Repaired: {sentence} ({name}, " in errors.getvalue()
    assert list(audits.run()) == []


def test_nothing_is_applied_without_the_list(on_air: Session) -> None:
    with pytest.raises(CommandError, match="--apply needs --repair"):
        manage("audit_sessions", "--apply")


def test_a_finding_without_a_safe_repair_stays(on_air: Session) -> None:
    open_airing(on_air)
    with pytest.raises(CommandError, match="findings in"):
        manage("audit_sessions", "--repair", "--apply")
    assert Story.objects.filter(state="airing").exists()


@pytest.mark.databases
def test_a_sound_database_passes(on_air: Session) -> None:
    assert manage("audit_sessions") == ""
    assert json.loads(manage("audit_sessions", "--json")) == []


def test_findings_are_listed_as_json(on_air: Session) -> None:
    SessionStats.objects.filter(session=on_air).update(messages=99)
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("audit_sessions", "--json", "--only", "counters", stdout=out)
    (found,) = json.loads(out.getvalue())
    assert (found["audit"], found["session"]) == ("counters", str(on_air.pk))


def test_a_state_change_that_the_table_does_not_allow_is_found(on_air: Session) -> None:
    StateChange.objects.filter(session=on_air, cause="prepared").update(cause="fail")
    with pytest.raises(CommandError):
        manage("audit_sessions", "--only", "states")


def test_an_airing_left_open_is_found(on_air: Session) -> None:
    first = Airing.objects.earliest("pk")
    Airing.objects.exclude(pk=first.pk).delete()
    Airing.objects.filter(pk=first.pk).update(finished_at=None)
    with pytest.raises(CommandError):
        manage("audit_sessions", "--only", "airings")


def test_sessions_are_listed_with_their_stories_and_the_quarantine(on_air: Session) -> None:
    records.put("story", {"narrative": "x"}, old_session="live", old_id="1", reason="No home.")
    found = manage("inspect_sessions")
    assert re.search(rf"{on_air.pk}\s+{Story.objects.count()} stories", found)
    assert "No home." in found
    assert "1 sessions, 1 records in quarantine" in found


@pytest.mark.databases
def test_the_list_of_sessions_counts_stories_and_not_their_products(
    on_air: Session, make_session: MakeSession
) -> None:
    make_session("Evening", recording=False)
    assert re.search(r"\b0 stories .*Evening", manage("inspect_sessions"))


GOOD = '{"session": "live", "id": "1", "reason": "Dead string.", "payload": {"narrative": "x"}}'


def test_a_file_goes_into_quarantine_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "orphans.jsonl"
    file.write_text(f"{GOOD}\n\n{GOOD.replace('1', '2')}\n")
    assert manage("quarantine", str(file)) == "2 in quarantine, 0 rejected\n"
    assert manage("quarantine", str(file)) == "2 in quarantine, 0 rejected\n"
    assert QuarantinedRecord.objects.count() == 2


@pytest.mark.parametrize(
    "bad", ["{", "[]", "7", '{"payload": 3}', '{"kind": "money", "payload": {}}', "\ufffe"]
)
def test_a_bad_line_is_named_and_the_good_ones_are_kept(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "orphans.jsonl"
    file.write_text(f"{GOOD}\n{bad}\n{GOOD.replace('1', '2')}\n")
    err = StringIO()
    with pytest.raises(CommandError, match="rejected"):
        call_command("quarantine", str(file), stdout=StringIO(), stderr=err)
    assert "orphans.jsonl:2:" in err.getvalue()
    assert QuarantinedRecord.objects.count() == 2


def test_a_line_that_is_not_unicode_is_rejected_and_not_a_crash(tmp_path: Path) -> None:
    file = tmp_path / "orphans.jsonl"
    file.write_bytes(b"\xff\xfe\n" + GOOD.encode())
    with pytest.raises(CommandError, match="rejected"):
        manage("quarantine", str(file))
    assert QuarantinedRecord.objects.count() == 1


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nothing\.jsonl"):
        manage("quarantine", str(tmp_path / "nothing.jsonl"))


def test_a_session_goes_live_and_stops_by_command(session: Session) -> None:
    assert manage("go_live", str(session.pk)) == "run 1: starting\n"
    assert orchestrator.latest_payload(session)["state"] == "starting"
    assert manage("stop_broadcast", str(session.pk)) == "run 1: idle\n"
    assert StateChange.objects.filter(actor=session.owner).exists()


def test_a_refusal_is_the_sentence_of_the_pages(session: Session) -> None:
    with pytest.raises(CommandError, match=r"^Nothing is on air\.$"):
        manage("stop_broadcast", str(session.pk))


@pytest.mark.parametrize("command", ["go_live", "stop_broadcast"])
def test_a_session_that_is_not_there_is_said_so(command: str) -> None:
    with pytest.raises(CommandError, match="no such session"):
        manage(command, str(uuid4()))


def test_an_api_token_is_printed_alone_and_works(owner: User) -> None:
    printed = manage("api_token", owner.username)
    assert re.fullmatch(r"smnb_[\w-]+\n", printed)
    assert api_tokens.owner_of(printed.strip()) == owner


def test_nobody_gets_a_token_for_nobody(owner: User) -> None:
    User.objects.update(is_active=False)
    for name in (owner.username, "nobody"):
        with pytest.raises(CommandError, match="no such active user"):
            manage("api_token", name)


def test_a_sweep_pokes_what_is_overdue_and_says_how_much(
    session: Session, go_live: Callable[[Session], Any]
) -> None:
    go_live(session)
    Step.objects.update(poked_at=None, due_at=timezone.now() - timedelta(seconds=5))
    assert manage("sweep") == "2 steps poked\n"
    assert manage("sweep") == "0 steps poked\n"
