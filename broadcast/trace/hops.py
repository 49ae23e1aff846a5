"""The nine hops of a story from its source to the air, and the verdict on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

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
    Name.QUEUED: "The post waited in the queue.",
    Name.CLAIMED: "The host claimed the post.",
    Name.ASKED: "A model was asked.",
    Name.ANSWERED: "The answer was complete and booked.",
    Name.STORED: "The story was written into the database.",
    Name.PUBLISHED: "Its event was recorded for every open page.",
    Name.AIRED: "The story went on air.",
}


class Mark(StrEnum):
    """The state of a hop: recorded, still to come, not applicable, or broken."""

    SEEN = "seen"
    WAITING = "waiting"
    APART = "apart"
    BROKEN = "broken"


INTACT, BROKEN = "INTACT", "BROKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One hop: ``note`` describes it or why it does not apply, ``problem`` what is broken.

    ``air`` and ``run`` are the state of the session's run at that time and its number; ``epoch``
    is the epoch of ``step``.
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


Money = TypeVar("Money", int, str)


class TracedStory(TypedDict):
    """The story of a trace."""

    id: Annotated[int, Field(description="Id of the story.")]
    title: Annotated[str, Field(description="Its headline.")]
    origin: Annotated[str, Field(description="model, extractive, manual, draft or legacy.")]
    state: Annotated[str, Field(description="State of the story, such as aired.")]
    created_at: Annotated[str, Field(description="Time of its creation, ISO 8601 in UTC.")]


class BrokenHop(TypedDict):
    """The first broken hop of a trace."""

    hop: Annotated[str, Field(description="Name of the hop.")]
    reason: Annotated[str, Field(description="What is broken, as a sentence.")]


class StepCause(TypedDict, total=False):
    """What inserted a step, as far as it is known."""

    request: Annotated[str, Field(description="Id of the HTTP request.")]
    user: Annotated[str, Field(description="Id of the user.")]
    operation: Annotated[str, Field(description="Name of the operation.")]


class HopStep(TypedDict):
    """The step that took a hop."""

    id: Annotated[int, Field(description="Id of the step.")]
    kind: Annotated[str, Field(description="Kind of the step, such as poll or narrate.")]
    state: Annotated[str, Field(description="State of the step.")]
    epoch: Annotated[int | None, Field(description="Epoch (fencing token) of the hop, or null.")]
    attempts: Annotated[int, Field(description="Number of attempts.")]
    caused_by: Annotated[StepCause, Field(description="What inserted the step.")]


class HopUsage(TypedDict, Generic[Money]):
    """A call of a model; money in USD as decimal strings in the API, in 10⁻¹² USD elsewhere."""

    id: Annotated[int, Field(description="Id of the usage row.")]
    attempt: Annotated[str, Field(description="UUID of the HTTP request.")]
    operation: Annotated[str, Field(description="Purpose of the call, such as narrate.")]
    model: Annotated[str, Field(description="Name of the model.")]
    state: Annotated[str, Field(description="reserved, started, final or bounded.")]
    error: Annotated[str, Field(description="Why the call failed; empty if it did not.")]
    asked_at: Annotated[str, Field(description="Time of the request, ISO 8601 in UTC.")]
    closed_at: Annotated[
        str | None, Field(description="Time the row was closed, ISO 8601 in UTC, or null.")
    ]
    input_tokens: Annotated[int, Field(description="Input tokens outside the cache.")]
    output_tokens: Annotated[int, Field(description="Output tokens.")]
    lower: Annotated[
        Money | None, Field(description="Lower bound of the cost in USD; null if unpriced.")
    ]
    upper: Annotated[
        Money | None, Field(description="Upper bound of the cost in USD; null if unpriced.")
    ]
    reported: Annotated[
        Money | None, Field(description="Cost in USD that the provider reported, or null.")
    ]
    link: Annotated[int | None, Field(description="Number of its link in the AI chain, or null.")]
    step: Annotated[int | None, Field(description="Id of the step, or null.")]
    epoch: Annotated[int | None, Field(description="Epoch of the step, or null.")]


class HopPayload(TypedDict, Generic[Money]):
    """One hop of a story's way."""

    name: Annotated[str, Field(description="Name of the hop, from chosen to aired.")]
    state: Annotated[str, Field(description="seen, waiting, apart (not on the way) or broken.")]
    at: Annotated[str | None, Field(description="Time of the hop, ISO 8601 in UTC, or null.")]
    until: Annotated[str | None, Field(description="Its end, ISO 8601 in UTC, or null.")]
    seq: Annotated[int | None, Field(description="Sequence number of its event, or null.")]
    attempts: Annotated[int, Field(description="Number of attempts.")]
    note: Annotated[str, Field(description="What happened, as a sentence; may be empty.")]
    problem: Annotated[str, Field(description="What is broken, as a sentence; empty if nothing.")]
    run: Annotated[int | None, Field(description="Number of the run at that time, or null.")]
    run_state: Annotated[str, Field(description="State of that run; empty if unknown.")]
    step: Annotated[HopStep | None, Field(description="The step that took the hop, or null.")]
    usage: Annotated[list[HopUsage[Money]], Field(description="Calls of models in the hop.")]


class TracePayload(TypedDict, Generic[Money]):
    """The way of a story from its source to the air, in nine hops."""

    story: Annotated[TracedStory, Field(description="The story.")]
    verdict: Annotated[str, Field(description="INTACT or BROKEN.")]
    broken: Annotated[BrokenHop | None, Field(description="The first broken hop, or null.")]
    hops: Annotated[list[HopPayload[Money]], Field(description="The nine hops in their order.")]


def payload(trace: Trace, amount: Callable[[int], Money]) -> TracePayload[Money]:
    """Returns a trace for pages and the API; ``amount`` converts money from 10⁻¹² USD."""
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
        "hops": [
            {
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
                "usage": [_usage(row, amount) for row in hop.usage],
            }
            for hop in trace.hops
        ],
    }


def _step(step: Step, epoch: int | None) -> HopStep:
    origin, cause = step.origin or {}, StepCause()
    if "request" in origin:
        cause["request"] = str(origin["request"])
    if "user" in origin:
        cause["user"] = str(origin["user"])
    if "operation" in origin:
        cause["operation"] = str(origin["operation"])
    return {
        "id": step.pk,
        "kind": step.kind,
        "state": step.state,
        "epoch": epoch,
        "attempts": step.attempts,
        "caused_by": cause,
    }


def _usage(row: TokenUsage, amount: Callable[[int], Money]) -> HopUsage[Money]:
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
        "lower": None if row.unpriced else amount(row.cost_lower),
        "upper": None if row.unpriced else amount(row.cost_upper),
        "reported": None if row.reported_cost is None else amount(row.reported_cost),
        "link": row.link.number if row.link else None,
        "step": row.step_id,
        "epoch": row.epoch,
    }
