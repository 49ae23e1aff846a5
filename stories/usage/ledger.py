"""The ledger: one row per HTTP attempt at a model, exact or flagged with bounds.

A row is reserved before the model is asked. It is closed as soon as the answer has ended, in a
transaction of its own with its counters and event: if the process dies before the story is stored,
what was served is still booked to the token.

How much of a session's budget is spent; what is uncertain counts as spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils import timezone

from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Claim
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import AILink, Message, Session, SessionStats, Step
from sessions_app.money import dollars
from sessions_app.sessions import used_percent
from stories.models import Draft, SourcePost, TokenUsage
from stories.usage import pricing
from stories.usage.accounting import Booking, call_shares
from stories.usage.types import Attempt, Close, Counts

log = structlog.get_logger(__name__)


WARN_AT = 80  # per cent

WARNING = "budget_warning"


def warn_if_crossed(session: Session, before_upper: int, after_upper: int) -> None:
    """Warn the owner when a booking brings the spending over 80 % of the budget.

    The amounts are the session's upper bound before and after it, in 10⁻¹² USD. Call it in the
    booking's transaction, after its event.
    """
    if session.budget is None:
        return
    before, after = (used_percent(each, session.budget) for each in (before_upper, after_upper))
    if before < WARN_AT <= after:
        recorder.add_message(
            session, "system", _sentence(after, after_upper, session.budget), WARNING
        )


def _sentence(percent: int, spent: int, budget: int) -> str:
    return (
        f"{percent} % of the budget is used: {dollars(spent)} of {dollars(budget)}. "
        "When all of it is spent, narration pauses until you raise it in the Session Manager."
    )


CLOSED = recorder.declare("usage.closed", "A model attempt ended; its tokens and cost are booked.")

UNPRICED = "unpriced_model"

LEFT_OPEN = timedelta(seconds=30)

# Literals, not parameters: only so does SQLite see that the index of open rows will do.
_OPEN = RawSQL("stories_tokenusage.state IN ('reserved', 'started')", [], BooleanField())


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What attempts are made for: ``source`` and ``context_head`` of their links, and the row they
    belong to.
    """

    source: str
    run_number: int | None = None
    context_head: AILink | None = None
    post: SourcePost | None = None
    draft: Draft | None = None
    question: Message | None = None


class SessionLedger:
    """Books the attempts of one claimed step to its session."""

    def __init__(self, claim: Claim, purpose: Purpose) -> None:
        self._claim = claim
        self._purpose = purpose
        self.attempts: list[UUID] = []

    def reserve(self, *, model: str, operation: str, max_tokens: int, input_upper: int) -> Attempt:
        row = TokenUsage.objects.create(
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
        self.attempts.append(row.attempt)
        return BookedAttempt(row.attempt, self._purpose)

    @property
    def link(self) -> AILink | None:
        """The link of the operation's completed attempt; None where no model was asked."""
        links = AILink.objects.filter(usage__attempt__in=self.attempts)
        return links.order_by("-number").first()


class BookedAttempt:
    """One attempt in the database; ``close`` may come late and still makes the row exact."""

    def __init__(self, attempt: UUID, purpose: Purpose) -> None:
        self.id = attempt
        self._purpose = purpose

    def started(self, model: str, message_id: str, request_id: str, counts: Counts) -> None:
        TokenUsage.objects.filter(attempt=self.id, state=TokenUsage.State.RESERVED).update(
            state=TokenUsage.State.STARTED, model=model, message_id=message_id,
            request_id=request_id, **_columns(counts),
        )  # fmt: skip

    def close(self, close: Close) -> None:
        with transaction.atomic():
            row = _locked().get(attempt=self.id)
            if row.state == TokenUsage.State.FINAL:
                return
            _close(row, close, self._purpose)


def _locked() -> QuerySet[TokenUsage]:
    """Rows to close, locked: what is read is still so when it is written."""
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
    """Close an open row, or make a bounded one exact; in the caller's transaction.

    A completed operation joins the chain here, with its booking: an answer that was paid for has
    its link, whatever becomes of it.
    """
    before, earlier, old_model = row.state, Booking.of(row), row.model
    priced = _priced(close)
    changed = TokenUsage.objects.filter(pk=row.pk, state=before).update(
        state=close.state, model=close.model, request_id=close.request_id,
        message_id=close.message_id, stop_reason=close.stop_reason or "",
        service_tier=close.service_tier or "", first_token_ms=close.first_token_ms,
        duration_ms=close.duration_ms, error=(close.error or "")[:60], closed_at=timezone.now(),
        **_columns(close.counts), **priced,
    )  # fmt: skip
    if not changed:
        return
    row.refresh_from_db()
    if purpose is not None and row.exact and not row.error:
        row.link = _join(row, purpose)
        row.save(update_fields=["link"])
    if row.unpriced:
        _alert(row.session, row.model)
    added = Booking.of(row).beyond(earlier)
    extra = Extra(added.measures(), call_shares(row, earlier, old_model))
    counters = added.counters()
    event = recorder.record(
        row.session,
        CLOSED,
        {"usage": payload(row), "budget": row.session.budget},
        None,
        extra,
        **counters,
    )
    spent = int(event.payload["figures"]["cost_upper"])
    warn_if_crossed(row.session, spent - added.cost_upper, spent)


def _join(row: TokenUsage, purpose: Purpose) -> AILink:
    return chain.append(
        row.session,
        Operation(
            source=purpose.source,
            provider_id=row.message_id or chain.offline_id(),
            model=row.model,
            run_number=purpose.run_number,
            context_head=purpose.context_head,
            tokens=row.output_tokens,
        ),
    )


def _priced(close: Close) -> dict[str, Any]:
    try:
        bounds = pricing.bounds(close)
    except pricing.UnknownModel:
        nothing = {"cost_lower": 0, "cost_upper": 0, "cache_saved": 0, "price_version": ""}
        return {"unpriced": True, **nothing}
    return {
        "unpriced": False,
        "cost_lower": bounds.lower,
        "cost_upper": bounds.upper,
        "cache_saved": pricing.saved(close),
        "price_version": bounds.version,
    }


def _alert(session: Session, model: str) -> None:
    """An unknown price is said once per model, and never passed off as zero."""
    said = Message.objects.filter(session=session, code=UNPRICED, text__contains=f"“{model}”")
    if not said.exists():
        recorder.add_message(
            session,
            "system",
            f"No price is known for the model “{model}”: its tokens are counted, its cost is not. "
            "Update genai-prices or add the price to the overrides.",
            UNPRICED,
        )


def bound_abandoned(claim: Claim) -> None:
    """Close what an earlier epoch of this step left open; part of the claim's transaction."""
    left = _locked().filter(
        session=claim.session, step=claim.step, epoch__lt=claim.epoch, state__in=TokenUsage.OPEN
    )
    for row in left:
        _close(row, _bounds_of(row, "worker_lost"))


def left_open() -> QuerySet[TokenUsage]:
    """Open rows that no worker will close any more, e.g. because closing them failed."""
    old = TokenUsage.objects.filter(_OPEN, created_at__lt=Now() - LEFT_OPEN)
    return old.exclude(step__state=Step.State.LEASED)


def _bound_left_open(_up: float) -> None:
    """The sweeper's round: a row that is left open would keep its session from coming to rest."""
    for left in left_open().select_related("session")[:100]:
        with sweeper.session_scope(left.session), transaction.atomic():
            row = _locked().filter(pk=left.pk, state__in=TokenUsage.OPEN).first()
            if row is not None:
                log.warning("usage_left_open", attempt=str(row.attempt))
                _close(row, _bounds_of(row, "left_open"))


def _bounds_of(row: TokenUsage, error: str) -> Close:
    started = row.state == TokenUsage.State.STARTED
    counts = Counts(
        input=row.input_tokens,
        output=1 if started else 0,
        cache_read=row.cache_read_tokens,
        cache_write_5m=row.cache_write_5m_tokens,
        cache_write_1h=row.cache_write_1h_tokens,
        web_searches=row.web_searches,
    )
    return Close(
        state="bounded",
        counts=counts,
        output_lower=counts.output,
        output_upper=row.max_tokens,
        input_upper=0 if started else row.input_upper,
        model=row.model,
        request_id=row.request_id,
        message_id=row.message_id,
        error=error,
    )


def over_budget(session: Session) -> bool:
    """Whether the session has spent its budget; what is uncertain counts as spent."""
    if session.budget is None:
        return False
    spent = SessionStats.objects.values_list("cost_upper", flat=True).get(session=session)
    return spent >= session.budget


def payload(row: TokenUsage) -> dict[str, Any]:
    """A ledger row as events and the API show it; money in 10⁻¹² USD, None where no price is known."""
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
        "lower": None if row.unpriced else row.cost_lower,
        "upper": None if row.unpriced else row.cost_upper,
        "story_id": row.story_id,
    }


def register() -> None:
    steps.on_claimed.subscribe(bound_abandoned)
    sweeper.register(_bound_left_open)
