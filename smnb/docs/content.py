"""Template contexts of the docs pages: figures and tables read from the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from django.conf import settings

from broadcast import airing, market, recaps, statistics
from broadcast.chat import conversation, plans
from broadcast.host import memory, worker
from broadcast.public.views import OPTIONS
from broadcast.public_links import PARTS
from broadcast.states import REAPER, TRANSITIONS
from broadcast.studio.ai_chain import queries
from broadcast.studio.artifacts import bundle
from sessions_app.ai_chain import status
from sessions_app.background import retention, steps
from sessions_app.commands import all_commands
from sessions_app.events import archive
from sessions_app.events import statistics as events_statistics
from sessions_app.files import artifacts, verification
from sessions_app.models import Workspace
from sessions_app.models.session import DEFAULT_MODEL, DEFAULT_PACE
from sessions_app.realtime import checkpoints, consumers, grants
from sessions_app.session_logs import browser_errors
from sessions_app.web.api import MOST
from smnb.docs import reference, state_diagram
from stories import threads
from stories.drafting import commands as drafting
from stories.drafting import drafts, prompts, turns
from stories.market import quotes
from stories.models.drafts import FEWEST_WORDS, MOST_WORDS
from stories.posts import interests, queue, scoring
from stories.types import FetchedPost

Context: TypeAlias = dict[str, object]


def of(slug: str) -> Context:
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


def sources_and_keys() -> Context:
    return {
        "default_model": DEFAULT_MODEL,
        "poll_seconds": f"{settings.SMNB.poll_seconds:g}",
        "queue_limit": queue.QUEUE_LIMIT,
        "likeness_hours": _hours(queue.LIKENESS_WINDOW),
    }


def going_live() -> Context:
    overdue = [(state, _spelled(rule.after), rule.sentence) for state, rule in REAPER.items()]
    return {
        "diagram": state_diagram.draw(),
        "transitions": transitions(),
        "overdue": overdue,
        "veto_seconds": int(airing.VETO_WINDOW.total_seconds()),
        "undo_seconds": int(airing.UNDO.total_seconds()),
        "most_held": worker.MOST_HELD,
        "lead_seconds": int(worker.LEAD.total_seconds()),
    }


def desk() -> Context:
    return {
        "thread_hours": _hours(threads.WINDOW),
        "earlier": threads.MOST_EARLIER,
        "interest_points": round(scoring.INTEREST * 100),
        "interests": interests.MOST,
        "open_questions": settings.SMNB.limit_questions,
        "plan_commands": [
            (command.name, command.meaning)
            for command in all_commands()
            if command.name in plans.ALLOWED
        ],
    }


def writers_room() -> Context:
    return {
        "most_keywords": drafting.MOST_KEYWORDS,
        "most_open": settings.SMNB.limit_drafts,
        "fewest_words": FEWEST_WORDS,
        "most_words": MOST_WORDS,
        "rounds": turns.ROUNDS,
        "most_turns": turns.MOST_TURNS,
        "milestones": drafts.MILESTONES,
        # An unsaved row has the defaults; a page of the docs shows those, not this workspace's
        # choices.
        "idle_minutes": Workspace().draft_idle_minutes,
    }


def statistics_explained() -> Context:
    return {
        "weights": scoring.WEIGHTS,
        "interest": scoring.INTEREST,
        "high": round(scoring.HIGH_SHARE * 100),
        "low": round(scoring.LOW_SHARE * 100),
        "compared": queue.SCALE_POSTS,
        "old": f"{4 * scoring.HALF_LIFE_HOURS:g}",
        "half_life": f"{scoring.HALF_LIFE_HOURS:g}",
        "neutral_engagement": scoring.NEUTRAL_ENGAGEMENT,
        "neutral_recency": scoring.NEUTRAL_RECENCY,
        "examples": examples(),
        "ageing": queue.AGEING_PER_DAY,
        "standard_pace": DEFAULT_PACE,
        "spans": [
            (size, statistics.POINTS, _spelled(timedelta(minutes=size * statistics.POINTS)))
            for size in events_statistics.SIZES
        ],
        "shares": statistics.MOST_SHARES,
        "fine_days": _default_days("keep_fine_days"),
        "market_parts": market.explained(),
        "buckets": quotes.BUCKETS,
        "windows": quotes.WINDOWS,
        "window": quotes.WINDOW,
        "full_momentum": f"{quotes.FULL_MOMENTUM:g}",
        "full_times": f"{2**quotes.FULL_MOMENTUM:g}",
        "steady": quotes.STEADY,
        "tiers": quotes.TIERS,
        "least_posts": quotes.LEAST_POSTS,
    }


def ai_chain() -> Context:
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


def memory_and_recaps() -> Context:
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


def _default_days(name: str) -> int:
    """Returns the default of a retention setting of the workspace, in days."""
    return int(getattr(Workspace(), name))


def _spelled(length: timedelta) -> str:
    """Returns a duration in the largest unit of which it is a whole number."""
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        # From two on, so that no plural is wrong: "60 minutes" and not "1 hours".
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


def examples() -> list[Example]:
    """Returns three example posts, scored by the scoring code."""
    now = datetime.now(UTC)
    body = "word " * 150
    posts = [
        ("900 votes, 200 comments, one hour old, 150 words", 900, 200, body, 1),
        ("from a feed, one hour old, 150 words", 0, 0, body, 1),
        ("from a feed, one day old, headline only", 0, 0, "", 24),
    ]
    rows = []
    for description, votes, comments, text, hours in posts:
        post = FetchedPost(
            external_id="1",
            title="Town council opens the new bridge today",
            url="https://example.org/bridge",
            published_at=now - timedelta(hours=hours),
            body=text,
            score=votes,
            comments=comments,
        )
        score = scoring.score(post, now)
        # Scored by the real code, so that the page cannot differ from it.
        rows.append(Example(description, priority=score.priority, **score.parts))
    return rows


def audience() -> Context:
    return {"options": OPTIONS, "addresses": PARTS, "sound_days": _default_days("keep_sounds_days")}


def artifacts_page() -> Context:
    return {
        "categories": artifacts.MEANINGS.items(),
        "quota_mb": Workspace().artifact_quota_mb,
        "upload_mb": settings.SMNB.limit_upload_mb,
        "picture_mb": artifacts.MAX_PICTURE_BYTES // artifacts.MEGABYTE,
        "event_days": _default_days("keep_events_days"),
        "log_lines": bundle.LINES,
        "grace_minutes": int(verification.GRACE // 60),
    }


def api() -> Context:
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
        "closes": grants.CLOSE_CODES,
        "answer_days": _default_days("keep_answers_days"),
        "asks": consumers.ASKS_PER_10_S,
    }


def operations() -> Context:
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


# The function that makes the context of each page that has one.
_CONTEXTS: dict[str, Callable[[], Context]] = {
    "sources-and-keys": sources_and_keys,
    "going-live": going_live,
    "desk": desk,
    "writers-room": writers_room,
    "statistics-explained": statistics_explained,
    "artifacts": artifacts_page,
    "audience": audience,
    "ai-chain": ai_chain,
    "memory": memory_and_recaps,
    "api": api,
    "operations": operations,
}
