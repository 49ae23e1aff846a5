"""Quarantine: a record is stored once, decided once, and adopted as legacy."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app import audits
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Session, SessionEvent, SessionStats
from stories.models import QuarantinedRecord, SourcePost, Story
from stories.quarantine import decisions, records
from tests.concurrency import together

pytestmark = pytest.mark.django_db(transaction=True)


def put(old_id: str = "7", **payload: Any) -> QuarantinedRecord:
    return records.put(
        "story",
        {"narrative": "Once upon a time.", **payload},
        old_session="live",
        old_id=old_id,
        reason="Dead.",
    )


@pytest.mark.databases
def test_the_same_record_put_twice_is_one_row() -> None:
    assert put() == put()
    assert put("8") != put()
    assert QuarantinedRecord.objects.count() == 2


def adopted(record: QuarantinedRecord, session: Session, actor: User) -> Story:
    row = decisions.adopt(record, session, actor)
    assert isinstance(row, Story)
    return row


def test_an_adopted_record_is_a_legacy_story_with_its_figures(
    session: Session, owner: User
) -> None:
    story = adopted(put(title="Old", tone="opinion"), session, owner)
    assert (story.origin, story.state, story.tone) == ("legacy", "aired", "opinion")
    assert (story.title, story.word_count) == ("Old", 4)
    assert SessionStats.objects.get(session=session).story_count == 1
    assert list(audits.run()) == []


def test_adopting_shows_the_queue_as_it_is(session: Session, owner: User, post: SourcePost) -> None:
    decisions.adopt(put(), session, owner)
    written = SessionEvent.objects.get(type="story.written")
    assert [each["id"] for each in written.payload["queue"]] == [post.pk]


@pytest.mark.parametrize(
    "odd",
    [{"tone": "sarcastic"}, {"tone": []}, {"topics": "none"}, {"topics": [{}, 7]}, {"title": 7}],
)
def test_odd_fields_of_an_old_record_fall_back(
    session: Session, owner: User, odd: dict[str, Any]
) -> None:
    story = adopted(put(**odd), session, owner)
    assert story.tone == "developing"
    assert isinstance(story.topics, list)


@pytest.mark.parametrize("narrative", ["", "   ", None, "\u200b"])
def test_a_record_without_words_cannot_be_adopted(
    session: Session, owner: User, narrative: str | None
) -> None:
    record = put(narrative=narrative)
    with pytest.raises(Invalid, match="no narrative"):
        decisions.adopt(record, session, owner)
    record.refresh_from_db()
    assert record.state == "waiting"
    assert not Story.objects.exists()


@pytest.mark.databases
def test_of_eight_who_decide_at_once_one_does(session: Session, owner: User) -> None:
    record = put()
    found = together(
        8,
        lambda index: (
            decisions.adopt(record, session, owner)
            if index % 2
            else decisions.discard(record, owner)
        ),
    )
    assert sum(isinstance(each, Conflict) for each in found) == 7
    record.refresh_from_db()
    assert Story.objects.count() == (record.state == "adopted")
    assert list(audits.run()) == []


def test_a_decision_keeps_who_and_when(owner: User) -> None:
    record = put()
    decisions.discard(record, owner)
    record.refresh_from_db()
    assert (record.state, record.decided_by) == ("discarded", owner)
    assert record.decided_at is not None


def test_empty_lines_are_passed_over_and_bad_ones_numbered() -> None:
    found = list(records.put_lines([b"\n", b"{", b'{"payload": {"narrative": "x"}}']))
    assert [(each.number, bool(each.error)) for each in found] == [(2, True), (3, False)]


def test_a_line_may_leave_out_everything_but_its_payload() -> None:
    assert [each.error for each in records.put_lines([b'{"payload": {}}'])] == [""]
    assert QuarantinedRecord.objects.get().old_session == ""


@pytest.mark.databases
def test_endless_names_are_cut_to_what_a_row_holds() -> None:
    record = records.put("story", {}, old_session="s" * 999, old_id="i" * 999, reason="r" * 999)
    record.refresh_from_db()
    assert (len(record.old_session), len(record.old_id), len(record.reason)) == (200, 200, 200)
