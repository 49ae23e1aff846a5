"""Groups of orphans: what they hold, and which sessions are likely, by id, by name and by time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from sessions_app.errors import NotFound
from sessions_app.models import Session
from stories.quarantine import groups as quarantine_groups
from stories.quarantine import records
from tests.conftest import MakeSession
from tests.legacy_exports import START, Row, export, session, story, usage

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3_600_000.0
DEAD = f"session-{int(START + 5 * HOUR)}-ab1"


def bring(folder: Path, sessions: list[Row], stories: list[Row], **more: Any) -> None:
    path = export(folder / "export.zip", sessions=sessions, story_history=stories, **more)
    call_command("import_legacy", str(path), "--owner", "olga", verbosity=0)


def story_at(number: int, hours: float, named: str | None) -> Row:
    at = START + hours * HOUR
    return story(number, created_at=at, completed_at=at - 5, session_id=named)


def likely() -> list[tuple[str, str]]:
    (group,) = quarantine_groups.page(0)[0]
    return [(each.session.name, each.why) for each in group.likely]


def test_records_are_grouped_by_string_reason_and_kind(tmp_path: Path, owner: User) -> None:
    stories = [story_at(1, 0, DEAD), story_at(2, 3, DEAD), story_at(3, 1, None)]
    bring(tmp_path, [], stories, token_usage=[usage(1, session_id=DEAD)])
    groups, more = quarantine_groups.page(0)
    assert [(each.old_session, each.kind, each.number) for each in groups] == [
        (DEAD, "story", 2),
        ("", "story", 1),
        (DEAD, "usage", 1),
    ]
    assert not more
    assert (groups[0].last - groups[0].first).total_seconds() == 3 * 3600


def test_a_session_whose_stories_surround_the_group_is_likely(tmp_path: Path, owner: User) -> None:
    one, other = session(1), session(2, _creationTime=START + 9 * HOUR)
    stories = [story_at(1, 2, one["_id"]), story_at(2, 1, None), story_at(3, 10, other["_id"])]
    bring(tmp_path, [one, other], stories)
    assert likely() == [("Session 1", "It had stories before and after all of these.")]


def test_a_session_of_a_part_of_the_time_is_less_likely(tmp_path: Path, owner: User) -> None:
    one, other = session(1), session(2)
    stories = [
        story_at(1, 2, one["_id"]),
        story_at(2, 6, other["_id"]),
        story_at(3, 1, None),
        story_at(4, 5, None),
    ]
    bring(tmp_path, [one, other], stories)
    assert [name for name, _ in likely()] == ["Session 2", "Session 1"]


def test_a_session_made_when_the_string_says_comes_first(tmp_path: Path, owner: User) -> None:
    one, other = session(1), session(2, _creationTime=START + 5 * HOUR)
    stories = [story_at(1, 9, one["_id"]), story_at(2, 5.1, DEAD)]
    bring(tmp_path, [one, other], stories)
    assert likely()[0] == ("Session 2", "It was created at the time in the old session string.")


def test_a_session_that_came_later_is_known_by_its_id(tmp_path: Path, owner: User) -> None:
    one = session(1)
    bring(tmp_path, [], [story_at(1, 0, one["_id"])])
    bring(tmp_path, [one], [])
    assert likely() == [("Session 1", "It had this id in the old system.")]


def test_a_session_of_somebody_else_is_never_likely(
    tmp_path: Path, owner: User, stranger: User
) -> None:
    bring(tmp_path, [session()], [story_at(1, 0, None)])
    Session.objects.update(owner=stranger)
    assert likely() == []


def test_records_put_by_hand_have_no_likely_session(owner: User) -> None:
    records.put("story", {"narrative": "x"}, old_session="live", old_id="1", reason="No home.")
    assert likely() == []


def test_a_page_asks_as_much_for_one_group_as_for_many(
    tmp_path: Path, owner: User, django_assert_num_queries: Any
) -> None:
    stories = [story_at(number, number, f"session-{int(START) + number}") for number in range(30)]
    bring(tmp_path, [session(number) for number in range(9)], stories)
    with django_assert_num_queries(2):
        groups, more = quarantine_groups.page(0)
    assert (len(groups), more) == (25, True)
    assert len(quarantine_groups.page(1)[0]) == 5


def test_a_group_is_found_by_its_key(tmp_path: Path, owner: User) -> None:
    bring(tmp_path, [], [story_at(1, 0, DEAD), story_at(2, 0, None)])
    for group in quarantine_groups.page(0)[0]:
        assert quarantine_groups.one(group.key) == group
        assert quarantine_groups.records(group.key).get().old_session == group.old_session
    with pytest.raises(NotFound):
        quarantine_groups.one({"old_session": "unknown"})


def test_a_session_is_named_by_its_id_or_its_only_name(make_session: MakeSession) -> None:
    one = make_session("Morning")
    assert quarantine_groups.session_named(f" {one.pk} ") == one
    assert quarantine_groups.session_named("Morning") == one
    make_session("Morning")
    with pytest.raises(NotFound, match="Several sessions"):
        quarantine_groups.session_named("Morning")


@pytest.mark.parametrize("named", ["", "nothing", "00000000-0000-0000-0000-000000000000"])
def test_a_name_that_nobody_has_is_said_so(db: None, named: str) -> None:
    with pytest.raises(NotFound, match="No session"):
        quarantine_groups.session_named(named)
