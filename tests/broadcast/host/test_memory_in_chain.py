"""One AI chain through all operations: each link follows the newest, and prompts stay small."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from broadcast.models import Broadcast
from sessions_app import audits, commands, preferences
from sessions_app.ai_chain import chain, status
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Kind
from sessions_app.models import AILink, AITransition, Session, Step
from stories.llm import Ask, Turn, gateway_for
from stories.models import Story, TokenUsage
from stories.text.sentences import tokens_of
from stories.usage.ledger import Purpose, SessionLedger
from tests.broadcast.test_queries import turn
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past
from tests.standins.anthropic import AnthropicStandIn, Served
from tests.standins.server import Recorded

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-haiku-4-5"
GoLive = Callable[[Session], Broadcast]


# What the stand-in was asked and served for the past below.
_asked: list[Recorded] = []
_served: list[Served] = []


@pytest.fixture
def finished(
    owner: User, make_session: MakeSession, go_live: GoLive, anthropic: AnthropicStandIn
) -> Session:
    """A session whose first run aired six stories and ended; recap and summary wait."""

    def make() -> Session:
        limits = preferences.workspace()
        limits.compact_tokens = 500
        limits.save()
        session = make_session(model=MODEL)
        go_live(session)
        run_due_steps(session, "poll", most=1)
        tell(session, 6)
        commands.run("broadcast.stop", session.owner, session, {})
        _asked[:], _served[:] = anthropic.requests, anthropic.served
        return session

    session = past("memory in the chain", owner, make)
    anthropic.requests[:], anthropic.served[:] = _asked, _served
    return session


def tell(session: Session, number: int) -> None:
    """Runs the host until this many stories are written; each airs at once."""
    for _ in range(4 * number):
        if Story.objects.filter(session=session).count() == number:
            return
        turn(session, "narrate")
        turn(session, "finish_airing")
    raise AssertionError("the host wrote too few stories")


def block_of(request: dict[str, Any]) -> dict[str, Any]:
    """What a question quotes."""
    content = str(request["messages"][-1]["content"])
    found: dict[str, Any] = json.loads(content.split(">", 1)[1].rsplit("</", 1)[0])
    return found


def asked(anthropic: AnthropicStandIn) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in anthropic.requests]


def narrations(anthropic: AnthropicStandIn) -> list[dict[str, Any]]:
    """What each question of the host quoted."""
    wanted = (each for each in asked(anthropic) if "You host" in str(each["system"]))
    return [block_of(each) for each in wanted]


def chat(session: Session, question: str, *history_turns: Turn) -> None:
    """An operation as the chat makes it: with its own history and a summary, in a step."""
    steps.register(Kind("test_chat", "drafting", _chat(question, history_turns), outlives_run=True))
    steps.enqueue(session, "test_chat", "1")
    run_due_steps(session, "test_chat")


def _chat(question: str, history_turns: tuple[Turn, ...]) -> Callable[[steps.Claim], None]:
    def answer(claim: steps.Claim) -> None:
        ledger = SessionLedger(
            claim, Purpose(source="chat", context_head=chain.last(claim.session))
        )
        gateway = gateway_for(claim.session, claim.lost)
        assert gateway is not None
        ask = Ask(MODEL, "Be brief.", question, 200, operation="chat", history=history_turns)
        gateway.stream(ask, ledger, lambda _: None)

    return answer


def test_every_operation_joins_behind_the_newest(
    finished: Session, anthropic: AnthropicStandIn
) -> None:
    assert run_due_steps(finished, "recap") == 1
    assert run_due_steps(finished, "compact") == 1
    chat(finished, "What did we tell?")
    links = list(AILink.objects.filter(session=finished).order_by("number"))
    sources = [link.source for link in links]
    assert sources == [*["narration"] * 6, "metadata", "compaction", "chat"]
    assert [link.previous for link in links] == [None, *links[:-1]]
    moves = AITransition.objects.filter(session=finished).order_by("id")
    assert [(each.old, each.new) for each in moves] == list(
        zip([None, *links], links, strict=False)
    )
    assert status.status(finished).state == status.SYNCED
    assert [link.provider_id for link in links] == [
        served.request_id.replace("req", "msg") for served in anthropic.finished
    ]
    assert list(audits.run()) == []


def test_every_token_served_is_booked_to_its_operation(
    finished: Session, anthropic: AnthropicStandIn
) -> None:
    run_due_steps(finished, "recap")
    run_due_steps(finished, "compact")
    chat(finished, "What did we tell?")
    rows = TokenUsage.objects.filter(session=finished)
    assert sum(row.input_tokens for row in rows) == anthropic.total.input
    assert sum(row.output_tokens for row in rows) == anthropic.total.output
    assert {row.operation for row in rows} == {"narrate", "recap", "compact", "chat"}
    assert all(row.link is not None and row.link.session_id == finished.pk for row in rows)


def test_each_narration_is_sent_the_titles_of_those_before(
    finished: Session, anthropic: AnthropicStandIn
) -> None:
    titles = list(Story.objects.order_by("id").values_list("title", flat=True))
    recent_titles = [each.get("told", {}).get("just_now", []) for each in narrations(anthropic)]
    assert recent_titles == [titles[max(0, at - 2) : at][::-1] for at in range(6)]


def test_after_a_summary_narration_is_sent_that_and_no_more_than_200_tokens(
    finished: Session, anthropic: AnthropicStandIn, go_live: GoLive
) -> None:
    run_due_steps(finished, "recap")
    run_due_steps(finished, "compact")
    before = len(narrations(anthropic))
    # The run was stopping until its recap and its summary were made.
    sweeper.sweep()
    go_live(finished)
    run_due_steps(finished, "poll", most=1)
    tell(finished, 8)
    (summary,) = AILink.objects.filter(source="compaction").values_list("summary", flat=True)
    for block in narrations(anthropic)[before:]:
        assert block["told"]["before"] == summary
        sent = [block["told"]["before"], *block["told"].get("just_now", [])]
        assert sum(map(tokens_of, sent)) <= 200
    assert len(narrations(anthropic)) > before


def test_what_was_really_sent_is_recorded(finished: Session) -> None:
    links = list(AILink.objects.filter(session=finished).order_by("number"))
    assert [link.context_head for link in links[:6]] == [None, *links[:5]]


def test_a_conversation_is_sent_its_own_messages_and_nothing_of_the_narrations(
    finished: Session, anthropic: AnthropicStandIn
) -> None:
    chat(finished, "And then?", Turn("user", "What came first?"), Turn("assistant", "A mill."))
    sent = asked(anthropic)[-1]["messages"]
    assert [(each["role"], each["content"]) for each in sent] == [
        ("user", "What came first?"),
        ("assistant", "A mill."),
        ("user", "And then?"),
    ]


def test_the_step_that_sums_up_was_armed_once(finished: Session) -> None:
    assert Step.objects.filter(session=finished, kind="compact").count() == 1
