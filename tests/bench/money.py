"""What an aired story costs, against the two calls a story that the ancestor of this system made.

Its two calls read 366 to 926 tokens and wrote 195, counted on the recording's posts by the stand-in:
each call held the post, so that a post's tokens are read twice. Ours are all calls of a broadcast
with a model: the narrations with what they are told of the programme, its summaries and its recap.
Both are priced alike, and no cache is counted: what narrations share is shorter than any model caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stories.sources.recording import RecordedPost, recording
from stories.usage import pricing
from stories.usage.types import Counts
from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, eventually, running
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.anthropic_compose import tokens_of

MODEL = "claude-haiku-4-5"
STORIES = 70
LEAST, MOST, WRITTEN = 366, 926, 195
SHORTEST = 20  # tokens of the recording's shortest post
MOST_RATIO = 0.75


def measure(folder: Path) -> Iterator[Figure]:
    with (
        AnthropicStandIn() as api,
        running(
            folder / "var",
            ANTHROPIC_API_KEY="key-of-the-bench",
            ANTHROPIC_BASE_URL=api.url,
            SMNB_POLL_SECONDS="0.5",
        ) as studio,
    ):
        session = _broadcast(studio)
        usage = studio.items(session, "usage")
        assert len(usage) == len(api.served), "a call was served that is not booked"
        told = {story["post"]["external_id"] for story in studio.items(session, "stories")}
        theirs = [_ancestor(post) for post in recording()["posts"] if post["id"] in told]
        yield _figure(api.total, theirs, usage)


def _broadcast(studio: Studio) -> str:
    """One broadcast by the model, to its recap."""
    session = studio.create("Money", {"kind": "recording", "locator": "demo"}, pace=0, model=MODEL)
    assert studio.command(session, "start").status == 202
    eventually("stories are told", lambda: _told(studio, session) >= STORIES, 300)
    studio.command(session, "stop")
    studio.wait_state(session, "idle")
    eventually("the recap is filed", lambda: "recap" in _operations(studio, session))
    return session


def _told(studio: Studio, session: str) -> int:
    return int(studio.stats(session)["story_count"])


def _operations(studio: Studio, session: str) -> set[str]:
    closed = (row for row in studio.items(session, "usage") if row["state"] == "final")
    return {row["operation"] for row in closed}


def _ancestor(post: RecordedPost) -> Counts:
    """The two calls about one post; the longest posts were cut."""
    tokens = tokens_of(post["title"] + post["body"])
    return Counts(input=min(MOST, LEAST + 2 * (tokens - SHORTEST)), output=WRITTEN)


def _figure(ours: Counts, theirs: list[Counts], usage: list[dict[str, Any]]) -> Figure:
    number = len(theirs)
    two_calls = sum(theirs, Counts())
    mine, other = (pricing.price(MODEL, counts).cost for counts in (ours, two_calls))
    calls = {name: sum(row["operation"] == name for row in usage) for name in ("compact", "recap")}
    counting = (
        f"of {number} stories: {ours.input / number:.0f} in and {ours.output / number:.0f} out "
        f"a story, {calls['compact']} summaries and {calls['recap']} recap included; two calls "
        f"{two_calls.input / number:.0f} in and {WRITTEN} out"
    )
    return Figure(f"money per aired story ({counting})", mine / other, MOST_RATIO, "of two calls")
