"""All texts that try to command in the chat, of which ``make test`` tries three of each aim."""

from __future__ import annotations

import pytest

from tests.broadcast.prompt_injections import TEXTS, each_aim, keyed
from tests.broadcast.test_prompt_injections import (
    MODELLED,
    chat_commands_nothing,
    ids_of,
    neighbour,
    rules_are_not_talked_into_anything,
)
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


@each_aim()
def test_a_text_in_the_chat_commands_nothing(
    make_session: MakeSession, monkeypatch: pytest.MonkeyPatch, aim: str
) -> None:
    foreign = ids_of(neighbour(make_session))
    with keyed(monkeypatch) as anthropic:
        session = make_session(**MODELLED)
        chat_commands_nothing(session, anthropic, foreign, aim, TEXTS[aim])


@each_aim()
def test_the_rules_without_a_model_are_not_talked_into_anything_either(
    make_session: MakeSession, aim: str
) -> None:
    neighbour(make_session)
    rules_are_not_talked_into_anything(make_session, TEXTS[aim])
