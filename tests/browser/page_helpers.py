"""What a browser's click has really changed, read from the studio's database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any
from uuid import UUID

from playwright.sync_api import Page

from tests.browser.conftest import RECORDING
from tests.endtoend.studio_process import Studio, eventually

Row = dict[str, Any]

SLOW = 60  # words a minute: a story stays on air for the length of a test


def rows(studio: Studio, query: str, *values: object) -> list[Row]:
    """The rows of a query, each as a mapping by column."""
    address = f"file:{studio.data / 'smnb.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=10)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query, values)]


def of_session(studio: Studio, table: str, session: str) -> list[Row]:
    """A session's rows of one table, the oldest first."""
    query = f'SELECT * FROM "{table}" WHERE session_id = ? ORDER BY id'
    return rows(studio, query, UUID(session).hex)


def one(studio: Studio, table: str, key: object) -> Row:
    """The row with this id."""
    [found] = rows(studio, f'SELECT * FROM "{table}" WHERE id = ?', key)
    return found


def rundown(studio: Studio, session: str) -> list[int]:
    """The ids of the waiting posts in the order in which they are told."""
    query = (
        "SELECT id FROM stories_sourcepost WHERE session_id = ? AND state = 'queued'"
        " ORDER BY pinned DESC, rank DESC, id"
    )
    return [row["id"] for row in rows(studio, query, UUID(session).hex)]


def session_of(studio: Studio, name: str) -> Row:
    """The session of this name as the API describes it."""
    found = [each for each in studio.get("/sessions?limit=200")["items"] if each["name"] == name]
    assert len(found) == 1, name
    return dict(found[0])


def live(studio: Studio, name: str, **settings: Any) -> str:
    """A session of the recording that is on air and has posts waiting; returns its id."""
    wanted = {"pace": SLOW, "model": "extractive", **settings}
    session = studio.create(name, RECORDING, **wanted)
    studio.command(session, "start")
    eventually("posts wait", lambda: len(rundown(studio, session)) > 5)
    return session


def off_air(studio: Studio, session: str) -> None:
    studio.command(session, "stop")
    studio.wait_state(session, "idle")


def to_copy(page: Page) -> str:
    """What the page has put on the clipboard."""
    return str(page.evaluate("navigator.clipboard.readText()"))
