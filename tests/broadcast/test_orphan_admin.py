"""The desk of orphans: what each control on its pages does in the database, and who may use it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from sessions_app import audits
from sessions_app.models import Session
from stories.models import QuarantineDecision, QuarantinedRecord, Story
from stories.quarantine import decisions
from tests.legacy_exports import export, session, story

pytestmark = pytest.mark.django_db(transaction=True)

GROUPS = "admin:stories_quarantine_groups"
DEAD = "session-1759241866123-ab1"


@pytest.fixture
def desk(editor: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(editor)


@pytest.fixture
def old(owner: User, tmp_path: Path) -> Session:
    """A session of the old system, around whose time three stories have a dead string."""
    lost = [story(number, session_id=DEAD) for number in (2, 3, 4)]
    mine = [story(1), story(9)]
    path = export(tmp_path / "old.zip", sessions=[session()], story_history=[*mine, *lost])
    call_command("import_legacy", str(path), "--owner", "olga", verbosity=0)
    return Session.objects.get()


def group_of(client: Client) -> str:
    """The address behind the group's link."""
    page = client.get(reverse(GROUPS)).content.decode()
    (found,) = re.findall(r'href="([^"]+/quarantinedrecord/group/[^"]*)"', page)
    return unescape(found)


def waiting() -> int:
    return QuarantinedRecord.objects.filter(state="waiting").count()


def test_the_groups_name_likely_sessions_and_why(desk: Client, old: Session) -> None:
    page = desk.get(reverse(GROUPS)).content.decode()
    assert DEAD in page
    assert "Session 1: It was created at the time in the old session string." in page


def test_a_group_shows_what_its_records_say(desk: Client, old: Session) -> None:
    page = desk.get(group_of(desk)).content.decode()
    assert "Harbor reopens 3" in page
    assert "story_history/documents.jsonl:4" in page
    assert f'value="{old.pk}"' in page


def test_a_group_is_adopted_into_the_likely_session(desk: Client, old: Session) -> None:
    answer = desk.post(group_of(desk), {"action": "adopt", "session": str(old.pk)}, follow=True)
    assert "3 records adopted into “Session 1”." in answer.content.decode()
    assert Story.objects.filter(session=old).count() == 5
    assert waiting() == 0
    assert list(audits.run()) == []


def test_a_session_that_is_typed_goes_before_the_chosen_one(
    desk: Client, old: Session, make_session: Callable[..., Session]
) -> None:
    other = make_session("Elsewhere")
    desk.post(group_of(desk), {"action": "adopt", "session": str(old.pk), "other": "Elsewhere"})
    assert Story.objects.filter(session=other).count() == 3


@pytest.mark.parametrize("named", [{}, {"other": "nowhere"}, {"session": "x"}])
def test_without_a_session_nothing_is_adopted(
    desk: Client, old: Session, named: dict[str, str]
) -> None:
    answer = desk.post(group_of(desk), {"action": "adopt", **named}, follow=True)
    assert "No session has this name or id." in answer.content.decode()
    assert waiting() == 3


def test_a_group_is_discarded(desk: Client, old: Session, editor: User) -> None:
    desk.post(group_of(desk), {"action": "discard"})
    assert set(QuarantinedRecord.objects.values_list("state", "decided_by")) == {
        ("discarded", editor.pk)
    }


def test_an_act_is_taken_back_by_its_button(desk: Client, old: Session) -> None:
    desk.post(group_of(desk), {"action": "adopt", "session": str(old.pk)})
    page = desk.get(reverse(GROUPS)).content.decode()
    assert "Undo 3" in page
    (action,) = re.findall(r'action="([^"]+/undo/[^"]+)"', page)
    answer = desk.post(action, follow=True)
    assert "3 records back in quarantine." in answer.content.decode()
    assert (waiting(), Story.objects.count()) == (3, 2)
    assert "Undo" not in desk.get(reverse(GROUPS)).content.decode().partition("Recent decisions")[2]


def test_what_stays_is_said(desk: Client, old: Session, editor: User) -> None:
    decisions.adopt_all(QuarantinedRecord.objects.all(), old, editor)
    Story.objects.filter(created_at__lt=Story.objects.latest("pk").created_at).update(
        state="killed"
    )
    act = QuarantineDecision.objects.latest("pk").act
    answer = desk.post(reverse("admin:stories_quarantine_undo", args=[act]), follow=True)
    assert "stays in “Session 1”: it has been killed." in answer.content.decode()


def test_chosen_records_are_put_back_from_the_list(
    desk: Client, old: Session, editor: User
) -> None:
    decisions.discard_all(QuarantinedRecord.objects.all(), editor)
    first, *_ = QuarantinedRecord.objects.values_list("pk", flat=True)
    page = reverse("admin:stories_quarantinedrecord_changelist")
    desk.post(page, {"action": "undo", "_selected_action": [first]})
    assert waiting() == 1


def test_a_group_that_is_empty_by_now_leads_back(desk: Client, old: Session) -> None:
    address = group_of(desk)
    desk.post(address, {"action": "discard"})
    answer = desk.get(address, follow=True)
    assert "No record of this group waits any more." in answer.content.decode()


@pytest.mark.parametrize("page", ["2", "x", "-1", "9" * 30])
def test_any_page_number_is_answered(desk: Client, old: Session, page: str) -> None:
    assert desk.get(reverse(GROUPS), {"page": page}).status_code == 200


@pytest.fixture
def helper(old: Session) -> User:
    """A member of the staff who may see everything."""
    made = User.objects.create_user("helmut", password="helmut-has-one", is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return made


def test_who_may_only_look_decides_nothing(
    helper: User, desk: Client, old: Session, client_of: Callable[[User], Client]
) -> None:
    address, client = group_of(desk), client_of(helper)
    assert b"You can view these records but not decide on them." in client.get(address).content
    for action in ("adopt", "discard"):
        answer = client.post(address, {"action": action, "session": str(old.pk)})
        assert answer.status_code == 403
    desk.post(address, {"action": "discard"})
    act = QuarantineDecision.objects.latest("pk").act
    assert client.post(reverse("admin:stories_quarantine_undo", args=[act])).status_code == 403
    assert waiting() == 0


def test_an_address_alone_takes_nothing_back(desk: Client, old: Session) -> None:
    desk.post(group_of(desk), {"action": "discard"})
    act = QuarantineDecision.objects.latest("pk").act
    assert desk.get(reverse("admin:stories_quarantine_undo", args=[act])).status_code == 403
    assert waiting() == 0


def test_an_owner_who_is_not_on_the_staff_sees_no_group(
    owner: User, old: Session, desk: Client, client_of: Callable[[User], Client]
) -> None:
    address = group_of(desk)
    assert client_of(owner).get(address).status_code == 302
    assert client_of(owner).post(address, {"action": "discard"}).status_code == 302
    assert waiting() == 3
