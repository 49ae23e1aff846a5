"""``GET …/stats`` at 100 stories and at 100,000, in pairs, in one run."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, running

FEW, MANY = 100, 100_000
PAIRS = 200


def measure(folder: Path) -> Iterator[Figure]:
    with running(folder / "var") as studio:
        few, many = studio.create("Few"), studio.create("Many")
        fill(studio, few, FEW)
        fill(studio, many, MANY)
        assert studio.stats(many)["story_count"] == MANY
        for session in (few, many):
            _timed(studio, session)
        pairs = [(_timed(studio, few), _timed(studio, many)) for _ in range(PAIRS)]
    ratio = median(b for _, b in pairs) / median(a for a, _ in pairs)
    yield Figure(f"stats at {MANY:,} stories against {FEW}", ratio, 1.3, "times")


def _timed(studio: Studio, session: str) -> float:
    begun = time.perf_counter()
    studio.stats(session)
    return time.perf_counter() - begun


def fill(studio: Studio, session: str, number: int) -> None:
    """Write stories as adopted ones are: rows and counters in one transaction."""
    key = session.replace("-", "")
    row = (
        key,
        "legacy",
        "aired",
        "T",
        "N",
        "",
        "analysis",
        "low",
        "host",
        "neutral",
        "[]",
        "",
        "",
        10,
        4,
        "2026-01-01 00:00:00",
        "2026-01-01 00:00:00",
        "",
        0,
        1,
        "",
    )
    names = (
        "session_id, origin, state, title, narrative, summary, tone, priority, agent_type, "
        "sentiment, topics, model, note, word_count, duration, created_at, completed_at, "
        "relation, cuts_in, version, correction"
    )
    marks = ", ".join("?" * len(row))
    with sqlite3.connect(studio.data / "smnb.sqlite3", timeout=20) as database:
        database.executemany(
            f"INSERT INTO stories_story ({names}) VALUES ({marks})", (row for _ in range(number))
        )
        database.execute(
            "UPDATE sessions_app_sessionstats SET story_count = ?, words = ? WHERE session_id = ?",
            (number, 10 * number, key),
        )
