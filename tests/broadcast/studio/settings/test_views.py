"""Settings of the workspace: seen by everybody, changed by the staff, used by everybody."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app import sessions
from sessions_app.models import Workspace
from stories.models import SourceGroup
from tests.markup import unbroken

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
ClientOf = Callable[[User], Client]
DEFAULTS = {
    "model": "",
    "personality": "formal",
    "verbosity": "",
    "pace": "90",
    "language": "fr",
    "instructions": "",
    "control_mode": "",
}
DAYS = {
    "keep_fine_days": "5",
    "keep_answers_days": "6",
    "keep_sounds_days": "7",
    "keep_transitions_days": "8",
    "keep_events_days": "9",
    "artifact_quota_mb": "500",
}
CONTEXT = {"compact_tokens": "900", "reset_operations": "20", "draft_idle_minutes": "15"}
GROUP = {
    "name": "Harbour",
    "description": "Ships.",
    "sources": "r/tides new\n\n https://example.org/feed.xml\ndemo",
}


@pytest.fixture
def browser(editor: User, client_of: ClientOf) -> Client:
    return client_of(editor)


@pytest.fixture
def group(browser: Client) -> SourceGroup:
    SourceGroup.objects.all().delete()
    browser.post("/settings/groups/", GROUP)
    return SourceGroup.objects.get()


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def test_workspace_defaults_are_kept_and_used(browser: Client, owner: User) -> None:
    answer = browser.post("/settings/defaults/", DEFAULTS)
    assert answer["Location"] == "/settings/?saved=defaults#defaults"
    wanted = {"personality": "formal", "pace": 90, "language": "fr"}
    assert Workspace.objects.get().defaults == wanted
    assert sessions.defaults_of(owner) == wanted
    assert 'value="90"' in text(browser.get("/settings/"))


def test_a_persons_page_names_what_the_workspace_has(
    browser: Client, owner: User, client_of: ClientOf
) -> None:
    browser.post("/settings/defaults/", DEFAULTS)
    shown = text(client_of(owner).get("/account/"))
    assert "Default (Formal)" in shown
    assert "empty: 90" in shown


def test_wrong_defaults_come_back_with_the_reason(browser: Client) -> None:
    answer = browser.post("/settings/defaults/", {**DEFAULTS, "pace": "30"})
    assert answer.status_code == 422
    assert "60 to 6000 words a minute" in text(answer)
    assert not Workspace.objects.exclude(defaults={}).exists()


def test_days_of_keeping_are_kept(browser: Client) -> None:
    assert browser.post("/settings/retention/", DAYS).status_code == 302
    found = Workspace.objects.get()
    assert (found.keep_fine_days, found.keep_answers_days, found.keep_sounds_days) == (5, 6, 7)
    assert (found.keep_events_days, found.artifact_quota_mb) == (9, 500)
    assert found.keep_transitions_days == 8


@pytest.mark.parametrize("days", ["0", "-1", "many", "", "4000"])
def test_wrong_days_are_refused(browser: Client, days: str) -> None:
    answer = browser.post("/settings/retention/", {**DAYS, "keep_fine_days": days})
    assert answer.status_code == 422
    assert "errorlist" in text(answer)
    assert not Workspace.objects.exclude(keep_fine_days=30).exists()


def test_the_context_of_models_is_kept_and_shown(browser: Client) -> None:
    answer = browser.post("/settings/context/", CONTEXT)
    assert answer["Location"] == "/settings/?saved=context#context"
    found = Workspace.objects.get()
    assert (found.compact_tokens, found.reset_operations, found.draft_idle_minutes) == (900, 20, 15)
    shown = text(browser.get("/settings/"))
    assert 'name="compact_tokens" value="900"' in shown


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("compact_tokens", "499"),
        ("compact_tokens", "100001"),
        ("reset_operations", "9"),
        ("reset_operations", ""),
        ("draft_idle_minutes", "4"),
        ("draft_idle_minutes", "43201"),
    ],
)
def test_a_wrong_context_is_refused_with_the_reason(browser: Client, name: str, wrong: str) -> None:
    answer = browser.post("/settings/context/", {**CONTEXT, name: wrong})
    assert answer.status_code == 422
    assert "errorlist" in text(answer)
    assert not Workspace.objects.filter(compact_tokens=900).exists()


def test_a_group_is_added_from_lines_as_people_type_them(group: SourceGroup) -> None:
    assert (group.name, group.description) == ("Harbour", "Ships.")
    assert group.sources == [
        {"kind": "reddit", "locator": "r/tides", "sort": "new"},
        {"kind": "rss", "locator": "https://example.org/feed.xml", "sort": ""},
        {"kind": "recording", "locator": "demo", "sort": ""},
    ]


def test_a_group_is_shown_as_it_was_typed_and_changed(browser: Client, group: SourceGroup) -> None:
    assert "r/tides new\nhttps://example.org/feed.xml\ndemo" in text(browser.get("/settings/"))
    changed = {"name": "Port", "description": "", "sources": "r/boats"}
    assert browser.post(f"/settings/groups/{group.pk}/", changed).status_code == 302
    group.refresh_from_db()
    assert (group.name, group.description) == ("Port", "")
    assert group.sources == [{"kind": "reddit", "locator": "r/boats", "sort": "hot"}]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sources": "r/not a name"}, "r/not a name"),
        ({"sources": " \n"}, "required"),
        ({"sources": "demo\ndemo"}, "twice"),
        ({"name": "harbour"}, "already"),
        ({"name": ""}, "req"),
        ({"sources": "https://example.org/feed.xml new"}, "Only subreddits"),
        ({"sources": "\n".join(f"r/tides{n}" for n in range(51))}, "1 to 50"),
    ],
)
def test_a_wrong_group_comes_back_with_the_reason(
    browser: Client, group: SourceGroup, wrong: dict[str, str], said: str
) -> None:
    answer = browser.post("/settings/groups/", {**GROUP, "name": "Another", **wrong})
    assert answer.status_code == 422
    assert said in text(answer)
    assert SourceGroup.objects.count() == 1


def test_a_wrong_change_leaves_the_group_as_it_was(browser: Client, group: SourceGroup) -> None:
    answer = browser.post(f"/settings/groups/{group.pk}/", {**GROUP, "sources": "nonsense at all"})
    assert answer.status_code == 422
    assert "nonsense at all" in text(answer)
    group.refresh_from_db()
    assert len(group.sources) == 3


def order() -> list[str]:
    return list(SourceGroup.objects.values_list("name", flat=True))


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_groups_are_put_in_order(
    browser: Client, group: SourceGroup, headers: dict[str, str]
) -> None:
    for name in ("Second", "Third"):
        browser.post("/settings/groups/", {**GROUP, "name": name})
    path = f"/settings/groups/{SourceGroup.objects.get(name='Third').pk}/move/"
    answer = browser.post(path, {"direction": "up"}, headers=headers)
    assert answer.status_code == (200 if headers else 302)
    assert order() == ["Harbour", "Third", "Second"]
    browser.post(path, {"direction": "down"})
    browser.post(path, {"direction": "down"})
    assert order() == ["Harbour", "Second", "Third"]


def test_a_group_is_removed_and_can_be_removed_once(browser: Client, group: SourceGroup) -> None:
    path = f"/settings/groups/{group.pk}/remove/"
    assert browser.post(path).status_code == 302
    assert not SourceGroup.objects.exists()
    assert browser.post(path, headers=HTMX).status_code == 404


def test_everybody_sees_the_settings_and_why_they_cannot_change_them(
    owner: User, group: SourceGroup, client_of: ClientOf
) -> None:
    shown = unbroken(text(client_of(owner).get("/settings/")))
    assert "Only staff can change these settings" in shown
    assert shown.count("<fieldset") == shown.count(' disabled aria-describedby="staff-only">') > 3
    assert "Harbour" in shown
    assert "/admin/" not in shown


def test_the_staff_finds_the_way_to_add_people(browser: Client) -> None:
    shown = text(browser.get("/settings/"))
    assert 'href="/admin/auth/user/add/"' in shown
    assert "Only the staff" not in shown


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("defaults/", DEFAULTS),
        ("retention/", DAYS),
        ("context/", CONTEXT),
        ("groups/", {**GROUP, "name": "Mine"}),
        ("groups/{}/", GROUP),
        ("groups/{}/move/", {"direction": "up"}),
        ("groups/{}/remove/", {}),
    ],
)
def test_nobody_else_changes_anything(
    owner: User, group: SourceGroup, client_of: ClientOf, path: str, data: dict[str, str]
) -> None:
    path = "/settings/" + path.format(group.pk)
    answer = client_of(owner).post(path, data)
    assert answer.status_code == 403
    assert "Only the staff can change" in text(answer)
    assert client_of(owner).post(path, data, headers=HTMX).status_code == 403
    assert order() == ["Harbour"]
    assert not Workspace.objects.exclude(
        defaults={}, keep_fine_days=30, compact_tokens=4000
    ).exists()


def test_the_page_costs_the_same_for_many_groups(
    browser: Client, group: SourceGroup, django_assert_num_queries: Any
) -> None:
    for number in range(12):
        browser.post("/settings/groups/", {**GROUP, "name": str(number)})
    browser.get("/settings/")
    with django_assert_num_queries(5):
        browser.get("/settings/")
