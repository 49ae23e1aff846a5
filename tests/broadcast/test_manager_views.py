"""The Session Manager: forms that make, change, show and file sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app.models import Session
from stories.models import Source
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}
SETTINGS: dict[str, Any] = {
    "model": "extractive", "personality": "formal", "verbosity": "concise", "pace": "200",
    "language": "en", "instructions": "", "control_mode": "balanced", "budget_usd": "1.5",
}  # fmt: skip


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def fresh(session: Session) -> Session:
    return Session.objects.get(pk=session.pk)


def test_a_session_is_made_from_lines_as_people_type_them(browser: Client) -> None:
    answer = browser.post("/sessions/new/", {"name": "Morning", "sources": "demo\n\n"})
    session = Session.objects.get()
    assert answer["Location"] == f"/sessions/{session.pk}/"
    assert Source.objects.get().kind == "recording"


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"sources": "demo\ndemo"}, {"sources": "not an address at all"}]
)
def test_a_wrong_form_comes_back_with_what_was_typed(
    browser: Client, wrong: dict[str, str]
) -> None:
    answer = browser.post("/sessions/new/", {"name": "Typed", "sources": "demo", **wrong})
    assert answer.status_code == 422
    assert ("Typed" in text(answer)) is ("name" not in wrong)
    assert not Session.objects.exists()


def test_the_list_shows_the_owners_sessions_alone(
    browser: Client, session: Session, stranger: User, client_of: Callable[[User], Client]
) -> None:
    assert "Morning" in text(browser.get("/sessions/"))
    assert "Morning" not in text(client_of(stranger).get("/sessions/"))


def test_the_list_costs_the_same_for_many_sessions(
    browser: Client, make_session: MakeSession, django_assert_num_queries: Any
) -> None:
    for number in range(12):
        make_session(str(number), recording=False)
    with django_assert_num_queries(4):
        browser.get("/sessions/")


def test_a_session_is_renamed_with_and_without_script(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/name/"
    assert text(browser.post(path, {"name": "Evening <b>"}, headers=HTMX)).strip() == (
        "Evening &lt;b&gt;"
    )
    assert browser.post(path, {"name": "Night"})["Location"] == f"/sessions/{session.pk}/"
    assert fresh(session).name == "Night"


def test_an_empty_name_is_refused_in_words(browser: Client, session: Session) -> None:
    answer = browser.post(f"/sessions/{session.pk}/name/", {"name": " "}, headers=HTMX)
    assert answer.status_code == 422
    assert fresh(session).name == "Morning"


def test_settings_are_saved_as_they_are_shown(browser: Client, session: Session) -> None:
    assert browser.post(f"/sessions/{session.pk}/settings/", SETTINGS).status_code == 302
    found = fresh(session)
    assert (found.pace, found.personality, found.control_mode) == (200, "formal", "balanced")
    assert found.budget == 1_500_000_000_000
    page = text(browser.get(f"/sessions/{session.pk}/"))
    assert 'value="200"' in page
    assert 'value="1.5"' in page


def test_an_emptied_budget_is_no_limit(browser: Client, session: Session) -> None:
    browser.post(f"/sessions/{session.pk}/settings/", SETTINGS)
    browser.post(f"/sessions/{session.pk}/settings/", {**SETTINGS, "budget_usd": ""})
    assert fresh(session).budget is None


def test_emptied_instructions_are_empty(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/settings/"
    browser.post(path, {**SETTINGS, "instructions": "Be brief."})
    browser.post(path, SETTINGS)
    assert fresh(session).instructions == ""


@pytest.mark.parametrize(
    "wrong", [{"pace": "30"}, {"pace": "many"}, {"model": ""}, {"budget_usd": "-1"}]
)
def test_wrong_settings_come_back_with_the_reason(
    browser: Client, session: Session, wrong: dict[str, str]
) -> None:
    answer = browser.post(f"/sessions/{session.pk}/settings/", {**SETTINGS, **wrong})
    assert answer.status_code == 422
    assert "errorlist" in text(answer)
    assert fresh(session).personality == "conversational"


def test_a_language_of_one_letter_is_refused_and_not_a_crash(
    browser: Client, session: Session
) -> None:
    answer = browser.post(f"/sessions/{session.pk}/settings/", {**SETTINGS, "language": "e"})
    assert answer.status_code in {302, 422}
    assert fresh(session).language == "en"


def test_the_public_page_is_opened_and_taken_down(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/visibility/"
    browser.post(path, {"visible": "true"})
    assert fresh(session).watch_token in text(browser.get(f"/sessions/{session.pk}/"))
    browser.post(path, {"visible": "false"})
    assert not fresh(session).visible


def test_a_session_is_filed_and_taken_back(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/filing/"
    browser.post(path, {"action": "archive"})
    assert fresh(session).status == "archived"
    browser.post(path, {"action": "restore"})
    assert fresh(session).status == "active"


def test_a_session_on_air_is_not_filed_and_the_page_says_why(
    browser: Client, session: Session, go_live: Callable[[Session], Any]
) -> None:
    go_live(session)
    answer = browser.post(f"/sessions/{session.pk}/filing/", {"action": "archive"}, follow=True)
    assert "Stop the broadcast first" in text(answer)
    assert fresh(session).status == "active"


def test_sources_are_added_once_and_removed(browser: Client, make_session: MakeSession) -> None:
    session = make_session(recording=False)
    path = f"/sessions/{session.pk}/sources/"
    wanted = {"kind": "recording", "locator": "demo", "sort": ""}
    assert browser.post(path, wanted).status_code == 302
    again = browser.post(path, wanted)
    assert again.status_code == 422
    assert "is a source of this session already" in text(again)
    source = Source.objects.get()
    browser.post(f"{path}{source.pk}/remove/")
    assert not Source.objects.get().enabled


def test_the_source_of_another_session_cannot_be_removed_here(
    browser: Client, session: Session, make_session: MakeSession
) -> None:
    other = make_session("Evening")
    source = Source.objects.get(session=session)
    path = f"/sessions/{other.pk}/sources/{source.pk}/remove/"
    assert browser.post(path, headers=HTMX).status_code == 404
    assert Source.objects.get(pk=source.pk).enabled


def test_hostile_names_stay_text_on_every_page(browser: Client, make_session: MakeSession) -> None:
    session = make_session('<script>alert(1)</script>"><i id="seq">')
    for path in ("/sessions/", f"/sessions/{session.pk}/", f"/broadcast/{session.pk}/"):
        found = text(browser.get(path))
        assert "<script>alert" not in found
        assert found.count('<i id="seq"') <= 1
