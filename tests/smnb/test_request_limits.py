"""How many there may be is a setting: each is read where it counts, and 0 turns it off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessions_app import api_tokens, commands, rate_limits
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from stories.sources import service
from stories.sources.service import SourceSpec
from tests.concurrency import together

pytestmark = pytest.mark.django_db(transaction=True)


def press(session: Session, name: str, **data: Any) -> Any:
    return commands.run(name, session.owner, session, data)


def add_source(session: Session, number: int) -> Any:
    spec = SourceSpec(kind="rss", locator=f"http://127.0.0.1/{number}.xml")
    return service.add(session, spec)


MAKE: dict[str, Callable[[Session, int], Any]] = {
    "sources": add_source,
    "drafts": lambda session, number: press(session, "draft.start", keywords=[f"word {number}"]),
    "questions": lambda session, number: press(session, "chat.say", text=f"What is {number}?"),
    "slots": lambda session, number: press(
        session, "slot.add", days=["mon"], on_at=f"{number:02}:00", off_at="23:00", enabled=False
    ),
    "tokens": lambda session, number: api_tokens.named(session.owner, f"token {number}"),
}


@pytest.fixture
def limit(settings: Any) -> Callable[[str, int], None]:
    def set_(name: str, number: int) -> None:
        settings.SMNB = settings.SMNB.model_copy(update={f"limit_{name}": number})

    return set_


@pytest.fixture
def empty(make_session: Any) -> Session:
    session: Session = make_session(recording=False)
    return session


@pytest.mark.parametrize("name", MAKE)
def test_one_too_many_is_refused_with_the_number(
    empty: Session, limit: Callable[[str, int], None], name: str
) -> None:
    limit(name, 2)
    for number in range(2):
        MAKE[name](empty, number)
    with pytest.raises(SmnbError, match="2"):
        MAKE[name](empty, 9)


@pytest.mark.parametrize("name", MAKE)
def test_nothing_is_refused_where_the_limit_is_off(
    empty: Session, limit: Callable[[str, int], None], name: str
) -> None:
    limit(name, 0)
    for number in range(6):
        MAKE[name](empty, number)


@pytest.mark.databases
@pytest.mark.parametrize("name", ["sources", "drafts"])
def test_those_who_come_at_once_are_counted(
    empty: Session, limit: Callable[[str, int], None], name: str
) -> None:
    limit(name, 2)
    made = together(4, lambda number: MAKE[name](empty, number))
    assert sum(isinstance(each, SmnbError) for each in made) == 2


def test_as_many_as_there_may_be() -> None:
    assert [rate_limits.reached(number, 2) for number in (1, 2, 3)] == [False, True, True]
    assert not rate_limits.reached(10**6, 0)
