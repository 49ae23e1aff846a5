"""The Session Manager: forms that make, change, show and file sessions."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from datetime import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.models import Slot
from broadcast.public import podcast
from broadcast.schedule import slots
from sessions_app import sessions
from sessions_app.files import artifacts, storage
from sessions_app.models import Preferences, Session, SessionStats, Step, Workspace
from sessions_app.money import PICO
from stories.models import Source, SourceGroup
from stories.sources import registry
from stories.sources.http_client import GuardedClient
from stories.sources.rss import RssSource
from tests.api_clients import Api
from tests.conftest import MakeSession
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}
SETTINGS: dict[str, Any] = {
    "model": "extractive",
    "personality": "formal",
    "verbosity": "concise",
    "pace": "200",
    "language": "en",
    "instructions": "",
    "control_mode": "balanced",
}


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def fresh(session: Session) -> Session:
    return Session.objects.get(pk=session.pk)


def test_a_page_is_compressed_and_the_answer_of_the_api_is_not(
    browser: Client, session: Session
) -> None:
    packed = {"Accept-Encoding": "gzip"}
    page = browser.get(f"/sessions/{session.pk}/", headers=packed)
    assert page["Content-Encoding"] == "gzip"
    assert session.name in gzip.decompress(page.content).decode()
    assert "Accept-Encoding" in page["Vary"]
    answer = browser.get(f"/api/sessions/{session.pk}/stats", headers=packed)
    assert (answer.status_code, answer.get("Content-Encoding")) == (200, None)


def test_a_session_is_made_from_lines_as_people_type_them(browser: Client) -> None:
    answer = browser.post(
        "/sessions/new/", {"name": "Morning", "type": "broadcast", "sources": "demo\n\n demo "}
    )
    session = Session.objects.get()
    assert answer["Location"] == f"/sessions/{session.pk}/"
    assert Source.objects.get().kind == "recording"


def test_a_session_for_writing_with_a_group(browser: Client) -> None:
    data = {"name": "Essay", "type": "writing", "sources": "", "groups": ["Curiosity Lab"]}
    SourceGroup.objects.update_or_create(
        name="Curiosity Lab", defaults={"sources": [{"kind": "reddit", "locator": "r/space"}]}
    )
    browser.post("/sessions/new/", data)
    assert Session.objects.get().type == "writing"
    assert Source.objects.get().locator == "r/space"


def test_a_program_makes_a_session_of_a_type_with_groups(owner: User) -> None:
    sources = [{"kind": "reddit", "locator": "r/space", "sort": "new"}]
    SourceGroup.objects.update_or_create(name="Space", defaults={"sources": sources})
    wanted = {"name": "Essay", "type": "writing", "groups": ["Space"]}
    status, made = Api(owner).post("/sessions", wanted)
    assert (status, made["type"]) == (201, "writing")
    assert Source.objects.get(session=made["id"]).sort == "new"
    assert Api(owner).post("/sessions", {"name": "x", "type": "replay"})[0] == 422
    assert Api(owner).post("/sessions", {"name": "x", "groups": ["None such"]})[0] == 404


def test_new_sessions_begin_with_the_persons_then_the_workspaces_defaults(
    browser: Client, owner: User
) -> None:
    shared = {"pace": 240, "language": "de", "unknown": 1}
    Workspace.objects.update_or_create(pk=1, defaults={"defaults": shared})
    own = {"language": "fr", "personality": "formal", "verbosity": None}
    Preferences.objects.update_or_create(user=owner, defaults={"defaults": own})
    browser.post("/sessions/new/", {"name": "Mine", "type": "broadcast"})
    made = Session.objects.get()
    assert (made.pace, made.language, made.personality) == (240, "fr", "formal")
    assert made.verbosity == "detailed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"sources": "not an address at all"},
        {"type": "replay"},
        {"groups": ["No such group"]},
    ],
)
def test_a_wrong_form_comes_back_with_what_was_typed(
    browser: Client, wrong: dict[str, str]
) -> None:
    answer = browser.post(
        "/sessions/new/", {"name": "Typed", "type": "broadcast", "sources": "demo", **wrong}
    )
    assert answer.status_code == 422
    assert ("Typed" in text(answer)) is ("name" not in wrong)
    assert not Session.objects.exists()


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
    page = text(browser.get(f"/sessions/{session.pk}/"))
    assert 'value="200"' in page
    assert '<option value="extractive" selected>' in page


def test_a_model_is_chosen_from_the_price_list_or_named(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/settings/"
    browser.post(path, {**SETTINGS, "model": "claude-haiku-4-5"})
    assert fresh(session).model == "claude-haiku-4-5"
    assert "Claude Haiku 4.5: $1.00 in, $5.00 out per million tokens" in text(
        browser.get(f"/sessions/{session.pk}/")
    )
    browser.post(path, {**SETTINGS, "model": "other", "other_model": "claude-next"})
    assert fresh(session).model == "claude-next"
    assert "claude-next (its price is not known)" in text(browser.get(f"/sessions/{session.pk}/"))


def test_another_model_needs_its_name(browser: Client, session: Session) -> None:
    answer = browser.post(f"/sessions/{session.pk}/settings/", {**SETTINGS, "model": "other"})
    assert answer.status_code == 422
    assert "Name the model" in text(answer)


def test_the_settings_leave_the_budget_alone(browser: Client, session: Session) -> None:
    browser.post(f"/sessions/{session.pk}/budget/", {"budget_usd": "1.5"})
    browser.post(f"/sessions/{session.pk}/settings/", SETTINGS)
    assert fresh(session).budget == 1_500_000_000_000


def test_a_budget_is_set_shown_and_emptied(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/budget/"
    browser.post(path, {"budget_usd": "1.5"})
    page = text(browser.get(f"/sessions/{session.pk}/"))
    assert 'value="1.5"' in page
    assert "$0.0000 of $1.5000" in page
    browser.post(path, {"budget_usd": ""})
    assert fresh(session).budget is None
    assert "No limit" in text(browser.get(f"/sessions/{session.pk}/"))


@pytest.mark.parametrize("wrong", ["-1", "much", "9999999"])
def test_a_wrong_budget_comes_back(browser: Client, session: Session, wrong: str) -> None:
    answer = browser.post(f"/sessions/{session.pk}/budget/", {"budget_usd": wrong})
    assert answer.status_code == 422
    assert f'value="{wrong}"' in text(answer)
    assert fresh(session).budget is None


@pytest.mark.parametrize(
    ("spent", "state"),
    [(0, "ok"), (79, "ok"), (80, "warning"), (99, "warning"), (100, "spent"), (150, "spent")],
)
def test_the_meter_tells_how_far_the_budget_is_used(
    browser: Client, session: Session, spent: int, state: str
) -> None:
    sessions.change(session, budget=PICO)
    SessionStats.objects.filter(session=session).update(cost_upper=PICO * spent // 100)
    page = text(browser.get(f"/sessions/{session.pk}/"))
    assert f'class="budget" data-state="{state}"' in page
    assert f'value="{spent}"' in page
    assert f"{spent} % used" in page


def test_emptied_instructions_are_empty(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/settings/"
    browser.post(path, {**SETTINGS, "instructions": "Be brief."})
    browser.post(path, SETTINGS)
    assert fresh(session).instructions == ""


@pytest.mark.parametrize(
    "wrong", [{"pace": "30"}, {"pace": "many"}, {"model": ""}, {"personality": "grumpy"}]
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


def test_from_the_list_one_files_and_comes_back_to_the_same_list(
    browser: Client, session: Session
) -> None:
    path = f"/sessions/{session.pk}/filing/"
    answer = browser.post(path, {"action": "archive", "back": "q=mor&type=broadcast"})
    assert answer["Location"] == "/sessions/?q=mor&type=broadcast"
    assert fresh(session).status == "archived"
    assert browser.post(path, {"action": "restore", "back": ""})["Location"] == "/sessions/"
    assert fresh(session).status == "active"


def test_a_clone_has_settings_budget_sources_and_schedule_but_no_stories(
    browser: Client, make_session: MakeSession
) -> None:
    origin = make_session(personality="formal", language="de")
    sessions.change(origin, budget=PICO)
    slots.add(origin, {"days": 5, "on_at": time(9), "off_at": time(17), "zone": "Europe/Berlin"})
    picture = podcast.draw_cover("Logo")
    artifacts.replace_logo(origin, origin.owner, picture)
    answer = browser.post(f"/sessions/{origin.pk}/clone/")
    clone = Session.objects.exclude(pk=origin.pk).get()
    assert answer["Location"] == f"/sessions/{clone.pk}/"
    assert clone.name == "Morning (copy)"
    assert (clone.personality, clone.language, clone.budget) == ("formal", "de", PICO)
    assert Source.objects.get(session=clone).locator == "demo"
    slot = Slot.objects.get(session=clone)
    assert (slot.days, slot.zone, slot.enabled) == (5, "Europe/Berlin", False)
    assert not Step.objects.filter(session=clone).exists()
    ours, theirs = (artifacts.logo(each) for each in (origin, clone))
    assert ours
    assert theirs
    assert ours.path != theirs.path
    assert storage.full_path(theirs.path).read_bytes() == picture


def test_an_imported_session_is_cloned_as_a_broadcast(
    browser: Client, make_session: MakeSession
) -> None:
    origin = make_session()
    Session.objects.filter(pk=origin.pk).update(type="imported")
    browser.post(f"/sessions/{origin.pk}/clone/", {"name": "Anew"})
    assert Session.objects.get(name="Anew").type == "broadcast"


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
    wanted = {"locator": "demo"}
    assert browser.post(path, wanted).status_code == 302
    again = browser.post(path, wanted)
    assert again.status_code == 422
    assert "This session has it already." in text(again)
    source = Source.objects.get()
    browser.post(f"{path}{source.pk}/remove/")
    assert not Source.objects.get().enabled


def test_a_source_is_tested_when_it_was_added(browser: Client, make_session: MakeSession) -> None:
    session = make_session(recording=False)
    answer = browser.post(f"/sessions/{session.pk}/sources/", {"locator": "demo"})
    source = Source.objects.get()
    page = f"/sessions/{session.pk}/?added={source.pk}"
    assert answer["Location"] == f"{page}#sources-panel"
    test = f"/sessions/{session.pk}/sources/{source.pk}/test/"
    trigger = re.compile(rf'hx-post="{re.escape(test)}"\s+hx-trigger="load"')
    assert trigger.search(text(browser.get(page)))
    # A link from elsewhere tests nothing, nor does one to a source that was read since.
    for other in (f"/sessions/{session.pk}/", page + "9", f"/sessions/{session.pk}/?added=x"):
        assert 'hx-trigger="load"' not in text(browser.get(other))
    Source.objects.update(health="ok")
    assert not trigger.search(text(browser.get(page)))


def test_the_feeds_of_a_home_page_are_offered_and_one_is_added(
    browser: Client, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(recording=False)
    client = GuardedClient(allow_private=True, user_agent="smnb-tests", deadline=5)
    monkeypatch.setitem(registry._adapters(), "rss", RssSource(client))
    path = f"/sessions/{session.pk}/sources/"
    with FeedStandIn() as site:
        links = "".join(
            f'<link rel="alternate" type="application/rss+xml" title="{title}" href="/{title}">'
            for title in ("News", "Sport")
        )
        kind = [("Content-Type", b"text/html")]
        home = site.answer("/home", 200, kind, f"<html>{links}".encode())
        offered = browser.post(path, {"locator": f"\u201c{home}\u201d"})
        assert offered.status_code == 422
        assert not Source.objects.exists()
        choices = re.findall(
            r'name="locator"\s+value="([^"]+)"\s+aria-label="([^"]+)"', text(offered)
        )
        assert choices == [(f"{site.url}/News", "Add News"), (f"{site.url}/Sport", "Add Sport")]
        tested = browser.post(f"{path}test/", {"locator": home}, headers=HTMX)
        assert f'formaction="{path}"' in text(tested)
        # The button of a feed sends its address alone.
        assert browser.post(path, {"locator": f"{site.url}/Sport"}).status_code == 302
    added = Source.objects.get()
    assert (added.kind, added.locator) == ("rss", f"{site.url}/Sport")


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


def test_of_several_pasted_lines_the_good_ones_are_added_and_the_others_come_back(
    browser: Client, make_session: MakeSession
) -> None:
    session = make_session(recording=False)
    lines = "r/science top\n https://x.com/name \ndemo\nr/two words"
    answer = browser.post(f"/sessions/{session.pk}/sources/", {"locator": lines})
    assert answer.status_code == 422
    named = Source.objects.order_by("id").values_list("kind", "locator", "sort")
    assert list(named) == [("reddit", "r/science", "top"), ("recording", "demo", "")]
    page = text(answer)
    assert "https://x.com/name: X has no public feeds. Choose another source." in page
    assert "r/two words: Must be a subreddit such as r/science" in page
    assert "locator:" not in page
    assert re.search(r"<textarea[^>]*>\s*https://x.com/name\nr/two words</textarea>", page)
    assert page.count('hx-trigger="load"') == 2


def test_a_refusal_names_no_internal_field(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/"
    answer = browser.post(f"{path}settings/", {**SETTINGS, "pace": "30"}, headers=HTMX)
    assert answer.status_code == 200
    assert "Enter 60 to 6000 words a minute" in text(answer)
    assert "pace:" not in text(answer)
    long = browser.post(f"{path}name/", {"name": "n" * 121}, headers=HTMX)
    assert "Name must have at most 120 characters." in text(long)
    saved = browser.post(f"{path}settings/", SETTINGS, headers=HTMX)
    assert "Saved." in text(saved)
    assert browser.post(f"{path}budget/", {"budget_usd": "2"})["Location"] == (
        f"{path}?saved=budget#budget"
    )
    assert "Saved." in text(browser.get(f"{path}?saved=budget"))
