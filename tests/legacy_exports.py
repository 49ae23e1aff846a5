"""Old exports to try an import on: small ones by hand, and a large one with every kind of damage."""

from __future__ import annotations

import json
import random
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.apps import apps

Row = dict[str, Any]
Lines = Iterable[Row | bytes]
START = 1_759_241_722_513.942  # ms: 30 September 2025


def session(number: int = 1, **changes: Any) -> Row:
    """A row of ``sessions`` as the old system wrote it."""
    return _with(
        {
            "_id": f"k{number:031d}",
            "_creationTime": START + number,
            "userId": "jd7a1s3f5g7h9k2m",
            "name": f"Session {number}",
            "status": "active",
            "settings": {
                "model": "claude-3-sonnet",
                "temperature": 0.7,
                "maxTokens": 2048.0,
                "topP": 1.0,
                "frequencyPenalty": 0.0,
                "presencePenalty": 0.0,
                "controlMode": "balanced",
            },
            "broadcastState": "stopping",
            "isLive": False,
        },
        changes,
    )


def story(number: int = 1, **changes: Any) -> Row:
    """A row of ``story_history``; it belongs to session 1."""
    at = START + 60_000.0 * number
    return _with(
        {
            "_id": f"m{number:031d}",
            "_creationTime": at + 17,
            "story_id": f"host-narration-{number}",
            "narrative": f"The harbor reopened on day {number}. The council said so.",
            "title": f"Harbor reopens {number}",
            "tone": "developing",
            "priority": "medium",
            "agent_type": "host",
            "duration": 16.0,
            "word_count": 52.0,
            "sentiment": "positive",
            "topics": ["Economy"],
            "created_at": at,
            "completed_at": at - 19,
            "session_id": session()["_id"],
            "original_item": {
                "title": "Harbor reopens",
                "author": "some_user",
                "subreddit": "news",
                "url": "https://example.org/harbor",
            },
        },
        changes,
    )


def usage(number: int = 1, **changes: Any) -> Row:
    """A row of ``token_usage``; it belongs to session 1."""
    at = START + 60_000.0 * number
    return _with(
        {
            "_id": f"n{number:031d}",
            "_creationTime": at + 11.75,
            "request_id": f"generate-{number}",
            "timestamp": at,
            "model": "claude-3-5-haiku-20241022",
            "action": "generate",
            "input_tokens": 181.0,
            "output_tokens": 104.0,
            "total_tokens": 285.0,
            "estimated_cost": 0.000701,
            "request_type": "host",
            "duration": 1990.0,
            "success": True,
            "session_id": session()["_id"],
            "has_tools": False,
        },
        changes,
    )


def _with(row: Row, changes: Row) -> Row:
    """``changes`` in the row; what is ``...`` there is left out."""
    return {key: each for key, each in {**row, **changes}.items() if each is not ...}


def all_rows() -> dict[str, list[Row]]:
    """Every row of every table, to see whether anything changed."""
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values())
        for model in apps.get_models()
    }


def export(path: Path, folder: str = "", **tables: Lines) -> Path:
    """A zip as the old system made it, with these tables; a line may be given as bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{folder}_tables/documents.jsonl", '{"name":"sessions"}\n')
        for table, rows in tables.items():
            file.writestr(f"{folder}{table}/generated_schema.jsonl", '"any"\n')
            with file.open(f"{folder}{table}/documents.jsonl", "w") as member:
                for row in rows:
                    line = row if isinstance(row, bytes) else json.dumps(row).encode()
                    member.write(line + b"\n")
    return path


# What may be wrong with a line; each makes other bytes of it.
DAMAGES: dict[str, Callable[[Row], bytes]] = {
    "cut short": lambda row: json.dumps(row).encode()[:-20],
    "no object": lambda row: json.dumps([row]).encode(),
    "not unicode": lambda row: b"\xff\xfe" + json.dumps(row).encode(),
    "wrong type": lambda row: _line(row, _creationTime="yesterday"),
    "a number as an object": lambda row: _line(row, _creationTime={"$float": "NaN"}),
    "not finite": lambda row: json.dumps({**row, "extra": float("nan")}).encode(),
    "without id": lambda row: _line(row, _id=None),
    "raw NUL": lambda row: json.dumps(row).encode().replace(b'"_id"', b'"_id\x00"'),
    "far in the future": lambda row: _line(row, _creationTime=9e15),
    "half a character": lambda row: json.dumps({**row, "extra": "\ud800"}).encode(),
}
ORPHANS = (
    None,
    ...,
    "",
    "host-session-1759241866123-k3j9x2m1q",
    "session-1759241866123",
    "session-1759241866123-a1b2c3",
    "k" + "z" * 31,
    "My session",
    "nul\0inside",
)


def _line(row: Row, **changes: Any) -> bytes:
    return json.dumps({**row, **changes}).encode()


class Damaged:
    """A large export: ``rows`` lines over ``sessions`` sessions, one in ten an orphan, one in
    twenty damaged, one in a hundred a duplicate; ``expected`` counts them while it is written.

    A session is on air for some hours, two of them at a time.
    """

    def __init__(self, rows: int, sessions: int) -> None:
        self._rows, self._sessions = rows, sessions
        self._told = (rows - sessions) // 2
        self._dice = random.Random(7)
        self.expected: Counter[str] = Counter()

    def write(self, path: Path) -> Path:
        told = self._told
        return export(
            path,
            sessions=self._lines(map(session, range(1, self._sessions + 1)), whole=True),
            story_history=self._lines(map(self._story, range(told))),
            token_usage=self._lines(map(self._usage, range(self._rows - self._sessions - told))),
        )

    def _story(self, number: int) -> Row:
        words = " ".join(self._dice.choices(_WORDS, k=60))
        return story(number, narrative=f"{words.capitalize()}.", **self._home(number))

    def _usage(self, number: int) -> Row:
        model = self._dice.choice(("claude-3-5-haiku-20241022", "claude-3-sonnet", "unheard-of"))
        return usage(number, model=model, **self._home(number))

    def _home(self, number: int) -> Row:
        if self._dice.random() < 0.1:
            return {"session_id": self._dice.choice(ORPHANS)}
        on_air = 1 + number * self._sessions // (self._told + 1)
        at = min(on_air + self._dice.randint(0, 1), self._sessions)
        return {"session_id": session(at)["_id"]}

    def _lines(self, rows: Iterator[Row], whole: bool = False) -> Iterator[Row | bytes]:
        """The rows, some of them damaged; of ``whole`` ones none is, so that they have children."""
        for row in rows:
            self.expected["read"] += 1
            chance = 1.0 if whole else self._dice.random()
            if chance < 0.05:
                self.expected["rejected"] += 1
                yield DAMAGES[self._dice.choice(list(DAMAGES))](row)
                continue
            orphan = "session_id" not in row or not str(row["session_id"]).startswith("k0")
            self.expected["quarantined" if orphan and not whole else "imported"] += 1
            yield row
            if chance < 0.06:
                self.expected["read"] += 1
                self.expected["rejected"] += 1
                yield row


_WORDS = [
    "tide",
    "ferry",
    "harbour",
    "bridge",
    "storm",
    "council",
    "tram",
    "comet",
    "turbine",
    "library",
    "bees",
    "walker",
    "market",
    "crane",
    "signal",
    "island",
    "winter",
    "lantern",
    "cannery",
    "of",
    "observatory",
    "the",
    "a",
    "and",
    "to",
    "in",
    "on",
    "for",
    "with",
    "said",
]
