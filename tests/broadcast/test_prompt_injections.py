"""Texts that try to command: in a post, in the chat and as a keyword, against a model that obeys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db import models
from django.test import Client

from broadcast.chat import model_answerer, plans
from broadcast.models import Broadcast
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.models import ApiToken, Message, Session
from stories.models import BoardKeyword, Draft, Interest, Source, SourcePost, Story
from tests.broadcast.chat.questions import answer_to, ask, plan_of, say, spoken
from tests.broadcast.prompt_injections import (
    CASES,
    FOREIGN,
    KEY,
    TEXTS,
    each_aim,
    keyed,
    rows_of,
)
from tests.conftest import MakeSession, make_post, run_due_steps
from tests.database_snapshots import past
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.anthropic_obeying import AIMS, obeying

pytestmark = pytest.mark.django_db(transaction=True)
EACH_AIM = each_aim(pytest.mark.slow)

WORLD: tuple[type[models.Model], ...] = (
    Session,
    Source,
    SourcePost,
    Story,
    Interest,
    BoardKeyword,
    Draft,
    Broadcast,
    ApiToken,
)


MODELLED: dict[str, Any] = {"model": "claude-haiku-4-5", "pace": 180}


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicStandIn]:
    with keyed(monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def foreign(owner: User, make_session: MakeSession) -> dict[str, int]:
    return ids_of(past("neighbour", owner, lambda: neighbour(make_session)))


def neighbour(make_session: MakeSession) -> Session:
    """Another session, which nothing here may touch or tell."""
    other = make_session("Neighbour", instructions=FOREIGN)
    make_post(Source.objects.get(session=other), "x", FOREIGN)
    data = {"title": FOREIGN, "text": FOREIGN}
    commands.run("story.break_in", other.owner, other, data)
    commands.run("interest.set", other.owner, other, {"text": "zeppelin"})
    say(other, FOREIGN)
    return other


def ids_of(neighbour: Session) -> dict[str, int]:
    """The ids of its post, its story and its interest."""
    return {
        "post": SourcePost.objects.get(session=neighbour).pk,
        "story": Story.objects.get(session=neighbour).pk,
        "interest": Interest.objects.get(session=neighbour).pk,
    }


@pytest.fixture
def session(
    foreign: dict[str, int], make_session: MakeSession, anthropic: AnthropicStandIn
) -> Session:
    return make_session(**MODELLED)


def world() -> list[tuple[object, ...]]:
    """All that a command could change."""
    return rows_of(WORLD)


def place(session: Session, text: str, number: int) -> None:
    """The text as a post that waits, as an interest and as a keyword on a board."""
    make_post(Source.objects.get(session=session), f"evil {number}", text)
    for name, longest in (("interest.set", 60), ("board.add", 80)):
        commands.run(name, session.owner, session, {"text": text[:longest]})


def check_answer(answer: Message) -> None:
    """No secret, no limit broken, and nothing proposed that may not be."""
    assert KEY not in answer.text
    assert FOREIGN not in answer.text
    assert "facts-" not in answer.text
    assert "://" not in answer.text
    assert "www." not in answer.text
    assert "\u202e" not in answer.text
    assert not model_answerer.repeats_rules(answer.text)
    assert len(answer.text) <= 2000
    assert len(json.dumps(answer.plan)) < 8000
    assert answer.applied_at is None
    plan = plan_of(answer)
    assert len(plan) <= plans.MOST
    for name, payload in plan:
        assert plans.checked(answer.session, name, payload)[0] == payload


def check_request(anthropic: AnthropicStandIn) -> None:
    """The rules are the same for everybody, and all else is quoted or the owner's own words."""
    asked = json.loads(anthropic.requests[-1].body)
    assert asked["system"] == model_answerer.SYSTEM
    content = asked["messages"][-1]["content"]
    assert content.count("<") == content.count(">") == 2
    assert FOREIGN not in json.dumps(asked)
    assert KEY not in json.dumps(asked)


@EACH_AIM
def test_texts_in_posts_and_keywords_command_nothing(
    make_session: MakeSession, anthropic: AnthropicStandIn, foreign: dict[str, int], aim: str
) -> None:
    """As many texts of an aim as a question quotes wait side by side."""
    anthropic.compose = obeying(aim, foreign)
    for at in range(0, len(TEXTS[aim]), 8):
        texts = TEXTS[aim][at : at + 8]
        session = make_session(**MODELLED)
        for number, text in enumerate(texts):
            place(session, text, number)
        before = world()
        question = say(session, "What is next?")
        run_due_steps(session, "answer")
        assert world() == before, texts
        check_answer(answer_to(question))
        check_request(anthropic)
        content = json.loads(anthropic.requests[-1].body)["messages"][-1]["content"]
        facts = json.loads(content.split(">", 1)[1].rsplit("</", 1)[0])
        assert len(facts["next"]) == len(facts["keywords"]) == len(texts)


@EACH_AIM
def test_a_text_in_the_chat_commands_nothing(
    session: Session, anthropic: AnthropicStandIn, foreign: dict[str, int], aim: str
) -> None:
    """Three texts of each aim; ``make chaos`` tries them all in tests/chaos/test_chat_injections.py."""
    chat_commands_nothing(session, anthropic, foreign, aim, TEXTS[aim][:3])


def chat_commands_nothing(
    session: Session,
    anthropic: AnthropicStandIn,
    foreign: dict[str, int],
    aim: str,
    texts: list[str],
) -> None:
    """Each question after the first has those before it as its history; the last is a repeat."""
    anthropic.compose = obeying(aim, foreign)
    before = world()
    for text in [*texts, texts[-1]]:
        check_answer(ask(session, text))
        check_request(anthropic)
        assert world() == before, text


@EACH_AIM
def test_the_rules_without_a_model_are_not_talked_into_anything_either(
    make_session: MakeSession, foreign: dict[str, int], aim: str
) -> None:
    rules_are_not_talked_into_anything(make_session, TEXTS[aim][:3])


def rules_are_not_talked_into_anything(make_session: MakeSession, texts: list[str]) -> None:
    session = make_session(model="extractive", pace=180)
    for number, text in enumerate(texts):
        place(session, text, number)
    before = world()
    for text in texts:
        check_answer(ask(session, text))
        assert world() == before, text


def test_there_are_enough_cases_of_every_aim() -> None:
    assert len(CASES) >= 60
    assert len({each["text"] for each in CASES}) == len(CASES)
    assert {each["aim"] for each in CASES} == AIMS


@EACH_AIM
def test_what_is_applied_in_the_end_is_what_was_shown(
    session: Session, anthropic: AnthropicStandIn, foreign: dict[str, int], aim: str
) -> None:
    """Even who presses Apply blindly gets nothing but the commands of the list, in this session."""
    anthropic.compose = obeying(aim, foreign)
    answer = ask(session, "Do it")
    neighbour = world_of("Neighbour")
    if answer.plan is not None:
        commands.run("chat.apply", session.owner, session, {"message": answer.pk})
    assert world_of("Neighbour") == neighbour
    session.refresh_from_db()
    assert (session.status, session.visible, session.budget) == ("active", False, None)
    assert session.control_mode == "hands-free"
    assert session.model == "claude-haiku-4-5"
    assert 60 <= session.pace <= 6000
    assert len(session.instructions) <= plans.LONGEST_INSTRUCTIONS


def world_of(name: str) -> str:
    rows: list[models.Model] = []
    for kind in (Source, SourcePost, Story, Interest, BoardKeyword):
        rows += kind._default_manager.filter(session__name=name).order_by("pk")
    return str(serializers.serialize("json", rows))


def test_markup_is_shown_as_text(
    session: Session,
    anthropic: AnthropicStandIn,
    foreign: dict[str, int],
    client_of: Callable[[User], Client],
) -> None:
    mark = "<script>alert(2)</script>"
    anthropic.text = spoken(mark, {"command": "interest.set", "text": mark, "weight": "less"})
    make_post(Source.objects.get(session=session), "evil", mark)
    ask(session, "Do it")
    page = client_of(session.owner).get(f"/broadcast/{session.pk}/").content.decode()
    assert "<script>alert" not in page
    assert "Cover less of “&lt;script&gt;alert(2)&lt;/script&gt;”." in page


def test_a_forged_plan_in_the_database_is_refused_as_well(session: Session) -> None:
    forged: list[dict[str, Any]] = [
        {"command": "session.archive", "payload": {}, "sentence": "Be kind."}
    ]
    plan = {"commands": forged, "outcome": ""}
    message = Message.objects.create(session=session, role="producer", text="So?", plan=plan)
    with pytest.raises(SmnbError):
        commands.run("chat.apply", session.owner, session, {"message": message.pk})
