"""The ledger: one row per HTTP request to a model, either exact or marked as bounded.

A row is reserved before the model is asked. It is closed as soon as the answer has ended, in a
transaction of its own with its counters and event: so what was served is booked even if the process
dies before the story is stored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import isolation, steps, sweeper
from sessions_app.background.steps import Claim
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import AILink, Message, Session, Step
from sessions_app.money import Amount
from sessions_app.statements import Given, Prepared
from stories.models import Draft, SourcePost, TokenUsage
from stories.usage import budget, pricing
from stories.usage.accounting import Booking, call_shares
from stories.usage.types import MOST_TOKENS, Attempt, Close, Counts

log = structlog.get_logger(__name__)


class UsageFields(TypedDict):
    """One call of a model with its tokens, without its cost."""

    id: Annotated[int, Field(description="Id of the row.")]
    attempt: Annotated[str, Field(description="UUID of the HTTP request.")]
    operation: Annotated[str, Field(description="Purpose of the call, such as narrate or chat.")]
    model: Annotated[str, Field(description="Model that answered.")]
    state: Annotated[str, Field(description="reserved, started, final or bounded.")]
    exact: Annotated[bool, Field(description="Whether the counts are those the API reported.")]
    input_tokens: Annotated[int, Field(description="Input tokens outside the cache.")]
    output_tokens: Annotated[int, Field(description="Output tokens.")]
    cache_read_tokens: Annotated[int, Field(description="Input tokens read from the cache.")]
    cache_write_5m_tokens: Annotated[
        int, Field(description="Input tokens written to the cache for five minutes.")
    ]
    cache_write_1h_tokens: Annotated[
        int, Field(description="Input tokens written to the cache for an hour.")
    ]
    story_id: Annotated[int | None, Field(description="Id of the story, or null.")]
    doubt: Annotated[
        str,
        Field(
            description="Why the usage of a complete answer is bounded, as codes such as "
            "usage_missing; empty where it is not."
        ),
    ]


class UsagePayload(UsageFields):
    """One call of a model, with its tokens and cost."""

    lower: Annotated[
        Amount | None, Field(description="Least cost in USD, or null without a known price.")
    ]
    upper: Annotated[
        Amount | None, Field(description="Highest cost in USD, or null without a known price.")
    ]
    request_id: Annotated[str, Field(description="The API's id of the request; may be empty.")]
    stop_reason: Annotated[str, Field(description="Why the answer ended; empty if it did not.")]
    price_version: Annotated[str, Field(description="Prices that the cost is of; may be empty.")]


class UsageClosed(TypedDict):
    """Payload of usage.closed."""

    usage: Annotated[UsagePayload, Field(description="The call with its final or bounded cost.")]
    budget: Annotated[
        Amount | None, Field(description="Budget of the session in USD, or null without one.")
    ]


CLOSED = recorder.declare(
    "usage.closed", "A model attempt ended; its tokens and cost are booked.", UsageClosed
)

UNPRICED = "unpriced_model"
DOUBTFUL = "doubtful_usage"
DOUBT = (
    "The API reported usage that is incomplete, impossible or unknown to this version. Such calls "
    "are booked with a lower and an upper bound. Compare them with the bill in the Anthropic Console."
)
# Longer than the lease of a step, so that a worker which still closes its row is not overtaken.
LEFT_OPEN = steps.LEASE + timedelta(seconds=10)
LEFT_OPEN_RULE = "Closing of a model call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """The purpose of model calls: ``source`` and ``context_head`` of their links, and their row."""

    source: str
    run_number: int | None = None
    context_head: AILink | None = None
    post: SourcePost | None = None
    draft: Draft | None = None
    question: Message | None = None


class SessionLedger:
    """Books the model calls of one claimed step to its session."""

    def __init__(self, claim: Claim, purpose: Purpose) -> None:
        self._claim = claim
        self._purpose = purpose
        self.attempts: list[UUID] = []

    def reserve(
        self,
        *,
        model: str,
        operation: str,
        max_tokens: int,
        input_upper: int,
        cached: bool = False,
    ) -> Attempt:
        try:
            upper: int | None = pricing.most(
                model, input_upper=input_upper, max_tokens=max_tokens, cached=cached
            )
        except pricing.UnknownModel:
            upper = None
        row = TokenUsage(
            session=self._claim.session,
            step=self._claim.step,
            epoch=self._claim.epoch,
            post=self._purpose.post,
            draft=self._purpose.draft,
            question=self._purpose.question,
            model=model,
            operation=operation,
            max_tokens=max_tokens,
            input_upper=input_upper,
        )
        # Committed before the request is sent: if this process dies, the row shows that money may
        # be spent.
        budget.reserve(row, upper)
        # In order, as a step may ask several times, e.g. again after an answer that was no JSON.
        self.attempts.append(row.attempt)
        return BookedAttempt(row.attempt, self._purpose)

    @property
    def link(self) -> AILink | None:
        """Returns the link of the completed call, or None when no model was asked."""
        links = AILink.objects.filter(usage__attempt__in=self.attempts)
        return links.order_by("-number").first()


class BookedAttempt:
    """One attempt as a row; a late ``close`` still makes a bounded row exact."""

    def __init__(self, attempt: UUID, purpose: Purpose) -> None:
        self.id = attempt
        self._purpose = purpose

    def started(self, model: str, message_id: str, request_id: str, counts: Counts) -> None:
        # Conditional, so that a late start does not reopen a row that the sweeper has bounded.
        TokenUsage.objects.filter(attempt=self.id, state=TokenUsage.State.RESERVED).update(
            state=TokenUsage.State.STARTED,
            model=model,
            message_id=message_id,
            request_id=request_id,
            **_columns(counts),
        )

    def close(self, close: Close) -> None:
        with transaction.atomic():
            [row] = _LOCKED.all(attempt=self.id)
            # An exact row never changes again, so closing it twice books it once.
            if row.state == TokenUsage.State.FINAL:
                return
            _close(row, close, self._purpose)


def _locked() -> QuerySet[TokenUsage]:
    """Returns rows locked until commit, because closing one reads it before it writes."""
    rows = TokenUsage.objects.select_related("session")
    return rows.select_for_update(of=("self",), no_key=True)


def _columns(counts: Counts) -> dict[str, int]:
    return {
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "cache_read_tokens": counts.cache_read,
        "cache_write_5m_tokens": counts.cache_write_5m,
        "cache_write_1h_tokens": counts.cache_write_1h,
        "web_searches": counts.web_searches,
    }


def _close(row: TokenUsage, close: Close, purpose: Purpose | None = None) -> None:
    """Closes an open row, or makes a bounded one exact; in the caller's transaction.

    A completed call joins the AI chain here, with its booking: so every answer that was paid for
    has a link, also when the answer is not used.
    """
    session, before, earlier, old_model = row.session, row.state, Booking.of(row), row.model
    cost, unpriced = pricing.cost_of(close, row.cost_upper, is_open=before in TokenUsage.OPEN)
    # Only a complete answer is an operation of the chain, also one with doubtful usage; an error or
    # the bound of a dead worker has no content to link.
    complete = (close.state == "final" or close.doubt) and not close.error
    link = row.link
    if purpose is not None and complete and link is None:
        operation = Operation(
            source=purpose.source,
            provider_id=close.message_id or chain.offline_id(),
            model=close.model,
            run_number=purpose.run_number,
            context_head=purpose.context_head,
            tokens=close.counts.output,
        )
        link = chain.append(session, operation)
    # The row is locked, so nothing has changed it since it was read.
    [row] = _CLOSED.all(
        pk=row.pk,
        before=before,
        link=link and link.pk,
        state=close.state,
        model=close.model,
        request_id=close.request_id,
        message_id=close.message_id,
        stop_reason=close.stop_reason or "",
        service_tier=close.service_tier or "",
        inference_geo=close.inference_geo,
        doubt=close.doubt,
        first_token_ms=close.first_token_ms,
        duration_ms=close.duration_ms,
        error=(close.error or "")[:60],
        closed_at=timezone.now(),
        **_columns(close.counts),
        **asdict(cost),
    )
    if row.unpriced:
        _report_once(session, UNPRICED, unpriced)
    if row.doubt:
        _report_once(session, DOUBTFUL, DOUBT)
    added = Booking.of(row).minus(earlier)
    event = recorder.record(
        session,
        CLOSED,
        {"usage": payload(row), "budget": session.budget},
        None,
        Extra(added.measures(), call_shares(row, earlier, old_model)),
        **added.counters(),
    )
    # From the event, whose figures were read under the lock of the counters.
    spent = int(event.payload["figures"]["cost_upper"])
    budget.warn_if_crossed(session, spent - added.cost_upper, spent)


_LOCKED = Prepared(lambda: _locked().filter(attempt=Given("attempt")))
_ANSWER = (
    "link",
    "state",
    "model",
    "request_id",
    "message_id",
    "stop_reason",
    "service_tier",
    "inference_geo",
    "doubt",
    "first_token_ms",
    "duration_ms",
    "error",
    "closed_at",
)
_CLOSED = Prepared(
    lambda: TokenUsage.objects.filter(pk=Given("pk"), state=Given("before")),
    {name: Given(name) for name in (*_ANSWER, *_columns(Counts()), *asdict(pricing.Cost()))},
)


def _report_once(session: Session, code: str, sentence: str) -> None:
    """Tells the owner once per sentence what is unknown about a cost."""
    if not Message.objects.filter(session=session, code=code, text=sentence).exists():
        recorder.add_message(session, "system", sentence, code)


def bound_abandoned(claim: Claim) -> None:
    """Closes the rows that an earlier epoch of this step left open; in the claim's transaction."""
    rows = _locked().filter(
        session=claim.session, step=claim.step, epoch__lt=claim.epoch, state__in=TokenUsage.OPEN
    )
    for row in rows:
        # A row that cannot be closed must not stop the step; the sweeper tries it again.
        with isolation.isolated(LEFT_OPEN_RULE, row.pk, row.session_id), transaction.atomic():
            _close(row, _bounds_of(row, "worker_lost"))


def left_open() -> QuerySet[TokenUsage]:
    """Returns open rows that no worker will close any more, e.g. because closing them failed."""
    old = TokenUsage.objects.filter(budget.IS_OPEN, created_at__lt=Now() - LEFT_OPEN)
    # A leased step has a worker that will close the row, or a next epoch that will bound it.
    return old.exclude(step__state=Step.State.LEASED)


def _bound_left_open(_up: float) -> None:
    """Closes rows that were left open, in the sweeper: a run cannot end while one is open."""
    sweeper.for_each(LEFT_OPEN_RULE, left_open().select_related("session"), _bound, 100)


def _bound(open_row: TokenUsage) -> None:
    with transaction.atomic():
        # Read again under the lock, because its worker may have closed it meanwhile.
        row = _locked().filter(pk=open_row.pk, state__in=TokenUsage.OPEN).first()
        if row is not None:
            log.warning("usage_left_open", attempt=str(row.attempt))
            _close(row, _bounds_of(row, "left_open"))


def _bounds_of(row: TokenUsage, error: str) -> Close:
    """Returns the least and the most that an abandoned attempt can have cost."""
    # A started row knows its input from the API, which the end of the answer may still raise.
    started = row.state == TokenUsage.State.STARTED
    counts = Counts(
        input=row.input_tokens,
        output=1 if started else 0,
        cache_read=row.cache_read_tokens,
        cache_write_5m=row.cache_write_5m_tokens,
        cache_write_1h=row.cache_write_1h_tokens,
        web_searches=row.web_searches,
    )
    # A version without this limit may have stored anything that the API reported.
    plausible = max(asdict(counts).values()) <= MOST_TOKENS
    counts = counts if plausible else Counts(output=1)
    return Close(
        state="bounded",
        counts=counts,
        output_lower=counts.output,
        output_upper=row.max_tokens,
        input_upper=row.input_upper,
        model=row.model,
        request_id=row.request_id,
        message_id=row.message_id,
        error=error,
    )


def fields(row: TokenUsage) -> UsageFields:
    """Returns a row without its cost, which the API writes in USD."""
    return {
        "id": row.pk,
        "attempt": str(row.attempt),
        "operation": row.operation,
        "model": row.model,
        "state": row.state,
        "exact": row.exact,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cache_read_tokens": row.cache_read_tokens,
        "cache_write_5m_tokens": row.cache_write_5m_tokens,
        "cache_write_1h_tokens": row.cache_write_1h_tokens,
        "story_id": row.story_id,
        "doubt": row.doubt,
    }


def payload(row: TokenUsage) -> UsagePayload:
    """Returns a row as events show it."""
    return {
        **fields(row),
        "lower": None if row.unpriced else row.cost_lower,
        "upper": None if row.unpriced else row.cost_upper,
        "request_id": row.request_id,
        "stop_reason": row.stop_reason,
        "price_version": row.price_version,
    }


def register() -> None:
    steps.on_claimed.subscribe(bound_abandoned)
    sweeper.register(_bound_left_open)
