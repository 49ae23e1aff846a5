"""Decisions in bulk, each recorded, and all taken back: figures and rows are as they were before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from sessions_app import audits
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Bucket, Session, SessionEvent, SessionStats, Tally
from stories import corrections
from stories.models import (
    QuarantineDecision,
    QuarantinedRecord,
    Story,
    StoryThread,
    TokenUsage,
)
from stories.quarantine import decisions, records
from tests.concurrency import together
from tests.conftest import MakeSession
from tests.legacy_exports import export, story, usage

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = QuarantinedRecord.objects.all


@pytest.fixture
def orphans(tmp_path: Path, owner: User) -> None:
    """Five stories and three calls that name no session."""
    path = export(
        tmp_path / "export.zip",
        story_history=[story(number, session_id=None) for number in range(5)],
        token_usage=[usage(number, session_id=None) for number in range(3)],
    )
    call_command("import_legacy", str(path), verbosity=0)


def figures() -> dict[str, Any]:
    """All that is counted, but for what happened."""
    empty = dict.fromkeys(("story_count", "calls", "input_tokens", "words"), 0)
    return {
        "stats": list(
            SessionStats.objects.order_by("pk").values(
                "story_count",
                "words",
                "narration_seconds",
                "input_tokens",
                "output_tokens",
                "cost_lower",
                "cost_upper",
                "unpriced",
                "last_story_at",
            )
        ),
        "buckets": list(Bucket.objects.exclude(**empty).order_by("pk").values()),
        "tallies": list(Tally.objects.exclude(count=0).order_by("pk").values()),
        "stories": Story.objects.count(),
        "usage": TokenUsage.objects.count(),
    }


def act_of(action: str) -> Any:
    return QuarantineDecision.objects.filter(action=action).latest("pk").act


def test_a_group_is_adopted_as_one_act(orphans: None, session: Session, owner: User) -> None:
    found = decisions.adopt_all(EVERY(), session, owner)
    assert (found.done, found.refused) == (8, [])
    assert set(Story.objects.values_list("session", "origin")) == {(session.pk, "legacy")}
    assert TokenUsage.objects.filter(session=session, reported_cost=701_000_000).count() == 3
    rows = QuarantineDecision.objects.values_list("action", "actor", "to")
    assert set(rows) == {("adopt", owner.pk, session.pk)}
    assert len(set(QuarantineDecision.objects.values_list("act"))) == 1
    assert list(audits.run()) == []


def test_an_adopted_row_keeps_its_date_and_its_old_id(
    orphans: None, session: Session, owner: User
) -> None:
    record = QuarantinedRecord.objects.filter(kind="story").earliest("at")
    found = decisions.adopt(record, session, owner)
    record.refresh_from_db()
    assert (found.created_at, found.legacy_id) == (record.at, record.old_id)
    assert (record.row_id, record.adopted_by) == (found.pk, session)


def test_a_single_call_is_adopted_with_its_own_price(
    orphans: None, session: Session, owner: User
) -> None:
    record = QuarantinedRecord.objects.filter(kind="usage").earliest("at")
    decisions.adopt(record, session, owner)
    assert SessionStats.objects.get(session=session).cost_upper == 560_800_000
    assert SessionEvent.objects.latest("pk").payload["usage"] == 1
    assert list(audits.run()) == []


def test_a_call_that_is_not_whole_cannot_be_booked(session: Session, owner: User) -> None:
    records.put("usage", {"model": "x"}, old_session="", old_id="1", reason="By hand.")
    found = decisions.adopt_all(EVERY(), session, owner)
    assert found.done == 0
    assert "not a complete usage row" in found.refused[0]
    assert QuarantinedRecord.objects.get().state == "waiting"


def test_what_cannot_be_adopted_leaves_the_others_alone(
    orphans: None, session: Session, owner: User
) -> None:
    records.put("story", {"narrative": " "}, old_session="", old_id="1", reason="By hand.")
    found = decisions.adopt_all(EVERY(), session, owner)
    assert (found.done, len(found.refused)) == (8, 1)
    assert QuarantinedRecord.objects.get(state="waiting").payload == {"narrative": " "}


@pytest.mark.databases
def test_an_adoption_taken_back_leaves_no_trace_but_its_record(
    orphans: None, session: Session, owner: User, editor: User
) -> None:
    before = figures()
    decisions.adopt_all(EVERY(), session, owner)
    found = decisions.undo(act_of("adopt"), editor)
    assert (found.done, found.refused) == (8, [])
    assert figures() == before
    open_ = {"state": "waiting", "row_id": None, "adopted_by": None, "decided_by": None}
    assert all(each == open_ for each in EVERY().values(*open_))
    taken_back = QuarantineDecision.objects.filter(action="undo", actor=editor, to=session)
    assert taken_back.count() == 8
    assert list(audits.run()) == []


def test_a_single_adoption_can_be_taken_back_too(
    orphans: None, session: Session, owner: User
) -> None:
    before = figures()
    for record in EVERY():
        decisions.adopt(record, session, owner)
    assert decisions.undo_all(EVERY(), owner).done == 8
    assert figures() == before


def test_what_came_back_can_be_adopted_elsewhere(
    orphans: None, session: Session, make_session: MakeSession, owner: User
) -> None:
    other = make_session("Other")
    decisions.adopt_all(EVERY(), session, owner)
    decisions.undo(act_of("adopt"), owner)
    assert decisions.adopt_all(EVERY(), other, owner).done == 8
    assert set(Story.objects.values_list("session", flat=True)) == {other.pk}


def test_the_undo_tells_open_pages_which_stories_left(
    orphans: None, session: Session, owner: User
) -> None:
    decisions.adopt_all(EVERY(), session, owner)
    ids = sorted(Story.objects.values_list("pk", flat=True))
    decisions.undo(act_of("adopt"), owner)
    event = SessionEvent.objects.latest("pk")
    assert (event.type, sorted(event.payload["stories"])) == ("legacy.returned", ids)


def test_a_discard_is_taken_back(orphans: None, owner: User) -> None:
    assert decisions.discard_all(EVERY(), owner).done == 8
    assert decisions.undo(act_of("discard"), owner).done == 8
    assert set(EVERY().values_list("state", flat=True)) == {"waiting"}


def test_an_act_that_was_followed_by_another_is_not_taken_back(
    orphans: None, session: Session, owner: User
) -> None:
    decisions.discard_all(EVERY(), owner)
    first = act_of("discard")
    decisions.undo(first, owner)
    decisions.adopt_all(EVERY(), session, owner)
    assert decisions.undoable_counts([first, act_of("adopt")]) == {act_of("adopt"): 8}
    assert decisions.undo(first, owner).done == 0
    assert Story.objects.count() == 5


def bookmarked(story: Story) -> None:
    Story.objects.filter(pk=story.pk).update(bookmarked_at=timezone.now())


def corrected(story: Story) -> None:
    corrections.correct(story, "New", "New words.", "Wrong.", story.session.owner, 150)


def threaded(story: Story) -> None:
    thread = StoryThread.objects.create(session=story.session, title="Harbor")
    Story.objects.filter(pk=story.pk).update(thread=thread)


def killed(story: Story) -> None:
    Story.objects.filter(pk=story.pk).update(state="killed")


def paid_for(story: Story) -> None:
    TokenUsage.objects.filter(session=story.session).update(story=story)


@pytest.mark.parametrize("use", [bookmarked, corrected, threaded, killed, paid_for])
def test_what_has_been_used_stays(orphans: None, session: Session, owner: User, use: Any) -> None:
    decisions.adopt_all(EVERY(), session, owner)
    used = Story.objects.earliest("pk")
    use(used)
    found = decisions.undo(act_of("adopt"), owner)
    assert found.done == 7
    assert "stays in" in found.refused[0]
    assert Story.objects.get() == used
    assert QuarantinedRecord.objects.get(state="adopted").row_id == used.pk


def test_acts_are_done_in_lots(
    orphans: None, session: Session, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "LOT", 3)
    monkeypatch.setattr(decisions, "MOST", 7)
    assert decisions.adopt_all(EVERY(), session, owner).done == 7
    assert EVERY().filter(state="waiting").count() == 1
    assert SessionEvent.objects.filter(type="legacy.imported").count() == 3
    assert decisions.undo(act_of("adopt"), owner).done == 7
    assert list(audits.run()) == []


@pytest.mark.databases
def test_of_four_who_take_an_act_back_one_does(
    orphans: None, session: Session, owner: User
) -> None:
    decisions.adopt_all(EVERY(), session, owner)
    act, before = act_of("adopt"), QuarantineDecision.objects.count()
    found = together(4, lambda index: decisions.undo(act, owner).done)
    assert sum(each for each in found if isinstance(each, int)) == 8
    assert all(isinstance(each, int | Conflict) for each in found)
    assert QuarantineDecision.objects.count() == before + 8
    assert list(audits.run()) == []


def test_a_record_decided_before_can_not_be_decided_again(
    orphans: None, session: Session, owner: User
) -> None:
    record = EVERY()[0]
    decisions.discard(record, owner)
    with pytest.raises(Conflict):
        decisions.adopt(record, session, owner)
    with pytest.raises(Conflict):
        decisions.discard(record, owner)


def test_an_import_does_not_bring_again_what_was_decided(
    orphans: None, session: Session, owner: User, tmp_path: Path
) -> None:
    decisions.adopt_all(EVERY().filter(kind="story"), session, owner)
    decisions.discard_all(EVERY().filter(kind="usage"), owner)
    call_command("import_legacy", str(tmp_path / "export.zip"), verbosity=0)
    assert (Story.objects.count(), QuarantinedRecord.objects.count()) == (5, 8)


def test_a_story_that_does_not_say_anything_is_refused_alone(session: Session, owner: User) -> None:
    record = records.put("story", {}, old_session="", old_id="", reason="")
    with pytest.raises(Invalid):
        decisions.adopt(record, session, owner)
