"""The conversation: each question is answered once, in order, from the session's own rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.chat import answerer, conversation
from broadcast.models import Broadcast
from sessions_app import audits, commands, sessions
from sessions_app.background import steps
from sessions_app.errors import Conflict, Invalid, StaleClaim
from sessions_app.events import recorder
from sessions_app.models import AILink, Message, Session, SessionEvent, Step
from sessions_app.realtime import checkpoints
from stories.models import Story
from stories.posts import queue
from tests.broadcast.chat.questions import answer_to, ask, plan_of, say
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]
ClientOf = Callable[[User], Client]


@pytest.fixture
@made_once
def told(make_session: MakeSession, go_live: GoLive) -> Session:
    """A session on air that has told some stories of the recording."""
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, most=12)
    assert Story.objects.filter(session=session).count() >= 2
    return session


def test_what_is_said_is_kept_and_waits_for_its_answer(session: Session) -> None:
    question = say(session, "  What is next?  ")
    assert question.text == "What is next?"
    event = SessionEvent.objects.filter(session=session).latest("seq")
    assert event.type == "message.added"
    assert event.payload["answering"] is True
    step = Step.objects.get(session=session, kind="answer")
    assert (step.state, step.subject) == ("pending", str(question.pk))
    assert steps.queue_of("answer") == "drafting"


def test_nothing_is_said_in_an_archived_session(session: Session) -> None:
    sessions.archive(session)
    with pytest.raises(Conflict, match="is archived"):
        say(session, "What is next?")
    assert not Message.objects.filter(session=session, role="human").exists()


def test_the_answer_names_its_question_and_its_place_in_the_chain(told: Session) -> None:
    answer = ask(told, "What is next?")
    assert answer.reply_to is not None
    assert answer.link is not None
    assert answer.link.source == "chat"
    assert answer.link == AILink.objects.filter(session=told).order_by("-number").first()
    assert answer.link.context_head is not None
    assert answer.link.run_number == 1
    assert Step.objects.get(session=told, kind="answer").state == "done"
    assert list(audits.run()) == []


@pytest.mark.databases
def test_what_we_told_about_something_is_found_in_this_session_alone(
    told: Session, make_session: MakeSession, go_live: GoLive
) -> None:
    story = Story.objects.filter(session=told).first()
    assert story is not None
    word = max(story.title.split(), key=len)
    other = make_session("Other")
    assert story.title in ask(told, f"What did we tell about {word}?").text
    assert "no story" in ask(other, f"What did we tell about {word}?").text


def test_a_word_that_no_story_has_is_said_so(told: Session) -> None:
    assert "no story about “zeppelins”" in ask(told, "What did we tell about zeppelins?").text


def test_what_is_next_is_the_head_of_the_queue(told: Session) -> None:
    answer = ask(told, "What is coming up next?")
    best = queue.waiting(told).first()
    assert best is not None
    assert best.title[:60] in answer.text


def test_what_it_costs_is_said_with_the_budget(session: Session) -> None:
    assert "no budget" in ask(session, "What does it cost?").text
    sessions.change(session, budget=2_500_000_000_000)
    answer = ask(session, "How much money is left?").text
    assert "$2.5000" in answer
    assert "$0.0000" in answer


def test_what_is_not_understood_is_answered_by_what_can_be_done(session: Session) -> None:
    answer = ask(session, "Blimey")
    assert "What is next?" in answer.text
    assert answer.plan is None


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is on air?", "off air"),
        ("How is it going?", "0 stories"),
        ("Sum up what we did so far", "no stories yet"),
        ("What are our settings?", "180 words"),
        ("What have we told?", "no stories yet"),
    ],
)
def test_a_session_that_has_done_nothing_says_so(
    make_session: MakeSession, question: str, said: str
) -> None:
    assert said in ask(make_session(pace=180), question).text


def test_questions_are_answered_in_the_order_they_were_asked(session: Session) -> None:
    first, second = say(session, "What is next?"), say(session, "What does it cost?")
    later = Step.objects.get(session=session, kind="answer", subject=str(second.pk))
    steps.run(later.pk)
    assert Message.objects.filter(role="producer").count() == 0
    run_due_steps(session, "answer", most=1)
    Step.objects.filter(pk=later.pk).update(due_at=steps.now() - timedelta(seconds=1))
    run_due_steps(session, "answer")
    assert answer_to(first).pk < answer_to(second).pk


def test_a_question_asked_before_the_last_answer_came_knows_that_answer(session: Session) -> None:
    first, second = say(session, "What is next?"), say(session, "And then?")
    run_due_steps(session, "answer", most=1)
    (known,) = conversation.earlier(second)
    assert (known.question, known.link) == (first.text, answer_to(first).link)


def test_the_page_hears_that_another_answer_is_to_come(session: Session) -> None:
    for text in ("What is next?", "What does it cost?"):
        say(session, text)
    run_due_steps(session, "answer", most=1)
    rows = SessionEvent.objects.filter(session=session, type="message.added").order_by("seq")
    assert [row.payload["answering"] for row in rows] == [True, True, True]
    assert conversation.answering(session)


def test_a_question_is_answered_once_though_its_step_is_taken_over(session: Session) -> None:
    question = say(session, "What is next?")
    step = Step.objects.get(session=session, kind="answer")
    dead = steps.claim(step.pk)
    assert dead is not None
    Step.objects.filter(pk=step.pk).update(lease_until=steps.now() - timedelta(seconds=1))
    steps.run(step.pk)
    with pytest.raises(StaleClaim):
        answerer.answer(dead)
    assert Message.objects.filter(reply_to=question).count() == 1
    assert AILink.objects.filter(session=session, source="chat").count() == 1


def test_there_are_only_so_many_open_questions(session: Session) -> None:
    for number in range(5):
        say(session, f"What is next, {number}?")
    with pytest.raises(Conflict, match="5 questions"):
        say(session, "And this?")


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u202e", "x" * 2001])
def test_nothing_and_too_much_are_refused(session: Session, text: str) -> None:
    with pytest.raises(Invalid):
        say(session, text)
    assert not Step.objects.filter(kind="answer").exists()


def test_the_answer_outlives_the_run(told: Session, go_live: GoLive) -> None:
    question = say(told, "What is next?")
    commands.run("broadcast.stop", told.owner, told, {})
    assert Step.objects.get(session=told, kind="answer").state == "pending"
    run_due_steps(told, "answer")
    assert answer_to(question).text


def test_a_step_that_is_given_up_says_so(session: Session) -> None:
    question = say(session, "What is next?")
    step = Step.objects.get(session=session, kind="answer")
    Step.objects.filter(pk=step.pk).update(attempts=3)
    steps.run(step.pk)
    answer = answer_to(question)
    assert answer.code == "fault"
    assert "ask again" in answer.text.lower()
    assert not conversation.answering(session)


def test_the_first_words_are_shown_at_once_and_forgotten_at_the_end(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(
        recorder, "publish_ephemeral", lambda _s, type_, frame: shown.append({type_: frame})
    )
    answer = ask(session, "What is next?")
    assert shown == [{"chat.delta": {"message": answer.reply_to_id, "text": answer.text}}]
    assert checkpoints.read(session.pk, conversation.DELTA) is None


def test_a_page_that_is_loaded_meanwhile_shows_the_words_so_far(
    session: Session, client_of: ClientOf
) -> None:
    browser, path = client_of(session.owner), f"/broadcast/{session.pk}/"
    assert "is thinking" not in browser.get(path).content.decode()
    say(session, "What is next?")
    assert "is thinking" in browser.get(path).content.decode()
    checkpoints.save(session.pk, conversation.DELTA, {"message": 1, "text": "Next are <owls>"})
    page = browser.get(path).content.decode()
    assert "Next are &lt;owls&gt;" in page
    run_due_steps(session, "answer")
    assert "is answering" not in browser.get(path).content.decode()


def test_the_chat_works_without_script(session: Session, client_of: ClientOf) -> None:
    browser = client_of(session.owner)
    answer: Any = browser.post(f"/broadcast/{session.pk}/chat/", {"text": "What is next?"})
    assert answer["Location"] == f"/broadcast/{session.pk}/#chat"
    assert Message.objects.get().text == "What is next?"


def test_the_end_of_a_line_counts_once(session: Session, client_of: ClientOf) -> None:
    lines = "\r\n".join(["What is next, and why is that?"] * 64)
    answer = client_of(session.owner).post(f"/broadcast/{session.pk}/chat/", {"text": lines})
    assert (answer.status_code, len(lines) > conversation.MOST_TEXT) == (302, True)
    assert Message.objects.get(role="human").text.count("\n") == 63


def test_an_example_is_said_by_its_button(session: Session, client_of: ClientOf) -> None:
    browser, path = client_of(session.owner), f"/broadcast/{session.pk}/"
    page = browser.get(path).content.decode()
    for example in conversation.EXAMPLES:
        assert f'value="{example}"' in page
        said = {"text": "", "example": example}
        browser.post(f"{path}chat/", said, headers={"HX-Request": "true"})
    kept = set(Message.objects.filter(role="human").values_list("text", flat=True))
    assert kept == set(conversation.EXAMPLES)
    run_due_steps(session, "answer")


@pytest.mark.parametrize("example", conversation.EXAMPLES)
def test_every_example_is_understood_without_a_model(session: Session, example: str) -> None:
    answer = ask(session, example)
    assert "plain sentences" not in answer.text
    assert bool(plan_of(answer)) is example.startswith("More")


def test_a_refusal_is_shown(session: Session, client_of: ClientOf) -> None:
    answer = client_of(session.owner).post(
        f"/broadcast/{session.pk}/chat/", {"text": " "}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 422


def test_earlier_exchanges_are_few_and_short(session: Session) -> None:
    for number in range(8):
        ask(session, f"What did we tell about {'ferries ' * 100}{number}?")
    last = say(session, "And now?")
    found = conversation.earlier(last)
    assert 0 < len(found) <= conversation.EXCHANGES
    assert found[-1].link is not None
    assert all(len(each.question) <= 600 for each in found)


def test_what_rules_cannot_propose_is_said_once_with_its_reason(session: Session) -> None:
    answer = ask(session, "Pin 123456789, more science")
    assert plan_of(answer) == [("interest.set", {"text": "science", "weight": "more"})]
    assert answer.text.endswith("This session has no such post in its queue.")
    assert ask(session, "Pin 123456789").text == "This session has no such post in its queue."
