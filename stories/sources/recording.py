"""The bundled recording: invented posts, so that a session works with no keys and no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from typing_extensions import TypedDict

from sessions_app.errors import Invalid
from stories.text.addresses import published_url
from stories.text.cleaning import clean_line, clean_text
from stories.types import Cursor, Fetched, FetchedPost

FIRST_BATCH = 6
LATER_BATCH = 2
ENDED = "All posts of the recording were read. Add a source, loop the recording, or stop."
NAMES = ("demo", "recording", "bundled", "default")
NEWEST_AGE = timedelta(minutes=1)
STEP = timedelta(milliseconds=100)  # at least between two posts


class RecordedPost(TypedDict):
    """One post of recording.json; ``at`` is in minutes from the start of the recording."""

    id: str
    at: int
    section: str
    title: str
    body: str
    author: str
    outlet: str
    url: str
    score: int
    comments: int


class Recording(TypedDict):
    """The file; ``duplicates`` and ``follow_ups`` map a post to an earlier one, for the tests."""

    notice: str
    duplicates: dict[str, str]
    follow_ups: dict[str, str]
    posts: list[RecordedPost]


@cache
def recording() -> Recording:
    """Returns the whole recording in the order in which it is played."""
    loaded: Recording = json.loads(Path(__file__).with_name("recording.json").read_text("utf-8"))
    return loaded


def began_again(cursor: Cursor) -> datetime | None:
    """Returns when the recording began again, or None in its first round."""
    since = cursor.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else None


def is_name(line: str) -> bool:
    """Whether a line typed by a person names the recording."""
    return line.lower() in ("demo", "recording")


class RecordingSource:
    """Plays the recording batch by batch; the same cursor always returns the same posts."""

    kind = "recording"

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """Returns "demo", the only recording; raises Invalid for any other name."""
        name = locator.strip().lower()
        if name and name not in NAMES:
            raise Invalid('There is only one recording. Leave the field empty or write "demo".')
        return "demo"

    def fetch(self, locator: str, sort: str, cursor: Cursor) -> Fetched:
        """Returns six posts first, then two at each poll, and at the end a notice only.

        A cursor with ``loop`` begins again at the end, with posts that have other ids.
        """
        posts = recording()["posts"]
        position, rounds = cursor.get("next", 0), cursor.get("round", 0)
        start = min(max(position, 0), len(posts)) if isinstance(position, int) else 0
        loops, number = cursor.get("loop") is True, rounds if isinstance(rounds, int) else 0
        again: Cursor = {
            name: cursor[name] for name in ("loop", "round", "since") if name in cursor
        }
        if loops and start == len(posts):
            start, number = 0, number + 1
            again = {"loop": True, "round": number, "since": self._now().isoformat()}
        end = min(start + (LATER_BATCH if start else FIRST_BATCH), len(posts))
        exhausted = end == len(posts) and not loops
        batch = posts[start:end]
        # The newest of the batch is a minute old, and the distances between the posts are as recorded,
        # but never so that a post comes before one of an earlier batch.
        newest = self._now() - NEWEST_AGE
        last = batch[-1]["at"] if batch else 0
        latest = cursor.get("latest", 0)
        times: list[datetime] = []
        for post in batch:
            at = newest - timedelta(minutes=last - post["at"])
            earliest = datetime.fromtimestamp(latest if isinstance(latest, float) else 0, UTC)
            times.append(max(at, earliest + STEP))
            latest = times[-1].timestamp()
        return Fetched(
            posts=[
                FetchedPost(
                    external_id=f"{post['id']}.{number}" if number else post["id"],
                    title=clean_line(post["title"], 500),
                    body=clean_text(post["body"], 20_000),
                    author=clean_line(post["author"], 100),
                    outlet=post["outlet"],
                    # Else the address would tell that the post was read before.
                    url=published_url(f"{post['url']}?round={number}" if number else post["url"]),
                    score=post["score"],
                    comments=post["comments"],
                    published_at=at,
                )
                for post, at in zip(batch, times, strict=True)
            ],
            cursor={"next": end, "latest": latest, **again},
            notice=ENDED if exhausted else "",
            exhausted=exhausted,
            since=began_again(again),
        )
