"""The session's figures with the state of its broadcast: what overview, API and pages read."""

from __future__ import annotations

from typing import Any

from broadcast import orchestrator
from sessions_app.events import recorder
from sessions_app.models import Session, SessionStats
from sessions_app.money import decimal_string


def figures(session: Session) -> recorder.FiguresPayload:
    """The counters as they stand in the database now."""
    return recorder.figures(SessionStats.objects.get(session=session))


def stats(session: Session) -> dict[str, Any]:
    """The answer of ``GET …/stats``: one row of counters and one run, whatever the session's size."""
    found = figures(session)
    air = orchestrator.latest_payload(session)
    stories = found["story_count"]
    return {
        **{key: found[key] for key in (
            "story_count", "total_tokens", "input_tokens", "output_tokens", "cache_read_tokens",
            "cache_write_tokens", "last_story_at", "feed", "queue",
        )},
        "total_cost": decimal_string(found["cost_lower"]),
        "cache_saved": decimal_string(found["cache_saved"]),
        "cost_bounds": {
            "lower": decimal_string(found["cost_lower"]),
            "upper": decimal_string(found["cost_upper"]),
        },
        "avg_story_length": round(found["words"] / stories, 1) if stories else 0,
        "total_duration": found["narration_seconds"],
        "unpriced_calls": found["unpriced"],
        "on_air_seconds": found["on_air_seconds"],
        "message_count": found["messages"],
        "broadcast_state": air["state"],
        "hold": air["hold"],
    }  # fmt: skip
