"""What needs the owner: the list over all sessions, its page, and the webhook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcast import attention, webhook
from broadcast.models import Broadcast, Transfer
from broadcast.states import State
from sessions_app import commands, credentials, preferences, sessions
from sessions_app.background import steps, sweeper
from sessions_app.models import SealedKey, Session, SessionStats, Step
from stories.models import Source, SourcePost, Story
from tests.broadcast_runs import run_in
from tests.conftest import MakeSession, run_due_steps
from tests.standins.server import StandIn

pytestmark = pytest.mark.django_db(transaction=True)

DOLLAR = 10**12


def keys(user: User) -> list[str]:
    """The needs by kind, without ids."""
    return [need.key.split("-")[0] for need in attention.of_user(user)]


def labels(user: User) -> list[tuple[str, ...]]:
    return [tuple(action.label for action in need.actions) for need in attention.of_user(user)]


def whats(user: User) -> list[str]:
    return [need.what for need in attention.of_user(user)]


@pytest.fixture
def live(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A session in full control with one story that waits."""
    session = make_session(model="extractive", control_mode="full-control", pace=60)
    go_live(session)
    run_due_steps(session, most=2)
    return session


def test_a_story_waits_for_approval_until_it_is_decided(live: Session, stranger: User) -> None:
    story = Story.objects.get(session=live)
    [need] = attention.of_user(live.owner)
    assert need.what == f"“{story.title}” waits for your approval."
    assert [action.label for action in need.actions] == ["Approve", "Veto", "Edit"]
    assert keys(stranger) == []
    Story.objects.filter(pk=story.pk).update(held=True)
    [need] = attention.of_user(live.owner)
    assert need.what == f"“{story.title}” is held: 0 sentences are not in its sources."
    passages = [{**row, "support": "none"} for row in story.passages]
    Story.objects.filter(pk=story.pk).update(passages=passages)
    [need] = attention.of_user(live.owner)
    assert need.what.endswith(f"is held: {len(passages)} sentences are not in its sources.")
    commands.run("story.approve", live.owner, live, {"story": story.pk})
    assert keys(live.owner) == []


def test_a_run_that_failed_or_waits_needs_its_owner(session: Session) -> None:
    run = run_in(session, State.LIVE)
    hold = {"code": "model", "sentence": "Choose another model.", "until": None}
    Broadcast.objects.filter(pk=run.pk).update(hold=hold)
    Session.objects.filter(pk=session.pk).update(model="extractive")
    assert (keys(session.owner), labels(session.owner)) == (["hold"], [("Open the session",)])
    # What resumes automatically needs no one.
    hold["until"] = "2026-11-29T09:00:00+00:00"
    Broadcast.objects.filter(pk=run.pk).update(hold=hold)
    assert keys(session.owner) == []
    Broadcast.objects.filter(pk=run.pk).update(state="error", last_error="No worker began.")
    [need] = attention.of_user(session.owner)
    assert (need.what, need.detail) == ("The broadcast ended in an error.", "No worker began.")
    assert labels(session.owner) == [("Recover", "Stop")]


def test_sources_and_posts_need_the_owner_while_on_air(session: Session, post: SourcePost) -> None:
    Session.objects.filter(pk=session.pk).update(model="extractive")
    commands.run("post.hold", session.owner, session, {"post": post.pk})
    Source.objects.update(health="failed", note="Nothing is at this address.")
    assert keys(session.owner) == []
    run_in(session, State.LIVE)
    assert keys(session.owner) == ["source", "post"]
    assert labels(session.owner) == [("Open the sources", "Remove"), ("Release", "Kill")]
    commands.run("post.release", session.owner, session, {"post": post.pk})
    Source.objects.update(health="finished")
    # While posts wait there is still something to narrate.
    assert keys(session.owner) == []
    SessionStats.objects.filter(session=session).update(queue=0)
    assert whats(session.owner) == ["All sources are at their end, and no post waits."]
    assert labels(session.owner) == [
        ("Add a source", "Loop the recording", "Stop after this story")
    ]


@pytest.mark.parametrize(
    ("spent", "what", "key"),
    [
        (79, None, ""),
        (80, "80 % of the budget is used: $0.8000 of $1.0000.", "80"),
        (99, "99 % of the budget is used: $0.9900 of $1.0000.", "80"),
        (100, "100 % of the budget is used: $1.0000 of $1.0000.", "100"),
    ],
)
def test_the_budget_needs_the_owner_at_80_and_100_percent(
    session: Session, spent: int, what: str | None, key: str
) -> None:
    Session.objects.filter(pk=session.pk).update(budget=DOLLAR)
    SessionStats.objects.filter(session=session).update(cost_upper=spent * DOLLAR // 100)
    needs = attention.of_user(session.owner)
    assert [need.what for need in needs] == ([what] if what else [])
    assert [need.key.rsplit("-", 1)[1] for need in needs] == ([key] if key else [])


def test_the_largest_budget_fits_into_the_comparison(session: Session) -> None:
    million = 1_000_000 * DOLLAR
    Session.objects.filter(pk=session.pk).update(budget=million)
    SessionStats.objects.filter(session=session).update(cost_upper=million * 9 // 10)
    assert whats(session.owner)[0].startswith("90 % of the budget")


def test_a_missing_or_refused_key_needs_the_owner(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(model="claude-haiku-5-5")
    assert keys(session.owner) == []
    run_in(session, State.LIVE)
    missing = "There is no Anthropic key, so claude-haiku-5-5 is not asked."
    assert whats(session.owner) == [missing]
    row = credentials.save(session.owner, "anthropic", {"api_key": "sk-ant-not-a-real-key"})
    assert keys(session.owner) == []
    for verdict, needs in (
        ("Works: 3 models.", []),
        ("Anthropic cannot be reached. Test again later.", []),
        ("Anthropic refused the key.", ["The Anthropic key failed its last test."]),
    ):
        credentials.record_test(session.owner, "anthropic", verdict, row.set_at)
        assert whats(session.owner) == needs, verdict


def test_a_failed_export_needs_the_owner_until_it_is_repeated(session: Session) -> None:
    def transfer(state: str, format_: str = "json") -> Transfer:
        return Transfer.objects.create(
            session=session, way="export", format=format_, state=state, made_by=session.owner
        )

    old = transfer("failed", "csv")
    Transfer.objects.filter(pk=old.pk).update(created_at=steps.now() - timedelta(days=8))
    transfer("failed")
    assert whats(session.owner) == ["The export as json failed."]
    transfer("running")
    assert keys(session.owner) == []
    sessions.archive(session)
    transfer("failed")
    assert keys(session.owner) == []


@pytest.mark.slow
def test_the_list_takes_as_many_queries_for_thirty_sessions(
    live: Session, make_session: MakeSession
) -> None:
    with CaptureQueriesContext(connection) as one:
        attention.of_user(live.owner)
    for number in range(30):
        other = make_session(f"Other {number}", model="extractive", control_mode="full-control")
        run_in(other, State.LIVE)
        Session.objects.filter(pk=other.pk).update(budget=DOLLAR)
        SessionStats.objects.filter(session=other).update(cost_upper=DOLLAR)
    with CaptureQueriesContext(connection) as many:
        # Of one kind there are at most so many, and the badge stays readable.
        assert keys(live.owner).count("budget") == 20
    assert len(many) == len(one) <= 8


def test_the_page_lists_what_needs_the_user_and_its_buttons_work(
    live: Session, client_of: Callable[[User], Client]
) -> None:
    browser = client_of(live.owner)
    story = Story.objects.get(session=live)
    page = browser.get("/needs-you/").content.decode()
    assert "waits for your approval" in page
    action = f"/broadcast/{live.pk}/stories/{story.pk}/decision/"
    assert f'formaction="{action}"' in page
    assert browser.post(action, {"decision": "veto"}).status_code == 302
    part = browser.get("/needs-you/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Nothing needs you." in part
    # A poll after signing out changes nothing on the page.
    assert Client().get("/needs-you/", headers={"HX-Request": "true"}).status_code == 204


def test_the_sound_is_off_until_it_is_chosen(
    owner: User, client_of: Callable[[User], Client]
) -> None:
    browser = client_of(owner)
    htmx = {"HX-Request": "true"}
    for chosen, shown in ((None, False), ({"sound": "on"}, True), ({}, False)):
        if chosen is not None:
            assert browser.post("/account/needs/", chosen).status_code == 302
        page = browser.get("/needs-you/", headers=htmx).content.decode()
        assert ("data-sound" in page) == shown


class Chat(StandIn):
    """Takes messages; ``status`` is its answer."""

    status = 204

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.reply(request, self.status)

    def messages(self) -> list[Any]:
        return [json.loads(each.body) for each in self.requests]


@pytest.fixture
def chat(settings: Any, owner: User) -> Iterator[Chat]:
    settings.SMNB = settings.SMNB.model_copy(update={"allow_private_feeds": True})
    with Chat() as server:
        credentials.save(owner, "webhook", {"url": f"{server.url}/hook/secret-part"})
        yield server


def test_the_webhook_gets_each_need_once(
    live: Session, owner: User, chat: Chat, client_of: Callable[[User], Client]
) -> None:
    story = Story.objects.get(session=live)
    for _ in range(2):
        sweeper.sweep()
        run_due_steps(live, "notify")
    [message] = chat.messages()
    assert message["event"] == "needs_you"
    assert message["session"] == {"id": str(live.pk), "name": "Morning"}
    [need] = message["needs"]
    assert need["key"] == f"story-{story.pk}"
    assert story.narrative.startswith(need["detail"].removesuffix("…"))
    assert message["text"].startswith(f"Morning: “{story.title}” waits for your approval.\n")
    assert need["url"].endswith("/needs-you/")
    [request] = chat.requests
    assert (request.method, request.headers["Content-Type"]) == ("POST", "application/json")
    assert credentials.by_service(owner)["webhook"].verdict.startswith("Works")
    # A need that has gone is forgotten, so that it is sent when it comes back.
    commands.run("story.veto", owner, live, {"story": story.pk})
    sweeper.sweep()
    run_due_steps(live, "notify")
    assert (preferences.of(owner).needs_sent, len(chat.requests)) == ({}, 1)


def test_two_sessions_that_need_the_owner_at_once_are_both_sent(
    live: Session, owner: User, chat: Chat, make_session: MakeSession
) -> None:
    other = make_session("Evening", model="extractive", control_mode="full-control")
    run_in(other, State.LIVE)
    Session.objects.filter(pk=other.pk).update(budget=DOLLAR)
    SessionStats.objects.filter(session=other).update(cost_upper=DOLLAR)
    sweeper.sweep()
    for session in (live, other):
        run_due_steps(session, "notify")
    assert [message["session"]["name"] for message in chat.messages()] == ["Morning", "Evening"]


def test_a_webhook_that_fails_is_tried_five_times_and_shown(
    live: Session, owner: User, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.status = 500
    sweeper.sweep()
    for _ in range(8):
        Step.objects.filter(kind="notify", state="pending").update(due_at=steps.now())
        run_due_steps(live, "notify")
    assert len(chat.requests) == 5
    assert keys(owner) == ["story", "key"]
    assert attention.of_user(owner)[1].detail == (
        "127.0.0.1 cannot accept the message at the moment (500)."
    )
    step = Step.objects.get(kind="notify")
    assert "secret-part" not in caplog.text + step.last_error + str(step.subject)


def test_a_webhook_that_refuses_is_tried_once(live: Session, owner: User, chat: Chat) -> None:
    chat.status = 302
    sweeper.sweep()
    run_due_steps(live, "notify")
    sweeper.sweep()
    run_due_steps(live, "notify")
    assert len(chat.requests) == 1
    verdict = credentials.by_service(owner)["webhook"].verdict
    assert verdict == "127.0.0.1 does not accept the message (302). Check the address."


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://chat.example.org/hook", "must begin with https://"),
        ("https://user:secret@chat.example.org/", "user name or password"),
        ("https://chat.example.org:8443/hook", "on port 8443"),
        ("ftp://chat.example.org/hook", "begin with http:// or https://"),
        ("https://0x7f.1/hook", "unusual spelling"),
    ],
)
def test_an_address_no_message_may_go_to_is_refused_at_its_field(
    owner: User, client_of: Callable[[User], Client], settings: Any, url: str, why: str
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"allow_private_feeds": False})
    answer = client_of(owner).post("/account/keys/webhook/", {"url": url})
    assert (answer.status_code, why in answer.content.decode()) == (422, True)
    assert not SealedKey.objects.exists()


def test_a_message_never_goes_into_the_private_network(
    live: Session, owner: User, client_of: Callable[[User], Client], settings: Any
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"allow_private_feeds": False})
    credentials.save(owner, "webhook", {"url": "https://127.0.0.1/hook"})
    answer = client_of(owner).post("/account/keys/webhook/test/", headers={"HX-Request": "true"})
    assert "private" in answer.content.decode()
    sweeper.sweep()
    run_due_steps(live, "notify")
    assert "private" in credentials.by_service(owner)["webhook"].verdict


def test_a_test_message_says_that_it_is_one(
    owner: User, chat: Chat, client_of: Callable[[User], Client]
) -> None:
    answer = client_of(owner).post("/account/keys/webhook/test/", headers={"HX-Request": "true"})
    assert webhook.DELIVERED in answer.content.decode()
    [message] = chat.messages()
    assert (message["event"], message["session"], message["needs"]) == ("test", None, [])
