"""Boards: a keyword is on one board at most, in any spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessions_app import commands
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session, SessionEvent
from stories.drafting import boards
from stories.models import BoardKeyword

pytestmark = pytest.mark.django_db(transaction=True)


def run(session: Session, name: str, **data: Any) -> BoardKeyword:
    found = commands.run(f"board.{name}", session.owner, session, data)
    assert isinstance(found, BoardKeyword)
    return found


def events(session: Session) -> list[str]:
    rows = SessionEvent.objects.filter(session=session, type=boards.CHANGED).order_by("seq")
    return [row.payload["change"] for row in rows]


def on(session: Session, board: str) -> list[str]:
    return [
        keyword.text
        for each in boards.of_session(session)
        if each["name"] == board
        for keyword in each["keywords"]
    ]


def test_a_keyword_is_put_on_a_board_tidied(session: Session) -> None:
    run(session, "add", text="  tidal   power ")
    assert on(session, "ideas") == ["tidal power"]
    assert events(session) == ["added"]


def test_a_keyword_moves_to_the_top_of_another_board(session: Session) -> None:
    run(session, "add", text="trams", board="research")
    ferry = run(session, "add", text="ferry")
    run(session, "move", keyword=ferry.pk, board="research")
    assert on(session, "ideas") == []
    assert on(session, "research") == ["ferry", "trams"]
    assert events(session) == ["added", "added", "moved"]


def test_a_move_to_the_same_board_says_nothing(session: Session) -> None:
    ferry = run(session, "add", text="ferry")
    run(session, "move", keyword=ferry.pk, board="ideas")
    assert events(session) == ["added"]


def test_a_keyword_is_removed(session: Session) -> None:
    ferry = run(session, "add", text="ferry")
    run(session, "remove", keyword=ferry.pk)
    assert not BoardKeyword.objects.exists()
    assert events(session) == ["added", "removed"]


def test_the_same_keyword_is_refused_with_its_board(session: Session) -> None:
    run(session, "add", text="Ferry", board="archive")
    with pytest.raises(Conflict, match="on the board Archive"):
        run(session, "add", text="fERRY")


@pytest.mark.databases
@pytest.mark.parametrize(("first", "again"), [("ÄPFEL", "äpfel"), ("Straße", "STRASSE")])
def test_letters_beyond_ascii_have_their_case_too(session: Session, first: str, again: str) -> None:
    run(session, "add", text=first, board="research")
    assert boards.board_of(session, again) == "Research"
    with pytest.raises(Conflict, match="on the board Research"):
        run(session, "add", text=again)


@pytest.mark.parametrize("text", ["", "   ", "!?", "x" * 81])
def test_what_is_no_keyword_is_refused(session: Session, text: str) -> None:
    with pytest.raises(Invalid):
        run(session, "add", text=text)


def test_a_board_that_does_not_exist_is_refused(session: Session) -> None:
    with pytest.raises(Invalid):
        run(session, "add", text="ferry", board="attic")


def test_full_boards_take_no_more(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "MOST", 1)
    run(session, "add", text="ferry")
    with pytest.raises(Conflict, match="1 keywords"):
        run(session, "add", text="tram")


@pytest.mark.parametrize("name", ["move", "remove"])
def test_a_keyword_of_another_session_does_not_exist(
    session: Session, make_session: Callable[..., Session], name: str
) -> None:
    ferry = run(make_session("Evening"), "add", text="ferry")
    more = {"board": "ideas"} if name == "move" else {}
    with pytest.raises(NotFound):
        run(session, name, keyword=ferry.pk, **more)


def test_the_board_of_a_keyword_is_found_in_any_spelling(session: Session) -> None:
    run(session, "add", text="Port Elowen", board="trending")
    assert boards.board_of(session, "port elowen") == "Trending"
    assert boards.board_of(session, "Tavish Reach") == ""
