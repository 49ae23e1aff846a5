"""All texts that try to command the writers' room, of which ``make test`` tries one of each aim."""

from __future__ import annotations

import pytest

from tests.broadcast.prompt_injections import TEXTS, each_aim, keyed
from tests.broadcast.studio.drafting.test_injections import MODEL, commands_nothing, neighbour
from tests.conftest import MakeSession


@pytest.mark.django_db(transaction=True)
@each_aim()
def test_a_text_in_posts_and_keywords_commands_nothing(
    make_session: MakeSession, monkeypatch: pytest.MonkeyPatch, aim: str
) -> None:
    foreign = neighbour(make_session)
    with keyed(monkeypatch) as anthropic:
        for text in TEXTS[aim]:
            commands_nothing(make_session(model=MODEL), anthropic, foreign, text, aim)
