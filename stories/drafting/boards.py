"""Keyword boards of the drafting page: keywords that people collect for later drafts and stories."""

from __future__ import annotations

from typing import Annotated, Literal

from django.db import IntegrityError, transaction
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import commands
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import BoardKeyword

Board = BoardKeyword.Board
BoardName = Literal["ideas", "research", "trending", "archive"]
MOST = 200  # keywords of a session
MEANINGS = {
    Board.IDEAS: "worth a thought",
    Board.RESEARCH: "to be looked into",
    Board.TRENDING: "to be published soon",
    Board.ARCHIVE: "done, or not now",
}


class BoardKeywordPayload(TypedDict):
    """A keyword on a board."""

    id: Annotated[int, Field(description="Id of the keyword.")]
    text: Annotated[str, Field(description="The keyword.")]
    board: Annotated[str, Field(description="ideas, research, trending or archive.")]


class BoardEvent(TypedDict):
    keyword: Annotated[BoardKeywordPayload, Field(description="The keyword after the change.")]
    change: Annotated[str, Field(description="added, moved or removed.")]


class BoardColumn(TypedDict):
    """A board as the page shows it."""

    name: str
    label: str
    meaning: str
    keywords: list[BoardKeyword]


CHANGED = recorder.declare(
    "board.changed", "A keyword was added to a board, moved or removed.", BoardEvent
)


class NewKeyword(Payload):
    """A keyword and its board."""

    text: str = Field(min_length=1, max_length=80)
    board: BoardName = "ideas"


class Move(Payload):
    """A keyword and the board it moves to."""

    keyword: int
    board: BoardName


class KeywordId(Payload):
    """The keyword to remove."""

    keyword: int


def add(session: Session, text: str, board: str) -> BoardKeyword:
    """Adds a keyword to a board; Conflict when the session has it already, in any spelling."""
    tidy = " ".join(text.split())
    if not any(char.isalnum() for char in tidy):
        raise Invalid("A keyword needs a letter or a number.")
    # Requests at the same time may exceed the limit by a few, which does no harm.
    if BoardKeyword.objects.filter(session=session).count() >= MOST:
        raise Conflict(f"The boards are full: they hold at most {MOST} keywords. Remove some.")
    if existing := _same(session, tidy):
        label = existing.get_board_display()
        raise Conflict(f"“{existing.text}” is on the board {label} already.")
    try:
        # In a transaction of its own, because PostgreSQL refuses further queries after a failed
        # one.
        with transaction.atomic():
            keyword = BoardKeyword.objects.create(session=session, text=tidy, board=board)
            _record(keyword, "added")
    except IntegrityError:
        # Another request added it after the check above.
        raise Conflict(f"“{tidy}” is on a board already.") from None
    return keyword


def move(session: Session, keyword_id: int, board: str) -> BoardKeyword:
    """Moves a keyword to the top of another board; a move to the same board changes nothing."""
    with transaction.atomic():
        # Locked, so that of two moves at once each records the board that it really left.
        keyword = _locked(session, keyword_id)
        if keyword.board != board:
            keyword.board = board
            keyword.save(update_fields=["board", "moved_at"])
            _record(keyword, "moved")
    return keyword


def remove(session: Session, keyword_id: int) -> BoardKeyword:
    """Removes a keyword from the boards."""
    with transaction.atomic():
        keyword = _locked(session, keyword_id)
        # The object keeps its id this way, which the event needs.
        BoardKeyword.objects.filter(pk=keyword.pk).delete()
        _record(keyword, "removed")
    return keyword


def of_session(session: Session) -> list[BoardColumn]:
    """Returns the four boards with their keywords, latest first."""
    # One query for all boards: a session has at most 200 keywords.
    keywords = list(BoardKeyword.objects.filter(session=session)[:MOST])
    return [
        {
            "name": board.value,
            "label": board.label,
            "meaning": MEANINGS[board],
            "keywords": [keyword for keyword in keywords if keyword.board == board],
        }
        for board in Board
    ]


def texts(session: Session) -> set[str]:
    """Returns all keywords on the boards, case-folded for comparison."""
    rows = BoardKeyword.objects.filter(session=session).values_list("text", flat=True)
    return {text.casefold() for text in rows[:MOST]}


def board_of(session: Session, text: str) -> str:
    """Returns the label of the board that has the keyword in any spelling, or "" for none."""
    keyword = _same(session, text[:80])
    return keyword.get_board_display() if keyword else ""


def payload(keyword: BoardKeyword) -> BoardKeywordPayload:
    return {"id": keyword.pk, "text": keyword.text, "board": keyword.board}


def _same(session: Session, text: str) -> BoardKeyword | None:
    # Compared here and not in the query, because SQLite folds the case of ASCII letters only.
    folded = text.casefold()
    rows = BoardKeyword.objects.filter(session=session)[:MOST]
    return next((row for row in rows if row.text.casefold() == folded), None)


def _locked(session: Session, keyword_id: int) -> BoardKeyword:
    rows = BoardKeyword.objects.select_for_update()
    keyword = rows.filter(session=session, pk=keyword_id).first()
    if keyword is None:
        raise NotFound("This keyword is not on a board of this session.")
    return keyword


def _record(keyword: BoardKeyword, change: str) -> None:
    recorder.record(keyword.session, CHANGED, {"keyword": payload(keyword), "change": change})


def run_add(call: Call) -> BoardKeyword:
    return add(call.target, call.payload.text, call.payload.board)


def run_move(call: Call) -> BoardKeyword:
    return move(call.target, call.payload.keyword, call.payload.board)


def run_remove(call: Call) -> BoardKeyword:
    return remove(call.target, call.payload.keyword)


ADD = Command("board.add", NewKeyword, run_add, "Adds a keyword to a board.")
MOVE = Command("board.move", Move, run_move, "Moves a keyword to another board.")
REMOVE = Command("board.remove", KeywordId, run_remove, "Removes a keyword from the boards.")


def register() -> None:
    commands.register(ADD)
    commands.register(MOVE)
    commands.register(REMOVE)
