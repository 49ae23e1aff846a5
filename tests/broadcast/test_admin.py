"""The admin: a window on every record, and the desk where quarantined ones are decided on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import Client
from django.urls import reverse

from sessions_app import api_tokens, audits
from sessions_app.models import ApiToken, Session
from stories.models import QuarantinedRecord, Story
from stories.quarantine import records
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("sessions_app", "stories", "broadcast")
MODELS = [model for app in OURS for model in apps.get_app_config(app).get_models()]
LIST = "admin:stories_quarantinedrecord_changelist"


@pytest.fixture
def desk(editor: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(editor)


def record(number: int = 1, **payload: Any) -> QuarantinedRecord:
    found = {"narrative": f"Story number {number} of old.", "title": f"Old {number}", **payload}
    return records.put(
        "story", found, old_session="live", old_id=str(number), reason="A dead session string."
    )


def act(desk: Client, action: str, records: list[QuarantinedRecord], **more: Any) -> Any:
    chosen = [str(each.pk) for each in records]
    return desk.post(reverse(LIST), {"action": action, "_selected_action": chosen, **more})


def path_of(model: type[models.Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_model_of_ours_can_be_looked_at() -> None:
    assert [model for model in MODELS if not admin.site.is_registered(model)] == []


def test_each_list_opens_and_nothing_can_be_added_changed_or_deleted(
    desk: Client, session: Session, go_live: Callable[[Session], Any]
) -> None:
    go_live(session)
    run_due_steps(session, most=8)
    record()
    api_tokens.make(session.owner)
    looked_at = {model._meta.label: looked_through(desk, model) for model in MODELS}
    without_rows = [label for label, found in looked_at.items() if len(found) == 2]
    expected = {
        label: (200, 403) if label in without_rows else (200, 403, 200, 403, 403)
        for label in looked_at
    }
    assert looked_at == expected
    assert len(MODELS) - len(without_rows) > 15


def looked_through(desk: Client, model: type[models.Model]) -> tuple[int, ...]:
    """The statuses of the list and of adding, and of a row's page, its change and its deletion."""
    answer = desk.get(path_of(model, "changelist"))
    assert b"delete_selected" not in answer.content, model
    row = model._default_manager.first()
    found = [answer.status_code, desk.get(path_of(model, "add")).status_code]
    if row is not None:
        found += [
            desk.get(path_of(model, "change", row.pk)).status_code,
            desk.post(path_of(model, "change", row.pk), {}).status_code,
            desk.post(path_of(model, "delete", row.pk), {"post": "yes"}).status_code,
        ]
        assert model._default_manager.filter(pk=row.pk).exists(), model
    return tuple(found)


def test_the_secrets_of_a_row_are_not_shown(desk: Client, session: Session) -> None:
    api_tokens.make(session.owner)
    token = ApiToken.objects.get()
    page = desk.get(path_of(ApiToken, "change", token.pk)).content.decode()
    assert token.digest not in page
    page = desk.get(path_of(Session, "change", session.pk)).content.decode()
    assert session.watch_token not in page


def test_chosen_tokens_are_revoked(desk: Client, session: Session) -> None:
    token = api_tokens.make(session.owner)
    row = ApiToken.objects.get()
    desk.post(path_of(ApiToken, "changelist"), {"action": "revoke", "_selected_action": [row.pk]})
    assert api_tokens.owner_of(token) is None


def test_orphans_are_shown_in_groups(desk: Client) -> None:
    for number in range(3):
        record(number)
    page = desk.get(reverse("admin:stories_quarantine_groups")).content.decode()
    assert "A dead session string." in page
    assert "<td>3</td>" in page


def test_the_link_of_a_group_lists_its_records(desk: Client) -> None:
    record()
    page = desk.get(reverse("admin:stories_quarantine_groups")).content.decode()
    answer = desk.get(link_of_group(page))
    assert answer.status_code == 200
    assert b"1 quarantined record" in answer.content


def link_of_group(page: str) -> str:
    (found,) = [part.split('"')[0] for part in page.split('href="') if "state__exact" in part[:200]]
    return found.replace("&amp;", "&")


def test_without_orphans_the_groups_say_so(desk: Client) -> None:
    page = desk.get(reverse("admin:stories_quarantine_groups")).content.decode()
    assert "every record has its session" in page


def test_adopting_asks_for_the_session_first(desk: Client, session: Session) -> None:
    answer = act(desk, "adopt", [record()])
    assert answer.status_code == 200
    assert session.name in answer.content.decode()
    assert not Story.objects.exists()


def test_records_are_adopted_in_bulk_into_the_chosen_session(
    desk: Client, session: Session, editor: User
) -> None:
    records = [record(number) for number in range(3)]
    assert act(desk, "adopt", records, session=str(session.pk)).status_code == 302
    assert set(Story.objects.values_list("origin", "session_id")) == {("legacy", session.pk)}
    found = QuarantinedRecord.objects.get(pk=records[0].pk)
    assert (found.state, found.adopted_by, found.decided_by) == ("adopted", session, editor)
    assert LogEntry.objects.filter(user=editor).count() == 3
    assert list(audits.run()) == []


def test_a_record_that_cannot_be_a_story_stays_and_the_others_go(
    desk: Client, session: Session
) -> None:
    bad, good = record(1, narrative=""), record(2)
    act(desk, "adopt", [bad, good], session=str(session.pk))
    assert QuarantinedRecord.objects.get(pk=bad.pk).state == "waiting"
    assert Story.objects.count() == 1


def test_records_are_discarded_in_bulk_and_the_act_is_recorded(desk: Client, editor: User) -> None:
    records = [record(number) for number in range(3)]
    act(desk, "discard", records)
    assert set(QuarantinedRecord.objects.values_list("state", "decided_by")) == {
        ("discarded", editor.pk)
    }
    assert LogEntry.objects.filter(user=editor).count() == 3


def test_what_was_decided_is_not_decided_again(desk: Client, session: Session) -> None:
    one = record()
    act(desk, "discard", [one])
    act(desk, "adopt", [one], session=str(session.pk))
    assert not Story.objects.exists()


def test_an_owner_who_is_not_on_the_staff_sees_none_of_it(
    owner: User, client_of: Callable[[User], Client]
) -> None:
    one = record()
    assert act(client_of(owner), "discard", [one]).status_code == 302
    assert client_of(owner).get(reverse(LIST)).status_code == 302
    assert QuarantinedRecord.objects.get().state == "waiting"


DECISIONS = [
    (QuarantinedRecord, "change_quarantinedrecord", "adopt"),
    (QuarantinedRecord, "change_quarantinedrecord", "discard"),
    (ApiToken, "change_apitoken", "revoke"),
]


@pytest.fixture
def helper(db: None) -> User:
    """A member of the staff who may see everything."""
    made = User.objects.create_user("helmut", password="helmut-has-one", is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return made


def state_of(model: type[models.Model]) -> list[Any]:
    return list(model._default_manager.order_by("pk").values())


@pytest.mark.parametrize(("model", "_codename", "action"), DECISIONS)
def test_who_may_only_look_sees_no_button_and_is_refused(
    helper: User,
    client_of: Callable[[User], Client],
    session: Session,
    model: type[models.Model],
    _codename: str,
    action: str,
) -> None:
    record(), api_tokens.make(session.owner)
    before, page = state_of(model), path_of(model, "changelist")
    seen = client_of(helper).get(page)
    assert seen.status_code == 200
    assert b'name="action"' not in seen.content
    wanted = {"action": action, "_selected_action": [before[0]["id"]], "session": str(session.pk)}
    for more in ({}, {"index": "0"}):
        assert client_of(helper).post(page, {**wanted, **more}).status_code == 403
    assert state_of(model) == before
    assert not Story.objects.exists()


@pytest.mark.parametrize(("model", "codename", "action"), DECISIONS)
def test_who_may_also_decide_sees_the_button_and_it_works(
    helper: User,
    client_of: Callable[[User], Client],
    session: Session,
    model: type[models.Model],
    codename: str,
    action: str,
) -> None:
    record(), api_tokens.make(session.owner)
    helper.user_permissions.add(Permission.objects.get(codename=codename))
    before, page = state_of(model), path_of(model, "changelist")
    assert f'value="{action}"'.encode() in client_of(helper).get(page).content
    wanted = {"action": action, "_selected_action": [before[0]["id"]], "session": str(session.pk)}
    assert client_of(helper).post(page, wanted).status_code == 302
    assert state_of(model) != before
    assert client_of(helper).post(path_of(model, "change", before[0]["id"]), {}).status_code == 403


def test_a_staff_member_without_permission_can_decide_nothing(
    client_of: Callable[[User], Client], session: Session
) -> None:
    helper = User.objects.create_user("helga", password="helga-has-one", is_staff=True)
    one = record()
    for action in ("discard", "adopt"):
        act(client_of(helper), action, [one], session=str(session.pk))
    assert client_of(helper).get(reverse("admin:stories_quarantine_groups")).status_code == 403
    assert QuarantinedRecord.objects.get().state == "waiting"
