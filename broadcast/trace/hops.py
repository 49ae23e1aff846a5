"""The nine hops of a story's way, what is known of each, and the verdict on the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sessions_app.events.recorder import timestamp
from sessions_app.models import Step
from stories.models import Story, TokenUsage


class Name(StrEnum):
    """The hops in their order."""

    CHOSEN = "chosen"
    FETCHED = "fetched"
    QUEUED = "queued"
    CLAIMED = "claimed"
    ASKED = "asked"
    ANSWERED = "answered"
    STORED = "stored"
    PUBLISHED = "published"
    AIRED = "aired"


MEANINGS: Mapping[Name, str] = {
    Name.CHOSEN: "A person chose the source, or the keywords.",
    Name.FETCHED: "The producer read the post from its source.",
    Name.QUEUED: "The post waited to be told.",
    Name.CLAIMED: "The host took the post for a round of its own.",
    Name.ASKED: "A model was asked.",
    Name.ANSWERED: "The answer had ended and was booked.",
    Name.STORED: "The story was written into the database.",
    Name.PUBLISHED: "Its event was recorded for every open page.",
    Name.AIRED: "The audience got it.",
}


class Mark(StrEnum):
    """What is known of a hop: seen, still to come, not on this story's way, or broken."""

    SEEN = "seen"
    WAITING = "waiting"
    APART = "apart"
    BROKEN = "broken"


INTACT, BROKEN = "INTACT", "BROKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One hop; ``note`` says what happened, or why it is not on the way, ``problem`` what is broken.

    ``air`` and ``run`` are the state of the session's run at that moment and its number; ``epoch``
    is the one under which ``step`` did it.
    """

    name: Name
    mark: Mark = Mark.SEEN
    at: datetime | None = None
    until: datetime | None = None
    seq: int | None = None
    attempts: int = 0
    note: str = ""
    step: Step | None = None
    epoch: int | None = None
    usage: tuple[TokenUsage, ...] = ()
    air: str = ""
    run: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """A story with its nine hops, in their order."""

    story: Story
    hops: tuple[Hop, ...]

    @property
    def broken(self) -> Hop | None:
        """The first hop that is broken."""
        return next((hop for hop in self.hops if hop.problem), None)

    @property
    def verdict(self) -> str:
        return BROKEN if self.broken else INTACT


def payload(trace: Trace) -> dict[str, Any]:
    """A trace as pages, API and command line show it; money in 10⁻¹² USD."""
    story, broken = trace.story, trace.broken
    return {
        "story": {
            "id": story.pk,
            "title": story.title,
            "origin": story.origin,
            "state": story.state,
            "created_at": timestamp(story.created_at),
        },
        "verdict": trace.verdict,
        "broken": {"hop": broken.name, "reason": broken.problem} if broken else None,
        "hops": [_hop(hop) for hop in trace.hops],
    }


def _hop(hop: Hop) -> dict[str, Any]:
    return {
        "name": hop.name,
        "state": hop.mark,
        "at": timestamp(hop.at),
        "until": timestamp(hop.until),
        "seq": hop.seq,
        "attempts": hop.attempts,
        "note": hop.note,
        "problem": hop.problem,
        "run": hop.run,
        "run_state": hop.air,
        "step": _step(hop.step, hop.epoch) if hop.step else None,
        "usage": [_usage(row) for row in hop.usage],
    }


def _step(step: Step, epoch: int | None) -> dict[str, Any]:
    """``caused_by`` is the request, user and operation that inserted the step, as far as known."""
    origin = step.origin or {}
    return {
        "id": step.pk,
        "kind": step.kind,
        "state": step.state,
        "epoch": epoch,
        "attempts": step.attempts,
        "caused_by": {
            name: str(origin[name]) for name in ("request", "user", "operation") if name in origin
        },
    }


def _usage(row: TokenUsage) -> dict[str, Any]:
    return {
        "id": row.pk,
        "attempt": str(row.attempt),
        "operation": row.operation,
        "model": row.model,
        "state": row.state,
        "error": row.error,
        "asked_at": timestamp(row.created_at),
        "closed_at": timestamp(row.closed_at),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "lower": None if row.unpriced else row.cost_lower,
        "upper": None if row.unpriced else row.cost_upper,
        "reported": row.reported_cost,
        "link": row.link.number if row.link else None,
        "step": row.step_id,
        "epoch": row.epoch,
    }
