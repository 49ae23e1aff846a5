"""The Broadcast Center: buttons are commands; a refusal is said in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from broadcast import orchestrator
from sessions_app import commands, sessions
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent
from sessions_app.realtime import frames
from stories.models import Source, SourcePost, Story
from stories.posts import queue
from tests.conftest import MakeSession, make_post, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def press(browser: Client, session: Session, command: str, **more: Any) -> Any:
    return browser.post(f"/broadcast/{session.pk}/command/", {"command": command}, **more)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_without_a_session_the_page_says_so(browser: Client) -> None:
    assert "No session selected" in text(browser.get("/broadcast/"))


def test_go_live_without_a_session_creates_nothing_and_says_why(browser: Client) -> None:
    answer = browser.post("/broadcast/start/")
    assert answer.status_code == 409
    assert "Create a session first" in text(answer)
    assert not Session.objects.exists()


def test_go_live_with_sessions_to_choose_from_asks_to_choose(
    browser: Client, session: Session
) -> None:
    assert "Choose a session first" in text(browser.post("/broadcast/start/"))


def test_the_page_shows_the_session_its_figures_and_its_stories(
    browser: Client, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session("Harbour & news", model="extractive")
    go_live(session)
    run_due_steps(session, most=8)
    found = text(browser.get(f"/broadcast/{session.pk}/"))
    assert "Harbour &amp; news" in found
    assert f'data-live="/ws/sessions/{session.pk}/"' in found
    assert found.count('<li id="story-') == Story.objects.count() > 0


@pytest.mark.parametrize(("language", "named"), [("pt_BR", ' lang="pt-BR"'), ("Klingon", "")])
def test_stories_are_marked_with_their_language_and_the_interface_with_its_own(
    browser: Client,
    make_session: MakeSession,
    go_live: Callable[[Session], Any],
    language: str,
    named: str,
) -> None:
    session = make_session(model="extractive", language=language)
    go_live(session)
    run_due_steps(session, most=3)
    found = text(browser.get(f"/broadcast/{session.pk}/"))
    assert f'<div id="onair"{named}>' in found
    feed = " ".join(found[found.index('id="feed"') :].split(">")[0].split())
    assert feed.endswith(f'class="feed"{named}')
    assert '<p class="card-top" lang="en">' in found
    story = Story.objects.latest("id")
    found = text(browser.get(f"/broadcast/{session.pk}/stories/{story.pk}/"))
    assert f'aria-label="Current version"{named}>' in found


def test_the_switcher_lists_the_callers_open_sessions_alone(
    browser: Client, session: Session, make_session: MakeSession, stranger: User
) -> None:
    sessions.create(stranger, "Not yours", {}, None)
    sessions.archive(make_session("Filed away"))
    sessions.change(session, name="<b>Evening</b>")
    found = text(browser.get("/sessions/switcher/?area=stats"))
    assert f'href="/stats/?session={session.pk}"' in found
    assert '<span dir="auto">&lt;b&gt;Evening&lt;/b&gt;</span>' in found
    assert "Not yours" not in found
    assert "Filed away" not in found


def test_the_switcher_tells_sessions_of_one_name_apart(
    browser: Client, make_session: MakeSession
) -> None:
    first, second, third = (make_session("Harbour") for _ in range(3))
    make_session("Alone")
    Session.objects.filter(pk=first.pk).update(created_at="2026-03-01T10:00:00Z")
    found = text(browser.get("/sessions/switcher/?area=stats"))
    marks = re.findall(r'switcher-mark">([^<]*)<', found)
    assert marks == [str(third.pk)[:8], str(second.pk)[:8], "1 Mar 2026"]


@pytest.mark.parametrize(
    ("area", "page"),
    [
        ("broadcast", "/broadcast/{}/"),
        ("market", "/market/?session={}"),
        ("drafting", "/drafting/?session={}"),
        ("sessions", "/sessions/{}/"),
        ("docs", "/sessions/{}/"),
        ("//evil.example", "/sessions/{}/"),
    ],
)
def test_switching_stays_in_the_area(
    browser: Client, session: Session, area: str, page: str
) -> None:
    found = text(browser.get("/sessions/switcher/", {"area": area}))
    assert f'href="{page.format(session.pk)}"' in found


def test_go_live_with_htmx_answers_with_the_controls(browser: Client, session: Session) -> None:
    answer = press(browser, session, "start", headers=HTMX)
    assert answer.status_code == 200
    assert 'data-state="starting"' in text(answer)
    assert "<html" not in text(answer)


def test_go_live_without_script_returns_to_the_page(browser: Client, session: Session) -> None:
    answer = press(browser, session, "start")
    assert answer.status_code == 302
    assert answer["Location"] == f"/broadcast/{session.pk}/"
    assert orchestrator.latest_payload(session)["state"] == "starting"


def test_a_second_press_is_a_409_with_a_sentence(browser: Client, session: Session) -> None:
    press(browser, session, "start")
    answer = press(browser, session, "start", headers=HTMX)
    assert answer.status_code == 409
    assert "is starting already" in text(answer)


def test_a_refusal_without_script_is_shown_on_the_next_page(
    browser: Client, session: Session
) -> None:
    answer = browser.post(f"/broadcast/{session.pk}/command/", {"command": "stop"}, follow=True)
    assert "Nothing is on air." in text(answer)


def test_an_unknown_command_is_refused(browser: Client, session: Session) -> None:
    assert press(browser, session, "explode").status_code == 400


def test_a_story_is_approved_from_the_page(
    browser: Client, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=2)
    story = Story.objects.get()
    path = f"/broadcast/{session.pk}/stories/{story.pk}/decision/"
    assert browser.post(path, {"decision": "maybe"}).status_code == 400
    assert browser.post(path, {"decision": "approve"}, headers=HTMX).status_code == 204
    answer = browser.post(path, {"decision": "veto"}, headers=HTMX)
    assert answer.status_code == 409
    assert "does not wait" in text(answer)


def test_the_rundown_begins_with_the_air_then_what_breaks_in_then_what_waits_then_posts(
    browser: Client, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", pace=180, control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=3)
    waiting = Story.objects.get()
    said = {"title": "Bridge closed", "text": "The harbour bridge has been closed at once."}
    airing, breaks_in = [
        commands.run("story.break_in", session.owner, session, said) for _ in range(2)
    ]
    for path in (f"/broadcast/{session.pk}/", f"/broadcast/{session.pk}/rundown/"):
        found = text(browser.get(path))
        rows = re.findall(r'<li (?:id="turn-|class="post" id="post-)(\d+)', found)
        assert rows[:3] == [str(airing.pk), str(breaks_in.pk), str(waiting.pk)]
        assert rows[3:] == [str(post.pk) for post in queue.waiting(session)[: len(rows) - 3]]
        assert f'id="turn-approve-{waiting.pk}"' in found
        assert f'id="turn-approve-{breaks_in.pk}"' not in found


def test_the_reason_of_a_posts_place_adds_up(
    browser: Client, session: Session, source: Source
) -> None:
    first = make_post(source, "a", "A lighthouse is lit again after forty years")
    last = make_post(source, "b", "Ferry stops after a fire in the engine room")
    SourcePost.objects.filter(pk=first.pk).update(rank=F("rank") + 0.2)
    commands.run("post.move", session.owner, session, {"post": last.pk, "before": first.pk})
    for post in queue.queue_payload(session):
        row = SourcePost.objects.get(pk=post["id"])
        waited = queue.rank(0, row.created_at)
        assert post["priority"] + waited + post["by_hand"] == pytest.approx(row.rank, abs=0.001)
    found = text(browser.get(f"/broadcast/{session.pk}/"))
    assert found.count("Moved by hand") == 2
    assert "+2.1 an hour" in found


def test_the_story_of_another_session_cannot_be_decided_here(
    browser: Client, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session, other = make_session(model="extractive", control_mode="full-control"), make_session()
    go_live(session)
    run_due_steps(session, most=2)
    path = f"/broadcast/{other.pk}/stories/{Story.objects.get().pk}/decision/"
    assert browser.post(path, {"decision": "approve"}, headers=HTMX).status_code == 404
    assert Story.objects.get().state == "written"


def test_who_presses_too_often_is_told_so(browser: Client, session: Session, settings: Any) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"limit_go_live": 1})
    press(browser, session, "start", headers=HTMX)
    assert press(browser, session, "start", headers=HTMX).status_code == 429
    assert press(browser, session, "stop", headers=HTMX).status_code == 200


def test_the_page_of_a_story_shows_its_making_and_its_approval(
    browser: Client, owner: User, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control", ai_label="unreviewed")
    go_live(session)
    run_due_steps(session, most=2)
    story = Story.objects.get()
    path = f"/broadcast/{session.pk}/stories/{story.pk}/"
    before = text(browser.get(path))
    assert (
        "Verbatim from the source, selected and introduced by software and read by a synthetic voice."
        in before
    )
    assert "Approved" not in before.split('id="making"')[1].split("</section>")[0]
    commands.run("story.approve", owner, session, {"story": story.pk})
    after = " ".join(text(browser.get(path)).split('id="making"')[1].split("</section>")[0].split())
    assert "Approved by an editor." in after
    assert "Approved by olga at <time" in after
    assert "The label is off: this editor takes responsibility." in after


@pytest.mark.parametrize(
    ("code", "link"),
    [
        ("budget", "/sessions/{}/#budget"),
        ("anthropic_key", "/account/#keys"),
        ("anthropic_credit", "/account/#keys"),
        ("model", "/sessions/{}/#settings"),
        ("throttled", None),
    ],
)
def test_a_hold_has_the_link_to_what_ends_it_on_the_page_and_in_its_frame(
    browser: Client,
    session: Session,
    go_live: Callable[[Session], Any],
    code: str,
    link: str | None,
) -> None:
    go_live(session)
    run_due_steps(session, "poll", most=1)
    with orchestrator.locked_live_run(session) as run:
        assert run is not None
        orchestrator.set_hold(run, {"code": code, "sentence": "It waits.", "until": None})
    event = SessionEvent.objects.filter(session=session, type="broadcast.state").latest("seq")
    frame = frames.text_of(frames.frame_of(event, 0, recorder.OWNER), recorder.OWNER, "html")
    for html in (text(browser.get(f"/broadcast/{session.pk}/")), frame):
        banner = html.partition("air-hold")[2][:1200]
        links = re.findall('<a class="button" href="([^"]+)"', banner)
        assert links == ([link.format(session.pk)] if link else [])
