"""The boards of the drafting page: keywords that people put aside for what is written next."""

from __future__ import annotations

from typing import Any, Literal

from django.db import IntegrityError, transaction
from pydantic import Field

from sessions_app import commands
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import BoardKeyword

Board = BoardKeyword.Board

CHANGED = recorder.declare("board.changed", "A keyword was put on a board, moved or taken off.")
MOST = 200  # keywords of a session
MEANINGS = {
    Board.IDEAS: "worth a thought",
    Board.RESEARCH: "to be looked into",
    Board.TRENDING: "to be told soon",
    Board.ARCHIVE: "done, or not now",
}

BoardName = Literal["ideas", "research", "trending", "archive"]


class NewKeyword(Payload):
    text: str = Field(min_length=1, max_length=80)
    board: BoardName = "ideas"


class Move(Payload):
    keyword: int
    board: BoardName


class KeywordId(Payload):
    keyword: int


def add(session: Session, text: str, board: str) -> BoardKeyword:
    """Put a keyword on a board; Conflict when the session has it already, in any spelling."""
    tidy = " ".join(text.split())
    if not any(char.isalnum() for char in tidy):
        raise Invalid("A keyword needs a letter or a number.")
    mine = BoardKeyword.objects.filter(session=session)
    if mine.count() >= MOST:
        raise Conflict(f"The boards hold {MOST} keywords, which is all they can. Remove some.")
    if there := _same(session, tidy):
        raise Conflict(f"“{there.text}” is on the board {there.get_board_display()} already.")
    try:
        with transaction.atomic():
            keyword = BoardKeyword.objects.create(session=session, text=tidy, board=board)
            return _changed(keyword, "added")
    except IntegrityError:
        raise Conflict(f"“{tidy}” is on a board already.") from None


def move(session: Session, keyword_id: int, board: str) -> BoardKeyword:
    """Put a keyword onto another board, on top; where it is there already, nothing happens."""
    with transaction.atomic():
        keyword = _get(session, keyword_id)
        if keyword.board == board:
            return keyword
        keyword.board = board
        keyword.save(update_fields=["board", "moved_at"])
        return _changed(keyword, "moved")


def remove(session: Session, keyword_id: int) -> BoardKeyword:
    with transaction.atomic():
        keyword = _get(session, keyword_id)
        BoardKeyword.objects.filter(pk=keyword.pk).delete()
        return _changed(keyword, "removed")


def of_session(session: Session) -> list[dict[str, Any]]:
    """The four boards with their keywords, latest first."""
    keywords = list(BoardKeyword.objects.filter(session=session)[:MOST])
    return [
        {
            "name": board.value,
            "label": board.label,
            "meaning": MEANINGS[board],
            "keywords": [each for each in keywords if each.board == board],
        }
        for board in Board
    ]


def texts(session: Session) -> set[str]:
    """What stands on any board, folded for comparison."""
    kept = BoardKeyword.objects.filter(session=session).values_list("text", flat=True)
    return {text.casefold() for text in kept[:MOST]}


def board_of(session: Session, text: str) -> str:
    """The name of the board that a keyword stands on, in any spelling; "" for none."""
    found = _same(session, text[:80])
    return found.get_board_display() if found else ""


def _same(session: Session, text: str) -> BoardKeyword | None:
    """The keyword in any spelling, compared here: SQLite knows the case of ASCII alone."""
    folded = text.casefold()
    mine = BoardKeyword.objects.filter(session=session)[:MOST]
    return next((each for each in mine if each.text.casefold() == folded), None)


def payload(keyword: BoardKeyword) -> dict[str, Any]:
    return {"id": keyword.pk, "text": keyword.text, "board": keyword.board}


def _get(session: Session, keyword_id: int) -> BoardKeyword:
    found = BoardKeyword.objects.select_for_update().filter(session=session, pk=keyword_id).first()
    if found is None:
        raise NotFound("This keyword is on no board of this session.")
    return found


def _changed(keyword: BoardKeyword, change: str) -> BoardKeyword:
    recorder.record(keyword.session, CHANGED, {"keyword": payload(keyword), "change": change})
    return keyword


def _add(call: Call) -> BoardKeyword:
    return add(call.target, call.payload.text, call.payload.board)


def _move(call: Call) -> BoardKeyword:
    return move(call.target, call.payload.keyword, call.payload.board)


def _remove(call: Call) -> BoardKeyword:
    return remove(call.target, call.payload.keyword)


def register() -> None:
    for name, payload_type, function, meaning in (
        ("board.add", NewKeyword, _add, "Put a keyword on a board."),
        ("board.move", Move, _move, "Move a keyword to another board."),
        ("board.remove", KeywordId, _remove, "Take a keyword off the boards."),
    ):
        commands.register(name, payload_type, function, meaning)
