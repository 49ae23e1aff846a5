"""The bundled recording: invented posts that keep a newsroom going with no keys and no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from sessions_app.errors import Invalid
from stories.text import canonical_url, clean_line, clean_text
from stories.types import Fetched, FetchedPost

FIRST_BATCH = 6
LATER_BATCH = 2
ENDED = "The recording has been played to its end. Add a source of your own to go on."
_NEWEST_IS_OLD = timedelta(minutes=1)


class RecordedPost(TypedDict):
    """One post of recording.json; ``at`` is in minutes from the start of the recording."""

    id: str
    at: int
    section: str
    title: str
    body: str
    author: str
    url: str
    score: int
    comments: int


class Recording(TypedDict):
    """The file: which posts repeat or follow up which earlier one is noted for the tests."""

    notice: str
    duplicates: dict[str, str]
    follow_ups: dict[str, str]
    posts: list[RecordedPost]


@cache
def recording() -> Recording:
    """The whole recording in the order in which it is played."""
    loaded: Recording = json.loads(Path(__file__).with_name("recording.json").read_text("utf-8"))
    return loaded


def _utc_now() -> datetime:
    return datetime.now(UTC)


class RecordingSource:
    """Plays the recording batch by batch; the same cursor always brings the same posts."""

    kind = "recording"

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """There is one recording, "demo"; anything but its names or nothing is Invalid."""
        if locator.strip().lower() not in ("", "demo", "recording", "bundled", "default"):
            raise Invalid('There is only one recording. Leave the field empty or write "demo".')
        return "demo"

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        """Six posts at first, two at each later poll, at the end a notice and nothing more."""
        posts = recording()["posts"]
        start = _position(cursor, len(posts))
        end = min(start + (LATER_BATCH if start else FIRST_BATCH), len(posts))
        exhausted = end == len(posts)
        return Fetched(
            posts=self._dated(posts[start:end]),
            cursor={"next": end},
            notice=ENDED if exhausted else "",
            exhausted=exhausted,
        )

    def _dated(self, batch: list[RecordedPost]) -> list[FetchedPost]:
        newest = self._now() - _NEWEST_IS_OLD
        last = batch[-1]["at"] if batch else 0
        return [_fetched(post, newest - timedelta(minutes=last - post["at"])) for post in batch]


def _position(cursor: dict[str, Any], length: int) -> int:
    position = cursor.get("next", 0)
    return min(max(position, 0), length) if isinstance(position, int) else 0


def _fetched(post: RecordedPost, published_at: datetime) -> FetchedPost:
    return FetchedPost(
        external_id=post["id"],
        title=clean_line(post["title"], 500),
        body=clean_text(post["body"], 20_000),
        author=clean_line(post["author"], 100),
        url=canonical_url(post["url"]),
        score=post["score"],
        comments=post["comments"],
        published_at=published_at,
    )
