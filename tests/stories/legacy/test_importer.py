"""The import of an export: each row has one outcome, repeating it changes nothing, figures agree."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils.timezone import get_current_timezone

from sessions_app import audits
from sessions_app.models import Bucket, Session, SessionEvent, SessionStats, Tally
from stories.models import QuarantinedRecord, Story, TokenUsage
from stories.search import query as search_query
from stories.search.query import Query
from tests.legacy_exports import Damaged, all_rows, export, session, story, usage

pytestmark = pytest.mark.django_db(transaction=True)

ID = session()["_id"]


@pytest.fixture
def zip_(tmp_path: Path) -> Path:
    return tmp_path / "export.zip"


def bring(path: Path, *options: str) -> str:
    """Imports the export and returns the report."""
    out = StringIO()
    call_command("import_legacy", str(path), *options, stdout=out, stderr=StringIO())
    return out.getvalue()


def totals(report: str) -> list[int]:
    """Returns the numbers of rows read, imported, quarantined, rejected and already stored."""
    (line,) = [line for line in report.splitlines() if line.startswith("all ")]
    return [int(each.replace(",", "")) for each in line.split()[1:]]


@pytest.fixture
def simple(zip_: Path, owner: User) -> Path:
    return export(zip_, sessions=[session()], story_history=[story()], token_usage=[usage()])


def test_a_session_comes_with_its_date_its_filing_and_its_owner(zip_: Path, owner: User) -> None:
    bring(export(zip_, sessions=[session(name="Evening", status="archived")]))
    found = Session.objects.get()
    assert (found.name, found.owner, found.type, found.status) == (
        "Evening",
        owner,
        "imported",
        "archived",
    )
    assert (found.imported_id, found.control_mode) == (f"legacy:{ID}", "balanced")
    assert found.created_at == datetime(2025, 9, 30, 14, 15, 22, 514942, UTC)
    assert found.folder.startswith("evening-2025-09-30-")
    assert found.model == "claude-3-sonnet"


def test_a_session_that_was_on_air_is_at_rest(zip_: Path, owner: User, client_of: Any) -> None:
    report = bring(export(zip_, sessions=[session(broadcastState="live", isLive=True)]))
    assert "not idle are stopped: 1." in report
    url = f"/api/sessions/{Session.objects.get().pk}/stats"
    assert client_of(owner).get(url).json()["broadcast_state"] == "idle"


def test_a_story_is_imported_as_it_was_aired(simple: Path) -> None:
    bring(simple)
    found = Story.objects.get()
    assert (found.origin, found.state, found.tone, found.priority) == (
        "legacy",
        "aired",
        "developing",
        "medium",
    )
    assert (found.word_count, found.duration, found.sentiment) == (52, 16, "positive")
    assert found.created_at == datetime(2025, 9, 30, 14, 16, 22, 513942, UTC)
    assert found.completed_at < found.created_at
    assert (found.topics, found.legacy_id) == (["Economy"], story()["_id"])
    assert "r/news" in found.note
    assert "https://example.org/harbor" in found.note


@pytest.mark.databases
def test_a_call_keeps_its_reported_cost_and_gets_our_own(simple: Path) -> None:
    bring(simple)
    found = TokenUsage.objects.get()
    assert found.reported_cost == 701_000_000
    assert found.cost_lower == found.cost_upper == 181 * 800_000 + 104 * 4_000_000
    assert (found.state, found.operation, found.unpriced) == ("final", "host-generate", False)
    assert found.created_at == found.closed_at == datetime(2025, 9, 30, 14, 16, 22, 513942, UTC)


def test_a_call_to_a_model_without_a_price_is_counted_as_such(zip_: Path, owner: User) -> None:
    bring(export(zip_, sessions=[session()], token_usage=[usage(model="unheard-of")]))
    found = TokenUsage.objects.get()
    assert (found.unpriced, found.cost_upper, found.reported_cost) == (True, 0, 701_000_000)
    assert SessionStats.objects.get().unpriced == 1


def test_a_failed_call_has_its_error(zip_: Path, owner: User) -> None:
    failed = usage(success=False, error_message="Overloaded", input_tokens=0.0, output_tokens=0.0)
    bring(export(zip_, sessions=[session()], token_usage=[failed]))
    assert TokenUsage.objects.get().error == "Overloaded"


def test_settings_without_an_equal_are_named(simple: Path) -> None:
    assert "left out: frequencyPenalty, maxTokens, presencePenalty, temperature" in bring(simple)


def test_the_figures_are_those_of_the_rows(zip_: Path, owner: User) -> None:
    bring(
        export(
            zip_,
            sessions=[session(1), session(2)],
            story_history=map(story, range(1, 30)),
            token_usage=map(usage, range(1, 20)),
        )
    )
    stats = SessionStats.objects.get(session__imported_id=f"legacy:{ID}")
    assert (stats.story_count, stats.words, stats.narration_seconds) == (29, 29 * 52, 29 * 16)
    assert (stats.input_tokens, stats.output_tokens) == (19 * 181, 19 * 104)
    assert stats.last_story_at == Story.objects.latest("created_at").created_at
    assert Tally.objects.get(dimension="operation").count == 19
    assert list(audits.run()) == []


@pytest.mark.databases
def test_figures_over_time_stand_at_their_own_time(simple: Path) -> None:
    bring(simple)
    found = Bucket.objects.filter(story_count=1).order_by("size")
    assert [(each.size, each.start) for each in found] == [
        (15, datetime(2025, 9, 30, 14, 15, tzinfo=UTC)),
        (60, datetime(2025, 9, 30, 14, tzinfo=UTC)),
    ]
    assert Bucket.objects.filter(size=60).count() == 1


def test_rows_of_a_session_come_with_one_event(zip_: Path, owner: User) -> None:
    bring(export(zip_, sessions=[session()], story_history=map(story, range(1, 30))))
    types = list(SessionEvent.objects.order_by("seq").values_list("type", flat=True))
    assert types == ["session.changed", "legacy.imported"]
    assert SessionEvent.objects.get(seq=2).payload["stories"] == 29


NO_SESSION = "No session is named."
OF_THE_HOST = "A name that the host gave itself; no session ever had it."
OF_A_TAB = "A name that a browser's tab gave itself; no session ever had it."
NOT_EXPORTED = "The session is not in the export: it was deleted, or its row is damaged."
NO_NAME = "The name is not one that a session can have."
WITHOUT_SESSION = [
    (..., NO_SESSION),
    (None, NO_SESSION),
    ("  ", NO_SESSION),
    ("host-session-1759241866123-k3j9x2m1q", OF_THE_HOST),
    ("session-1759241866123", OF_A_TAB),
    ("session-1759241866123-ab1", OF_A_TAB),
    ("k57b3q9w2m4x8t6r1c5v7n0p2d6h4j8s", NOT_EXPORTED),
    ("k" * 20, NOT_EXPORTED),
    ("k" * 41, NO_NAME),
    ("Session 1", NO_NAME),
]


@pytest.mark.parametrize(("named", "reason"), WITHOUT_SESSION)
def test_a_row_without_a_session_waits_with_the_reason(
    zip_: Path, owner: User, named: Any, reason: str
) -> None:
    old_story, call = story(session_id=named), usage(session_id=named)
    report = bring(
        export(zip_, sessions=[session()], story_history=[old_story], token_usage=[call])
    )
    assert totals(report) == [3, 1, 2, 0, 0]
    assert set(QuarantinedRecord.objects.values_list("kind", "reason", "owner")) == {
        ("story", reason, owner.pk),
        ("usage", reason, owner.pk),
    }
    found = QuarantinedRecord.objects.get(kind="story")
    assert (found.payload["narrative"], found.place) == (
        old_story["narrative"],
        "story_history/documents.jsonl:1",
    )
    assert (found.old_id, found.at) == (
        old_story["_id"],
        datetime(2025, 9, 30, 14, 16, 22, 513942, UTC),
    )
    assert not Story.objects.exists()


@pytest.mark.databases
def test_rows_of_a_session_whose_row_is_broken_wait(zip_: Path, owner: User) -> None:
    report = bring(export(zip_, sessions=[session(status="?")], story_history=[story()]))
    assert totals(report) == [2, 0, 1, 1, 0]


@pytest.mark.databases
def test_nul_and_endless_numbers_can_wait_too(zip_: Path, owner: User) -> None:
    odd = story(session_id="a\0b", metadata={"k\0": "v\0", "big": 10**400, "real": [1.5]})
    bring(export(zip_, story_history=[odd, json.dumps(odd).replace("1.5", "1e999").encode()]))
    found = QuarantinedRecord.objects.get()
    assert found.old_session == "ab"
    assert found.payload["metadata"]["k"] == "v"


@pytest.mark.databases
def test_nul_in_a_story_is_left_out(zip_: Path, owner: User) -> None:
    old_story = story(narrative="One\0 two.", title="T\0", agent_type="ho\0st", topics=["a\0"])
    call = usage(model="m\0", request_id="r\0", error_message="e\0", success=False)
    bring(
        export(zip_, sessions=[session(name="S\0")], story_history=[old_story], token_usage=[call])
    )
    assert Story.objects.get().narrative == "One two."
    assert TokenUsage.objects.get().model == "m"


@pytest.mark.databases
def test_a_second_time_changes_nothing(tmp_path: Path, owner: User) -> None:
    path = Damaged(400, 5).write(tmp_path / "export.zip")
    first, before = totals(bring(path)), all_rows()
    second = totals(bring(path))
    assert all_rows() == before
    assert second == [first[0], 0, 0, first[3], first[1] + first[2]]


@pytest.mark.databases
def test_every_row_has_one_outcome(tmp_path: Path, owner: User) -> None:
    made = Damaged(600, 7)
    path = made.write(tmp_path / "export.zip")
    predicted = totals(bring(path, "--dry-run"))
    assert predicted == [*map(made.expected.__getitem__, OUTCOMES), 0]
    assert totals(bring(path)) == predicted
    assert Story.objects.count() + TokenUsage.objects.count() + 7 == predicted[1]
    assert QuarantinedRecord.objects.count() == predicted[2]
    assert list(audits.run()) == []


OUTCOMES = ("read", "imported", "quarantined", "rejected")


def test_a_dry_run_writes_nothing(simple: Path) -> None:
    before = all_rows()
    assert "Nothing was written" in bring(simple, "--dry-run")
    assert all_rows() == before


def test_the_first_of_two_rows_with_one_id_is_taken(zip_: Path, owner: User) -> None:
    stories = [story(), story(narrative="Another text.")]
    err = StringIO()
    path = export(zip_, sessions=[session()], story_history=stories)
    call_command("import_legacy", str(path), stdout=StringIO(), stderr=err)
    assert "story_history/documents.jsonl:2: _id: line 1 has the same." in err.getvalue()
    assert "harbor" in Story.objects.get().narrative


def test_ids_and_moments_of_a_session_agree(
    zip_: Path, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stories.legacy.archive.LOT", 7)
    stories = [story(number, session_id=session(number % 3)["_id"]) for number in range(60, 0, -1)]
    bring(export(zip_, sessions=map(session, range(3)), story_history=stories))
    for one in Session.objects.all():
        moments = list(Story.objects.filter(session=one).order_by("id").values_list("created_at"))
        assert len(moments) == 20
        assert all(a < b for a, b in pairwise(moments))


@pytest.mark.databases
def test_days_are_found_though_rows_came_in_several_goes(tmp_path: Path, owner: User) -> None:
    day = 24 * 60
    for name, numbers in (("late", (2 * day, 4 * day)), ("early", (1 * day, 3 * day))):
        path = tmp_path / f"{name}.zip"
        bring(export(path, sessions=[session()], story_history=map(story, numbers)))
    one = Session.objects.get()
    query = Query(since=date(2025, 10, 2), until=date(2025, 10, 3))
    assert [each.created_at.day for each in search_query.stories(one, query)] == [3, 2]


def test_a_later_export_brings_what_is_new(tmp_path: Path, owner: User) -> None:
    for last in (3, 5):
        path = tmp_path / f"{last}.zip"
        report = bring(export(path, sessions=[session()], story_history=map(story, range(last))))
    assert totals(report) == [6, 2, 0, 0, 4]
    assert Story.objects.count() == 5
    assert list(audits.run()) == []


def test_the_report_file_names_every_row_that_is_not_in_a_session(
    zip_: Path, owner: User, tmp_path: Path
) -> None:
    stories: list[Any] = [story(1), story(2, session_id=None), b"{", story(3, tone="?")]
    found = tmp_path / "report.jsonl"
    bring(export(zip_, sessions=[session()], story_history=stories), "--report", str(found))
    rows = [json.loads(line) for line in found.read_text().splitlines()]
    assert [(row["outcome"], row["line"]) for row in rows] == [
        ("rejected", 3),
        ("rejected", 4),
        ("quarantined", 2),
    ]
    assert all(row["reason"] and row["table"] == "story_history" for row in rows)


def test_the_owner_is_named_or_the_only_person(simple: Path, owner: User, stranger: User) -> None:
    with pytest.raises(CommandError, match="--owner"):
        bring(simple)
    with pytest.raises(CommandError, match="no user named"):
        bring(simple, "--owner", "unknown")
    bring(simple, "--owner", "stanislaw")
    assert Session.objects.get().owner == stranger
    assert totals(bring(simple, "--owner", "olga"))[4] == 3


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_what_is_no_export_is_refused(zip_: Path, owner: User, content: bytes) -> None:
    zip_.write_bytes(content)
    with pytest.raises(CommandError, match="not a zip"):
        bring(zip_)


def test_an_export_without_sessions_is_reported(zip_: Path, owner: User) -> None:
    report = bring(export(zip_, story_history=[story()]))
    assert "The table sessions is not in the zip." in report
    assert totals(report) == [1, 0, 1, 0, 0]


def test_the_days_of_an_import_include_their_first_and_last_moment(
    tmp_path: Path, owner: User
) -> None:
    midnight = datetime.combine(date(2025, 10, 2), time(0), tzinfo=get_current_timezone())
    ms = midnight.timestamp() * 1000
    stories = [
        story(number, created_at=ms + 1000 * seconds, completed_at=ms + 1000 * seconds)
        for number, seconds in enumerate((-1, 0, 24 * 3600 - 1, 24 * 3600))
    ]
    bring(export(tmp_path / "export.zip", sessions=[session()], story_history=stories))
    query = Query(since=date(2025, 10, 2), until=date(2025, 10, 2))
    found = search_query.stories(Session.objects.get(), query)
    assert {each.legacy_id for each in found} == {stories[1]["_id"], stories[2]["_id"]}
