"""The figures of a session with the state of its broadcast, as the overview and the API show them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.orchestrator import HoldPayload
from sessions_app.events import recorder, statistics
from sessions_app.models import Session, SessionStats
from sessions_app.money import decimal_string


class CostBounds(TypedDict):
    """The bounds of a cost that is not known exactly."""

    lower: Annotated[str, Field(description="Lower bound in USD, as a decimal string.")]
    upper: Annotated[str, Field(description="Upper bound in USD, as a decimal string.")]


class StatsPayload(TypedDict):
    """The figures of a session; they no longer change while it is idle."""

    story_count: Annotated[int, Field(description="Number of stories written.")]
    total_tokens: Annotated[int, Field(description="Input and output tokens.")]
    input_tokens: Annotated[int, Field(description="Tokens sent to models, cache not counted.")]
    output_tokens: Annotated[int, Field(description="Tokens that models wrote.")]
    cache_read_tokens: Annotated[int, Field(description="Tokens read from a provider's cache.")]
    cache_write_tokens: Annotated[int, Field(description="Tokens written to a provider's cache.")]
    last_story_at: Annotated[
        str | None, Field(description="Time of the latest story, ISO 8601 in UTC, or null.")
    ]
    feed: Annotated[int, Field(description="Number of posts read from the sources.")]
    queue: Annotated[int, Field(description="Number of posts queued and held.")]
    total_cost: Annotated[str, Field(description="Cost in USD; equals the lower bound.")]
    cache_saved: Annotated[
        str, Field(description="Saved by caches in USD; negative where they cost more.")
    ]
    cost_bounds: Annotated[CostBounds, Field(description="Bounds of the cost.")]
    avg_story_length: Annotated[float, Field(description="Mean length of a story in words.")]
    total_duration: Annotated[int, Field(description="Length of all stories in seconds.")]
    unpriced_calls: Annotated[int, Field(description="Number of calls without a known price.")]
    on_air_seconds: Annotated[int, Field(description="Time on air of finished runs in seconds.")]
    message_count: Annotated[int, Field(description="Number of messages in the session.")]
    sentences_dropped: Annotated[
        int, Field(description="Number of sentences that failed the check against their sources.")
    ]
    ungrounded_aired: Annotated[
        int, Field(description="Number of sentences aired without a passage; expected to be 0.")
    ]
    broadcast_state: Annotated[
        str,
        Field(
            description="idle, initializing, ready, starting, live, stopping or error. "
            "Idle means at rest: no open step or call is left."
        ),
    ]
    hold: Annotated[HoldPayload | None, Field(description="Why narration waits, or null.")]


def figures(session: Session) -> statistics.FiguresPayload:
    """Returns the counters of a session as the database has them now."""
    return recorder.figures(SessionStats.objects.get(session=session))


def stats(session: Session) -> StatsPayload:
    """Returns the figures for the API; reads two rows, whatever the size of the session."""
    counters = figures(session)
    air = orchestrator.latest_payload(session)
    stories = counters["story_count"]
    return {
        "story_count": stories,
        "total_tokens": counters["total_tokens"],
        "input_tokens": counters["input_tokens"],
        "output_tokens": counters["output_tokens"],
        "cache_read_tokens": counters["cache_read_tokens"],
        "cache_write_tokens": counters["cache_write_tokens"],
        "last_story_at": counters["last_story_at"],
        "feed": counters["feed"],
        "queue": counters["queue"],
        "total_cost": decimal_string(counters["cost_lower"]),
        "cache_saved": decimal_string(counters["cache_saved"]),
        "cost_bounds": {
            "lower": decimal_string(counters["cost_lower"]),
            "upper": decimal_string(counters["cost_upper"]),
        },
        "avg_story_length": round(counters["words"] / stories, 1) if stories else 0,
        "total_duration": counters["narration_seconds"],
        "unpriced_calls": counters["unpriced"],
        "on_air_seconds": counters["on_air_seconds"],
        "message_count": counters["messages"],
        "sentences_dropped": counters["sentences_dropped"],
        "ungrounded_aired": counters["ungrounded_aired"],
        "broadcast_state": air["state"],
        "hold": air["hold"],
    }
