"""The figures of a session with the state of its broadcast, and the distribution of stories over sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, Min, OuterRef, Subquery, Sum
from pydantic import Field
from typing_extensions import TypedDict

from broadcast.models import Broadcast
from broadcast.orchestrator import HoldPayload
from broadcast.states import State
from sessions_app.errors import Forbidden
from sessions_app.events import recorder, statistics
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session, SessionStats
from sessions_app.money import decimal_string
from stories.models import QuarantinedRecord, Story

SHOWN = 100  # sessions in the distribution on the page; the command shows all
GROUPS = 50  # of quarantined records


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


def stats(session: Session, read: SessionStats | None = None) -> StatsPayload:
    """Returns the figures for the API; ``read`` are counters that were read at this moment."""
    counters = figures(session) if read is None else recorder.figures(read)
    # Only what is shown of the latest run.
    runs = Broadcast.objects.filter(session=session).order_by("-number")
    state, hold = runs.values_list("state", "hold").first() or (str(State.IDLE), None)
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
        "broadcast_state": state,
        "hold": hold,
    }


class SessionShare(TypedDict):
    """A session with its number of stories and their share (0 to 1) of all stories."""

    id: str
    name: str
    owner: str
    type: str
    stories: int
    share: float
    first: str | None
    last: str | None


class QuarantineGroup(TypedDict):
    """Waiting records of one kind and reason; times are those of the first and the last."""

    old_session: str
    reason: str
    kind: str
    records: int
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Sessions by their number of stories, largest first; ``others`` counts those not in ``rows``."""

    stories: int
    sessions: int
    rows: list[SessionShare]
    others: int
    groups: list[QuarantineGroup]
    records: int


def distribution(most: int | None = SHOWN) -> Distribution:
    """Returns how stories are distributed over sessions, and the groups in quarantine.

    Reads counters and indexes only, so it costs the same with any number of stories.
    """
    total = SessionStats.objects.aggregate(stories=Sum("story_count", default=0), all=Count("pk"))
    # Subqueries, because each takes one entry of the index; a join would read every story.
    of_session = Story.objects.filter(session=OuterRef("pk")).values("created_at")
    sessions = Session.objects.annotate(
        stories=F("stats__story_count"),
        first=Subquery(of_session.order_by("created_at", "id")[:1]),
        last=Subquery(of_session.order_by("-created_at", "-id")[:1]),
        owned_by=F("owner__username"),
    ).order_by("-stories", "created_at")
    rows: list[SessionShare] = [
        {
            "id": str(row["id"]),
            "name": row["name"],
            "owner": row["owned_by"],
            "type": row["type"],
            "stories": row["stories"] or 0,
            "share": (row["stories"] or 0) / total["stories"] if total["stories"] else 0.0,
            "first": timestamp(row["first"]),
            "last": timestamp(row["last"]),
        }
        for row in sessions.values("id", "name", "owned_by", "type", "stories", "first", "last")[
            :most
        ]
    ]
    groups = quarantine_groups()
    return Distribution(
        stories=total["stories"],
        sessions=total["all"],
        rows=rows,
        others=total["all"] - len(rows),
        groups=groups if most is None else groups[:GROUPS],
        records=sum(group["records"] for group in groups),
    )


def quarantine_groups() -> list[QuarantineGroup]:
    """Returns the groups of waiting records, largest first."""
    waiting = QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)
    groups = waiting.values("old_session", "reason", "kind").annotate(
        records=Count("pk"), first=Min("created_at"), last=Max("created_at")
    )
    return [
        {
            "old_session": group["old_session"],
            "reason": group["reason"],
            "kind": group["kind"],
            "records": group["records"],
            "first": timestamp(group["first"]),
            "last": timestamp(group["last"]),
        }
        for group in groups.order_by("-records", "old_session", "reason")
    ]


def distribution_for_staff(user: User) -> Distribution:
    if not (user.is_staff and user.has_perm("sessions_app.view_session")):
        raise Forbidden("Only the staff can see all users' sessions.")
    return distribution()
