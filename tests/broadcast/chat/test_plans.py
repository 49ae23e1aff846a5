"""Plans: shown as commands and applied by one click, as a whole and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pydantic import Field

from broadcast.chat import plans
from sessions_app import audits, commands
from sessions_app.commands import Command, Payload
from sessions_app.errors import Conflict, NotFound, SmnbError
from sessions_app.models import Message, Session, SessionEvent
from stories.models import BoardKeyword, Interest, Source, SourcePost
from tests.api_clients import Api
from tests.broadcast.chat.questions import ask, decide, plan_of
from tests.concurrency import together
from tests.conftest import MakeSession, make_post
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)

ClientOf = Callable[[User], Client]


@pytest.fixture
def answer(session: Session) -> Message:
    """An answer whose plan says: more science, less sport, and the usual pace slower."""
    return ask(session, "More science, less sport, slower")


class DraftWish(Payload):
    keywords: list[str] = Field(min_length=1)
    words: int = 400
    style: str = "report"
    language: str | None = None


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> list[DraftWish]:
    """Drafts that were started, by a command with the payload of the writers' room."""
    started: list[DraftWish] = []
    command = Command("draft.start", DraftWish, lambda c: started.append(c.payload), "Start one.")
    monkeypatch.setitem(commands._registry, "draft.start", command)
    return started


def propose(session: Session, *wanted: tuple[str, dict[str, Any]]) -> Message:
    """An answer with exactly these commands proposed."""
    plan = plans.propose(session, wanted).plan
    return Message.objects.create(session=session, role="producer", text="So?", plan=plan)


def test_a_wish_becomes_a_plan_and_nothing_else(session: Session, answer: Message) -> None:
    assert plan_of(answer) == [
        ("interest.set", {"text": "science", "weight": "more"}),
        ("interest.set", {"text": "sport", "weight": "less"}),
        ("session.change", {"settings": {"pace": 140}}),
    ]
    session.refresh_from_db()
    assert (session.pace, Interest.objects.count()) == (0, 0)
    assert "until you press Apply" in answer.text


def test_each_command_is_said_in_words(answer: Message) -> None:
    assert answer.plan is not None
    assert [each["sentence"] for each in answer.plan["commands"]] == [
        "Cover more of “science”.",
        "Cover less of “sport”.",
        "Speak at 140 words per minute (now 0).",
    ]


def test_one_click_does_all_of_it(session: Session, answer: Message) -> None:
    done = decide(answer)
    session.refresh_from_db()
    assert session.pace == 140
    assert set(Interest.objects.values_list("text", "weight")) == {("science", 1), ("sport", -1)}
    assert done.plan is not None
    assert done.plan["outcome"] == "applied"
    assert done.applied_at is not None
    assert list(audits.run()) == []


def test_what_was_done_is_recorded_as_a_message(session: Session, answer: Message) -> None:
    decide(answer)
    note = Message.objects.get(code="plan_applied")
    assert note.reply_to == answer
    assert note.text.startswith("olga applied the plan. Cover more of “science”.")
    types = [row.type for row in SessionEvent.objects.filter(session=session).order_by("seq")]
    assert types[-2:] == ["message.added", "message.changed"]


def test_a_second_click_does_nothing(session: Session, answer: Message) -> None:
    decide(answer)
    Interest.objects.all().delete()
    for verb in ("apply", "dismiss"):
        with pytest.raises(Conflict):
            decide(answer, verb)
    assert Interest.objects.count() == 0


@pytest.mark.databases
def test_of_many_clicks_at_once_one_counts(session: Session, answer: Message) -> None:
    found = together(6, lambda at: decide(answer, "apply" if at % 2 else "dismiss"))
    assert sum(isinstance(each, Message) for each in found) == 1
    assert sum(isinstance(each, Conflict) for each in found) == 5
    assert Interest.objects.count() in {0, 2}


def test_a_dismissed_plan_is_never_done(session: Session, answer: Message) -> None:
    assert (decide(answer, "dismiss").plan or {})["outcome"] == "dismissed"
    with pytest.raises(Conflict):
        decide(answer)
    assert Interest.objects.count() == 0


@pytest.mark.databases
def test_if_one_command_cannot_be_done_any_more_none_is(session: Session, post: SourcePost) -> None:
    wanted = (("interest.set", {"text": "tides"}), ("post.pin", {"post": post.pk}))
    answer = propose(session, *wanted)
    SourcePost.objects.filter(pk=post.pk).update(state="told")
    with pytest.raises(NotFound):
        decide(answer)
    answer.refresh_from_db()
    assert answer.applied_at is None
    assert (answer.plan or {})["outcome"] == ""
    assert Interest.objects.count() == 0


def test_a_plan_is_checked_again_when_it_is_applied(session: Session, answer: Message) -> None:
    forged = {"command": "session.archive", "payload": {}, "sentence": "Cover more of “science”."}
    for each in (forged, {**forged, "command": "session.change", "payload": {"visible": True}}):
        Message.objects.filter(pk=answer.pk).update(plan={"commands": [each], "outcome": ""})
        with pytest.raises(Conflict):
            decide(answer)
    session.refresh_from_db()
    assert (session.status, session.visible) == ("active", False)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("session.change", {"budget_usd": 999}),
        ("session.change", {"visible": True}),
        ("session.change", {"name": "Mine"}),
        ("session.change", {"settings": {"model": "claude-opus-5"}}),
        ("session.change", {"settings": {"control_mode": "hands-free"}}),
        ("session.change", {"settings": {"pace": 0}}),
        ("session.change", {"settings": {"pace": 10**9}}),
        ("session.change", {"settings": {"instructions": "x" * 501}}),
        ("session.change", {"settings": {"language": "<b>"}}),
        ("session.change", {"settings": {}}),
        ("session.archive", {}),
        ("session.create", {"name": "Another"}),
        ("source.add", {"kind": "rss", "locator": "http://evil.example/"}),
        ("broadcast.stop", {}),
        ("story.kill", {"story": 1}),
        ("story.break_in", {"title": "Now", "text": "It is\u202e so."}),
        ("story.break_in", {"title": "Now", "text": "x" * 601}),
        ("story.approve", {"story": 1}),
        ("broadcast.undo_stop", {}),
        ("broadcast.ask_to_stop", {"when": "now"}),
        ("chat.apply", {"message": 1}),
        ("key.set", {"api_key": "x"}),
        ("post.pin", {"post": 10**15}),
        ("story.bookmark", {"story": 1, "on": False}),
        ("draft.start", {"keywords": [], "words": 10**6}),
        ("interest.set", {"text": "x" * 61}),
        ("", {}),
    ],
)
def test_what_may_not_be_proposed_is_left_out_and_that_is_said(
    session: Session, name: str, payload: dict[str, Any]
) -> None:
    proposal = plans.propose(session, [(name, payload)])
    assert proposal.plan is None
    assert "left out" in proposal.note


def test_a_plan_is_no_longer_than_can_be_looked_over(session: Session) -> None:
    wanted = [("interest.set", {"text": f"word {at}"}) for at in range(30)]
    proposal = plans.propose(session, wanted + wanted)
    assert proposal.plan is not None
    assert len(proposal.plan["commands"]) == plans.MOST
    assert "22 changes" in proposal.note


def test_posts_and_stories_of_another_session_are_not_to_be_had(
    session: Session, make_session: MakeSession
) -> None:
    other = make_session("Other")
    foreign = make_post(Source.objects.get(session=other), "x", "A secret of another session")
    proposal = plans.propose(session, [("post.pin", {"post": foreign.pk})])
    assert proposal.plan is None
    assert "secret" not in proposal.note


@pytest.mark.parametrize(
    ("verb", "state", "pinned"),
    [("pin", "queued", True), ("hold", "held", False), ("kill", "skipped", False)],
)
def test_posts_are_pinned_held_and_killed_by_a_plan(
    session: Session, post: SourcePost, verb: str, state: str, pinned: bool
) -> None:
    decide(ask(session, f"{verb} lighthouse"))
    post.refresh_from_db()
    assert (post.state, post.pinned) == (state, pinned)


def test_a_keyword_goes_onto_a_board(session: Session) -> None:
    decide(ask(session, "Put tidal power on the board Research"))
    keyword = BoardKeyword.objects.get(session=session)
    assert (keyword.text, keyword.board) == ("tidal power", "research")


def test_an_interest_is_forgotten(session: Session) -> None:
    decide(ask(session, "More lighthouses"))
    decide(ask(session, "Forget lighthouses"))
    assert Interest.objects.count() == 0


def test_a_special_becomes_a_draft(session: Session, drafts: list[DraftWish]) -> None:
    answer = ask(session, "Prepare a feature of 600 words on tidal power and ferries")
    assert drafts == []
    decide(answer)
    (wish,) = drafts
    assert wish.keywords == ["tidal power", "ferries"]
    assert (wish.words, wish.style) == (600, "feature")


def test_without_a_writers_room_no_draft_is_offered(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(commands._registry, "draft.start", raising=False)
    assert "draft.start" not in plans.offered()
    assert ask(session, "Prepare a special on ferries").plan is None


def test_every_command_that_is_offered_is_one_of_the_registry() -> None:
    names = {each.name for each in commands.all_commands()} | {"draft.start"}
    assert set(plans.ALLOWED) <= names


def test_a_plan_of_another_session_does_not_exist(
    answer: Message, make_session: MakeSession
) -> None:
    other = make_session("Other")
    for verb in ("apply", "dismiss"):
        with pytest.raises(NotFound):
            commands.run(f"chat.{verb}", other.owner, other, {"message": answer.pk})


def test_a_message_without_a_plan_cannot_be_applied(session: Session) -> None:
    answer = ask(session, "What is next?")
    with pytest.raises(NotFound):
        decide(answer)


def test_the_buttons_of_the_page_decide(
    session: Session, answer: Message, client_of: ClientOf
) -> None:
    browser, path = client_of(session.owner), f"/broadcast/{session.pk}/"
    page = unbroken(browser.get(path).content.decode())
    action = f'formaction="{path}chat/{answer.pk}/plan/" name="do" value="apply"'
    assert action in page
    answered = browser.post(f"{path}chat/{answer.pk}/plan/", {"do": "apply"})
    assert answered.status_code == 302
    assert Interest.objects.count() == 2
    page = unbroken(browser.get(path).content.decode())
    assert action not in page
    assert "Applied" in page
    again = browser.post(
        f"{path}chat/{answer.pk}/plan/", {"do": "apply"}, headers={"HX-Request": "true"}
    )
    assert again.status_code == 409
    assert browser.post(f"{path}chat/{answer.pk}/plan/", {"do": "more"}).status_code == 400


def test_dismiss_on_the_page(session: Session, answer: Message, client_of: ClientOf) -> None:
    path = f"/broadcast/{session.pk}/chat/{answer.pk}/plan/"
    browser = client_of(session.owner)
    said = browser.post(path, {"do": "dismiss"}, headers={"HX-Request": "true"})
    assert said.status_code == 204
    answer.refresh_from_db()
    assert (answer.plan or {})["outcome"] == "dismissed"


def test_the_api_says_lists_and_decides(session: Session, work: Callable[..., int]) -> None:
    api, path = Api(session.owner), f"/sessions/{session.pk}/messages"
    status, said = api.post(path, {"text": "Less sport"}, **{"Idempotency-Key": "k"})
    assert (status, said["role"], said["text"]) == (201, "human", "Less sport")
    assert api.post(path, {"text": "Less sport"}, **{"Idempotency-Key": "k"}) == (201, said)
    work(session, "answer")
    answer, question = api.get(path)["items"]
    assert question["id"] == said["id"] == answer["reply_to"]
    assert answer["plan"]["commands"][0]["command"] == "interest.set"
    assert Interest.objects.count() == 0
    status, done = api.post(f"{path}/{answer['id']}/apply")
    assert (status, done["plan"]["outcome"]) == (200, "applied")
    assert done["settled_at"]
    assert Interest.objects.count() == 1
    assert api.post(f"{path}/{answer['id']}/dismiss")[0] == 409
    assert api.post(path, {"text": "x", "role": "system"})[0] == 422
    assert [len(page) for page in api.walk(path, 1)] == [1, 1, 1]


@pytest.mark.databases
def test_a_live_run_is_held_before_the_counters(
    session: Session,
    answer: Message,
    go_live: Callable[[Session], Any],
    work: Callable[..., int],
) -> None:
    go_live(session)
    work(session, most=2)
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        decide(answer)
    writes = [
        sql for sql in seen if "broadcast_broadcast" in sql or "sessions_app_sessionstats" in sql
    ]
    first = next(at for at, sql in enumerate(writes) if "sessionstats" in sql and "UPDATE" in sql)
    assert any("broadcast_broadcast" in sql and "UPDATE" in sql for sql in writes[:first])


def test_no_refusal_of_a_plan_is_a_surprise(session: Session) -> None:
    for name in plans.ALLOWED:
        with pytest.raises(SmnbError):
            plans.checked(session, name, {"nothing": "of ours"})
