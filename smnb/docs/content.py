"""Template contexts of the docs pages: figures and tables read from the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from broadcast import airing, market, recaps, statistics
from broadcast.chat import conversation, plans
from broadcast.host import memory, worker
from broadcast.public.overlay import OPTIONS
from broadcast.public_links import PARTS
from broadcast.states import REAPER, TRANSITIONS
from broadcast.studio.ai_chain import queries
from broadcast.studio.artifacts import bundle
from broadcast.studio.drafting.forms import FEWEST_WORDS, MOST_WORDS
from sessions_app.ai_chain import status
from sessions_app.background import retention, steps
from sessions_app.commands import Command, all_commands
from sessions_app.events import archive
from sessions_app.events import statistics as events_statistics
from sessions_app.files import artifacts, verification
from sessions_app.models import Workspace
from sessions_app.models.session import DEFAULT_MODEL, DEFAULT_PACE
from sessions_app.realtime import checkpoints, consumers, hub
from sessions_app.session_logs import browser_errors
from sessions_app.web.api import MOST
from smnb.docs import reference, state_diagram
from stories import threads
from stories.drafting import commands as drafting
from stories.drafting import drafts, prompts, turns
from stories.market import quotes, scores
from stories.posts import interests, queue, scoring
from stories.types import FetchedPost


def of(slug: str) -> dict[str, Any]:
    """Returns the template context of one page."""
    context = _CONTEXTS.get(slug)
    return {"address": settings.PUBLIC_URL, **(context() if context else {})}


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the state table."""

    before: str
    cause: str
    after: str


def transitions() -> list[Transition]:
    return [
        Transition(str(before), str(cause), str(after))
        for (before, cause), after in TRANSITIONS.items()
    ]


def _sources() -> dict[str, Any]:
    return {
        "default_model": DEFAULT_MODEL,
        "poll_seconds": f"{settings.SMNB.poll_seconds:g}",
        "queue_limit": queue.QUEUE_LIMIT,
        "likeness_hours": _hours(queue.LIKENESS_WINDOW),
    }


def _going_live() -> dict[str, Any]:
    overdue = [(state, _spelled(rule.after), rule.sentence) for state, rule in REAPER.items()]
    return {
        "diagram": state_diagram.draw(),
        "transitions": transitions(),
        "overdue": overdue,
        "veto_seconds": int(airing.VETO_WINDOW.total_seconds()),
        "lead_seconds": int(worker.LEAD.total_seconds()),
    }


def _desk() -> dict[str, Any]:
    return {
        "thread_hours": _hours(threads.WINDOW),
        "shared_words": threads.SHARED_WORDS,
        "earlier": threads.MOST_EARLIER,
        "interest_points": round(scoring.INTEREST * 100),
        "interests": interests.MOST,
        "open_questions": settings.SMNB.limit_questions,
        "plan_commands": [(each.name, each.meaning) for each in _offered()],
    }


def _offered() -> list[Command[Any]]:
    """Returns the commands that a plan of the producer may contain."""
    return [each for each in all_commands() if each.name in plans.ALLOWED]


def _writers_room() -> dict[str, Any]:
    return {
        "most_keywords": drafting.MOST_KEYWORDS,
        "most_open": settings.SMNB.limit_drafts,
        "fewest_words": FEWEST_WORDS,
        "most_words": MOST_WORDS,
        "rounds": turns.ROUNDS,
        "most_turns": turns.MOST_TURNS,
        "milestones": drafts.MILESTONES,
        "idle_minutes": Workspace().draft_idle_minutes,
    }


def _statistics() -> dict[str, Any]:
    return {
        "weights": scoring.WEIGHTS,
        "interest": scoring.INTEREST,
        "high": scoring.HIGH,
        "medium": scoring.MEDIUM,
        "half_life": f"{scoring.HALF_LIFE_HOURS:g}",
        "neutral_engagement": scoring.NEUTRAL_ENGAGEMENT,
        "neutral_recency": scoring.NEUTRAL_RECENCY,
        "examples": examples(),
        "ageing": queue.AGEING_PER_DAY,
        "standard_pace": DEFAULT_PACE,
        "spans": [(size, statistics.POINTS, _span(size)) for size in events_statistics.SIZES],
        "shares": statistics.MOST_SHARES,
        "fine_days": _default_days("keep_fine_days"),
        **_market(),
    }


def _chain() -> dict[str, Any]:
    fresh = Workspace()
    return {
        "kinds": queries.KINDS,
        "most_tokens": memory.MOST_TOKENS,
        "most_summary": memory.MOST_SUMMARY,
        "titles": memory.TITLES,
        "compact_tokens": fresh.compact_tokens,
        "reset_operations": fresh.reset_operations,
        "transition_days": fresh.keep_transitions_days,
        "states": (status.SYNCED, status.OUT_OF_SYNC, status.EMPTY),
        "latest": status.LATEST,
    }


def _memory() -> dict[str, Any]:
    fresh = Workspace()
    return {
        "most_tokens": memory.MOST_TOKENS,
        "most_summary": memory.MOST_SUMMARY,
        "titles": memory.TITLES,
        "most_before": prompts.MOST_BEFORE,
        "exchanges": conversation.EXCHANGES,
        "exchange_tokens": conversation.MOST_TOKENS,
        "compact_tokens": fresh.compact_tokens,
        "reset_operations": fresh.reset_operations,
        "most_stories": memory.MOST_STORIES,
        "recap_stories": recaps.MOST_STORIES,
        "recap_keywords": recaps.KEYWORDS,
        "recaps_shown": recaps.SHOWN,
        "stream_minutes": checkpoints.LIFETIME // 60,
    }


def _market() -> dict[str, Any]:
    return {
        "market_parts": market.explained(),
        "buckets": scores.BUCKETS,
        "windows": scores.WINDOWS,
        "window": scores.WINDOW,
        "full_momentum": f"{scores.FULL_MOMENTUM:g}",
        "full_times": f"{2**scores.FULL_MOMENTUM:g}",
        "steady": scores.STEADY,
        "tiers": scores.TIERS,
        "least_posts": quotes.LEAST_POSTS,
    }


def _default_days(name: str) -> int:
    """Returns the default of a retention setting of the workspace, in days."""
    return int(getattr(Workspace(), name))


def _span(minutes: int) -> str:
    return _spelled(timedelta(minutes=minutes * statistics.POINTS))


def _spelled(length: timedelta) -> str:
    """Returns a duration in the largest unit of which it is a whole number."""
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size} {unit}s"
    return f"{seconds} seconds"


def _hours(length: timedelta) -> int:
    return int(length.total_seconds() // 3600)


@dataclass(frozen=True, slots=True)
class Example:
    """An example post and its score."""

    description: str
    engagement: float
    recency: float
    quality: float
    priority: float
    label: str


_BODY = "word " * 150
_EXAMPLE_POSTS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("900 votes, 200 comments, one hour old, 150 words", {"score": 900, "comments": 200}, 1),
    ("from a feed, one hour old, 150 words", {}, 1),
    ("from a feed, one day old, headline only", {"body": ""}, 24),
)


def examples() -> list[Example]:
    """Returns example posts, scored by the scoring code."""
    now = datetime.now(UTC)
    return [
        _example(description, now, now - timedelta(hours=hours), fields)
        for description, fields, hours in _EXAMPLE_POSTS
    ]


def _example(
    description: str, now: datetime, published: datetime, fields: dict[str, Any]
) -> Example:
    post = FetchedPost(
        external_id="1",
        title="Town council opens the new bridge today",
        url="https://example.org/bridge",
        published_at=published,
        **{"body": _BODY, **fields},
    )
    score = scoring.score(post, now)
    return Example(description, priority=score.priority, label=score.label, **score.parts)


def _audience() -> dict[str, Any]:
    return {"options": OPTIONS, "addresses": PARTS, "sound_days": _default_days("keep_sounds_days")}


def _artifacts() -> dict[str, Any]:
    return {
        "categories": artifacts.MEANINGS.items(),
        "quota_mb": Workspace().artifact_quota_mb,
        "upload_mb": settings.SMNB.limit_upload_mb,
        "picture_mb": artifacts.MAX_PICTURE_BYTES // artifacts.MEGABYTE,
        "event_days": _default_days("keep_events_days"),
        "log_lines": bundle.LINES,
        "grace_minutes": int(verification.GRACE // 60),
    }


def _api() -> dict[str, Any]:
    env = settings.SMNB
    return {
        "registry": [asdict(each) for each in reference.registry()],
        "events": reference.event_types(),
        "endpoints": reference.endpoints(),
        "most": MOST,
        "limits": {
            "reads": env.limit_reads,
            "writes": env.limit_writes,
            "go_live": env.limit_go_live,
        },
        "closes": CLOSES,
        "answer_days": _default_days("keep_answers_days"),
        "asks": consumers.ASKS_PER_10_S,
    }


CLOSES = (
    (consumers.NOT_UNDERSTOOD, 'The message is invalid. Send only {"after": seq}.'),
    (consumers.SIGN_IN, "Not signed in, or the token is invalid. Sign in again."),
    (
        consumers.NO_SESSION,
        "The session does not exist or belongs to another user, or the link was revoked.",
    ),
    (hub.TRY_LATER, "Too many sockets or messages. Connect again later."),
)


def _operations() -> dict[str, Any]:
    return {
        "variables": reference.variables(),
        "management": reference.management(),
        "audits": reference.audit_names(),
        "topics": reference.topics(),
        "lease_seconds": int(steps.LEASE.total_seconds()),
        "piece": f"{retention.CHUNK:,}",
        "newest": archive.NEWEST,
        "audience_minute": browser_errors.AUDIENCE_A_MINUTE,
        "audience_day": browser_errors.AUDIENCE_A_DAY,
    }


_CONTEXTS: dict[str, Callable[[], dict[str, Any]]] = {
    "sources-and-keys": _sources,
    "going-live": _going_live,
    "desk": _desk,
    "writers-room": _writers_room,
    "statistics-explained": _statistics,
    "artifacts": _artifacts,
    "audience": _audience,
    "ai-chain": _chain,
    "memory": _memory,
    "api": _api,
    "operations": _operations,
}
