"""Texts that try to command the writers' room: in posts and keywords, against a model that obeys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import serializers
from django.db import models

from broadcast.models import Broadcast
from sessions_app import commands
from sessions_app.models import ApiToken, Message, Session
from stories.drafting import prompts
from stories.drafting.agents import MOST_TEXT
from stories.drafting.model_agent import gives_away
from stories.drafting.turns import MOST_TURNS
from stories.models import BoardKeyword, Draft, Interest, Source, SourcePost, Story
from tests.broadcast.prompt_injections import (
    CASES,
    FOREIGN,
    KEY,
    TEXTS,
    each_aim,
    keyed,
    rows_of,
)
from tests.conftest import MakeSession, make_post
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.anthropic_obeying import obeying
from tests.stories.drafting.draft_factory import played, started, turn

pytestmark = pytest.mark.django_db(transaction=True)
EACH_AIM = each_aim(pytest.mark.slow)

MODEL = "claude-haiku-4-5"
FERRY = "The ferry runs again after eleven weeks of repairs in the yard"
WORLD: tuple[type[models.Model], ...] = (
    Session,
    Source,
    SourcePost,
    Story,
    Interest,
    BoardKeyword,
    Broadcast,
    ApiToken,
    Message,
)


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicStandIn]:
    with keyed(monkeypatch) as stand_in:
        yield stand_in


@pytest.fixture
def foreign(make_session: MakeSession) -> dict[str, int]:
    return neighbour(make_session)


def neighbour(make_session: MakeSession) -> dict[str, int]:
    """Another session's post about ferries, and what a model would have to know to harm it."""
    other = make_session("Neighbour", instructions=FOREIGN)
    post = make_post(Source.objects.get(session=other), "x", f"{FOREIGN} carries a ferry")
    return {"post": post.pk, "story": 1, "interest": 1}


def world() -> list[tuple[object, ...]]:
    """All that a command could change, but for what a draft writes itself."""
    return rows_of(WORLD)


def place(session: Session, text: str) -> Draft:
    """A draft about the text as a keyword, to be written from a post that holds it."""
    source = Source.objects.get(session=session)
    make_post(source, "ferry", FERRY)
    make_post(source, "evil", f"Ferry news: {text}"[:490])
    commands.run("board.add", session.owner, session, {"text": text[:80]})
    return started(session, keywords=["ferry", text[:80]])


def filled(schema: dict[str, Any], said: str) -> Any:
    """The schema with ``said`` in all places where a text may stand."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            return {name: filled(each, said) for name, each in schema["properties"].items()}
        case "array":
            return [filled(schema["items"], said)]
    return said


def led_astray(aim: str, foreign: dict[str, int], asked: dict[str, Any]) -> str:
    """What a model answers that does as the text says, in the form that it is held to."""
    answer = json.loads(obeying(aim, foreign)(asked))
    schema = asked["output_config"]["format"]["schema"]
    said = " ".join([answer["reply"], *(json.dumps(each) for each in answer["plan"][:3])])
    return json.dumps(filled(schema, said) | {"plan": answer["plan"]})


def check(draft: Draft) -> None:
    """No secret, nothing of another session, and no limit broken in all that the room keeps."""
    rows: list[models.Model] = [draft, *draft.messages.all(), *draft.versions.all()]
    draft.keywords = []  # a person's own words
    kept = serializers.serialize("json", rows)
    for secret in (KEY, FOREIGN, "desk-", "://", "www.", "\\u202e"):
        assert secret not in kept
    assert not gives_away(json.dumps([str(each.text) for each in draft.messages.all()]))
    assert not any(gives_away(each.text) for each in draft.versions.all())
    assert all(len(each.text) <= MOST_TEXT for each in draft.versions.all())
    assert all(each.word_count <= draft.words + 200 for each in draft.versions.all())
    assert draft.turns <= MOST_TURNS


def check_requests(anthropic: AnthropicStandIn) -> None:
    """The rules are those of the part, and all else stands between the tags."""
    for each in anthropic.requests:
        asked = json.loads(each.body)
        assert asked["system"] in {prompts.system_of(role) for role in prompts.PARTS}
        content = asked["messages"][-1]["content"]
        assert content.count("<") == content.count(">") == 2
        assert FOREIGN not in json.dumps(asked, ensure_ascii=False)
        assert KEY not in json.dumps(asked, ensure_ascii=False)


@EACH_AIM
def test_a_text_in_posts_and_keywords_commands_nothing(
    make_session: MakeSession, anthropic: AnthropicStandIn, foreign: dict[str, int], aim: str
) -> None:
    """One text of each aim; ``make chaos`` tries them all in tests/chaos/test_draft_injections.py."""
    commands_nothing(make_session(model=MODEL), anthropic, foreign, TEXTS[aim][0], aim)


def commands_nothing(
    session: Session, anthropic: AnthropicStandIn, foreign: dict[str, int], text: str, aim: str
) -> None:
    draft = place(session, text)
    before = world()
    anthropic.compose = played
    turn(draft)
    anthropic.compose = lambda asked: led_astray(aim, foreign, asked)
    check(turn(draft, 12))
    assert world() == before
    check_requests(anthropic)


def test_the_rules_without_a_model_are_not_talked_into_anything_either(
    make_session: MakeSession, foreign: dict[str, int]
) -> None:
    session = make_session(model="extractive")
    for at, case in enumerate(CASES):
        make_post(Source.objects.get(session=session), f"evil {at}", f"Ferry: {case['text']}"[:490])
    before = world()
    draft = turn(started(session), 12)
    assert draft.state == "finished"
    check(draft)
    assert world() == before
