"""The sections of a session's page: sources tested in place, groups, schedule, budget, people."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcast import orchestrator, queries
from broadcast.models import Broadcast, Slot
from sessions_app import commands, sessions
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Participant, Session, SessionStats, Step
from sessions_app.money import PICO
from stories.models import Source, SourceGroup, SourcePost, Story
from stories.sources import service
from tests.broadcast_runs import hold_code
from tests.conftest import MakeSession, run_due_steps
from tests.markup import unbroken
from tests.stories.drafting.draft_factory import read_posts, started, turn

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}
SLOT = {
    "days": ["mon", "fri"],
    "on_at": "22:00",
    "off_at": "02:00",
    "zone": "Europe/Berlin",
    "enabled": "on",
}


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


def text(answer: Any) -> str:
    return unbroken(answer.content.decode())


def page(browser: Client, session: Session) -> str:
    return text(browser.get(f"/sessions/{session.pk}/"))


def test_a_source_is_tested_beside_it(browser: Client, session: Session, source: Source) -> None:
    path = f"/sessions/{session.pk}/sources/{source.pk}/test/"
    assert f'hx-post="{path}"' in page(browser, session)
    answer = text(browser.post(path, headers=HTMX))
    assert "demo: Fetched 6 posts, newest 1 minute ago." in answer
    assert "<html" not in answer
    assert "Fetched 6 posts" in text(browser.post(path))
    assert not SourcePost.objects.exists()


def test_a_source_is_tested_before_it_is_added(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/sources/test/"
    answer = browser.post(path, {"locator": "http://127.0.0.1/x"})
    assert "127.0.0.1" in text(answer)
    assert 'data-ok="false"' in text(answer)
    assert re.search(r"<textarea[^>]*>\s*http://127\.0\.0\.1/x</textarea>", text(answer))
    empty = browser.post(path, {"locator": " "}, headers=HTMX)
    assert (empty.status_code, "Paste a source first." in text(empty)) == (422, True)
    assert Source.objects.count() == 1


def test_tests_are_limited_and_the_page_says_so(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/sources/test/"
    answers = [browser.post(path, {"locator": "demo"}, headers=HTMX) for _ in range(21)]
    assert {each.status_code for each in answers[:10]} == {200}
    assert answers[-1].status_code == 429
    assert "source tests" in text(answers[-1])


def test_a_group_is_added_in_place(browser: Client, session: Session) -> None:
    sources = [
        {"kind": "reddit", "locator": "r/space"},
        {"kind": "reddit", "locator": "r/askscience"},
    ]
    SourceGroup.objects.update_or_create(name="Lab", defaults={"sources": sources})
    assert '<option value="Lab">' in page(browser, session)
    browser.post(f"/sessions/{session.pk}/sources/group/", {"group": "Lab"})
    assert Source.objects.filter(session=session).count() == 3
    path = f"/sessions/{session.pk}/sources/group/"
    again = browser.post(path, {"group": "Lab"}, follow=True)
    assert "already" in text(again)


def test_a_slot_is_added_changed_switched_and_removed(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/slots/"
    assert browser.post(path, SLOT).status_code == 302
    slot = Slot.objects.get()
    assert (slot.days, f"{slot.on_at:%H:%M}", slot.zone, slot.enabled) == (
        17,
        "22:00",
        "Europe/Berlin",
        True,
    )
    assert "Mon, Fri" in page(browser, session)
    editing = text(browser.get(f"/sessions/{session.pk}/?slot={slot.pk}"))
    assert f'action="{path}{slot.pk}/"' in editing
    assert 'value="02:00"' in editing
    browser.post(f"{path}{slot.pk}/", {**SLOT, "off_at": "03:30"})
    browser.post(f"{path}{slot.pk}/switch/", {"enabled": "false"})
    slot.refresh_from_db()
    assert (f"{slot.off_at:%H:%M}", slot.enabled) == ("03:30", False)
    assert "switched off" in page(browser, session)
    browser.post(f"{path}{slot.pk}/switch/", {"enabled": "true"})
    slot.refresh_from_db()
    assert slot.enabled
    browser.post(f"{path}{slot.pk}/remove/")
    assert not Slot.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"days": []}, {"on_at": "soon"}, {"off_at": ""}, {"zone": "Mars/Olympus"}]
)
def test_a_wrong_slot_comes_back_with_the_reason(
    browser: Client, session: Session, wrong: dict[str, Any]
) -> None:
    answer = browser.post(f"/sessions/{session.pk}/slots/", {**SLOT, **wrong})
    assert answer.status_code == 422
    assert "errorlist" in text(answer)
    assert not Slot.objects.exists()


def test_the_slot_of_another_session_is_not_changed_here(
    browser: Client, session: Session, make_session: MakeSession
) -> None:
    browser.post(f"/sessions/{session.pk}/slots/", SLOT)
    other = make_session("Other")
    slot = Slot.objects.get()
    for action in ("", "switch/", "remove/"):
        path = f"/sessions/{other.pk}/slots/{slot.pk}/{action}"
        assert browser.post(path, SLOT, headers=HTMX).status_code == 404
    assert Slot.objects.get().enabled


def test_raising_the_budget_lets_the_narration_go_on_at_once(
    browser: Client, make_session: MakeSession, go_live: Callable[[Session], Broadcast]
) -> None:
    session = make_session(model="extractive")
    sessions.change(session, budget=PICO)
    SessionStats.objects.filter(session=session).update(cost_upper=2 * PICO, cost_lower=PICO)
    go_live(session)
    run_due_steps(session)
    assert hold_code(session) == "budget"
    assert not Story.objects.exists()
    browser.post(f"/sessions/{session.pk}/budget/", {"budget_usd": "1.5"})
    assert hold_code(session) == "budget"
    browser.post(f"/sessions/{session.pk}/budget/", {"budget_usd": "3"})
    assert orchestrator.latest_payload(session)["hold"] is None
    run_due_steps(session, "narrate", most=1)
    assert Story.objects.filter(session=session).exists()


def test_the_page_names_everybody_with_their_last_activity(
    browser: Client, session: Session, owner: User
) -> None:
    assert "No activity yet." in page(browser, session)
    commands.run("session.change", owner, session, {"name": "Evening"})
    SessionStats.objects.filter(session=session).update(last_story_at=steps.now())
    Source.objects.update(last_polled_at=steps.now())
    found = page(browser, session)
    assert (
        len(re.findall(r"(last active|last story|last read a source) <time datetime=", found)) == 3
    )
    assert "olga" in found
    assert "none has started yet" in found


def test_the_host_at_work_is_said_to_be(session: Session) -> None:
    step = steps.enqueue(session, orchestrator.NARRATE, 1)
    assert steps.claim(step.pk) is not None
    found = {one["role"]: one for one in queries.participant_rows(session, *_shown(session))}
    assert found["host"]["doing"] == "Narrating now."
    Step.objects.update(state="done", lease_until=None)
    found = {one["role"]: one for one in queries.participant_rows(session, *_shown(session))}
    assert found["host"]["doing"] == ""


def test_the_agents_who_worked_in_the_session_are_told_of(session: Session) -> None:
    read_posts(session)
    draft = started(session)
    turn(draft)
    (last,) = draft.messages.all()
    found = {one["role"]: one for one in queries.participant_rows(session, *_shown(session))}
    assert found["agents"]["last_at"] == recorder.timestamp(last.created_at)
    assert found["agents"]["doing"] == ""
    step = Step.objects.get(kind="draft_turn")
    Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
    assert steps.claim(step.pk) is not None
    found = {one["role"]: one for one in queries.participant_rows(session, *_shown(session))}
    assert found["agents"]["doing"] == "At work now."


def _shown(session: Session) -> tuple[Any, Any]:
    found = queries.session_page(session)
    return found["figures"], found["sources"]


def test_the_latest_person_stands_first(session: Session, owner: User, stranger: User) -> None:
    now = steps.now()
    for user, age in ((stranger, 1), (owner, 2)):
        at = now - timedelta(hours=age)
        Participant.objects.create(session=session, user=user, last_active_at=at)
    people = [one["name"] for one in queries.participant_rows(session, *_shown(session))]
    assert people == ["stanislaw", "olga", "Host", "Producer", "Agents"]


def test_the_page_costs_the_same_with_much_in_it(browser: Client, session: Session) -> None:
    with CaptureQueriesContext(connection) as little:
        page(browser, session)
    for number in range(15):
        service.add(session, service.SourceSpec(locator=f"https://site{number}.example/feed"))
        browser.post(f"/sessions/{session.pk}/slots/", SLOT)
    with CaptureQueriesContext(connection) as much:
        found = page(browser, session)
    assert found.count('id="slot-') >= 15
    assert len(little) + 1 >= len(much)  # the clock is read once there is a slot
    assert len(much) <= 19


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rundown/", "Rundown"),
        ("threads/", "Threads"),
        ("trace/", "Traces"),
        ("chain/", "AI chain"),
        ("log/", "Log"),
        ("artifacts/", "Artifacts"),
        ("overlay/", "Share"),
        ("", ""),
    ],
)
def test_deep_pages_are_tabs_of_their_session(
    browser: Client,
    session: Session,
    go_live: Callable[[Session], Broadcast],
    address: str,
    name: str,
) -> None:
    go_live(session)
    found = text(browser.get(f"/broadcast/{session.pk}/{address}"))
    current = re.findall(r'aria-current="page"\s*>(.*?)</a>', found)
    areas = [re.sub(r"<[^>]+>|\s+", " ", each).strip() for each in current]
    # The desk is an area of its own; the other pages have the tabs of the session.
    wanted = ["Session Manager", name] if name else ["Broadcast Center"]
    assert areas[: len(wanted)] == wanted
    assert ('class="session-head"' in found) == bool(name)
    if name:
        head = found[found.index('id="head-live"') :]
        assert 'data-state="starting"' in head[:200] or 'data-state="live"' in head[:200]
        other = "threads" if name == "Threads" else "chain"
        listed = text(browser.get(f"/sessions/switcher/?area={other}"))
        assert f'href="/broadcast/{session.pk}/{other}/"' in listed


def test_links_of_this_machine_say_that_no_phone_opens_them(
    browser: Client, session: Session, settings: Any
) -> None:
    sessions.show(session, True)
    settings.PUBLIC_URL = "http://localhost:8000"
    assert "These links open on this machine only. Set <code>PUBLIC_URL" in page(browser, session)
    settings.PUBLIC_URL = "https://news.example.org"
    assert "Scan to open the watch page on a phone." in page(browser, session)


def test_a_replay_that_does_not_exist_yet_has_the_head_of_the_session(
    browser: Client, session: Session
) -> None:
    found = text(browser.get(f"/broadcast/{session.pk}/replay/"))
    assert "No finished broadcasts yet" in found
    assert 'id="head-live"' in found
