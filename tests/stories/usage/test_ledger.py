"""The ledger: a row is reserved first, closed once, exact or bounded, and never silently zero."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions_app import audits, sessions
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Claim
from sessions_app.models import Message, Session, SessionEvent, SessionStats, Step
from stories.models import TokenUsage
from stories.usage import budget, ledger, pricing
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Attempt, Close, Counts
from tests.concurrency import together

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-haiku-4-5"
COUNTS = Counts(input=1000, output=200, cache_read=50, cache_write_5m=20, cache_write_1h=10)


@pytest.fixture
def claim(session: Session) -> Claim:
    held = steps.claim(steps.enqueue(session, "narrate", 1).pk)
    assert held is not None
    return held


def reserve(claim: Claim, model: str = MODEL) -> Attempt:
    return SessionLedger(claim, Purpose(source="narration")).reserve(
        model=model, operation="narrate", max_tokens=800, input_upper=2000
    )


def final(counts: Counts = COUNTS, **more: Any) -> Close:
    values = {"state": "final", "model": MODEL, "stop_reason": "end_turn", **more}
    return Close(counts=counts, **values)


def take_over(claim: Claim) -> None:
    Step.objects.filter(pk=claim.step.pk).update(lease_until=steps.now() - timedelta(seconds=1))
    assert steps.claim(claim.step.pk) is not None


def stats(claim: Claim) -> SessionStats:
    return SessionStats.objects.get(session=claim.session)


def row() -> TokenUsage:
    return TokenUsage.objects.get()


def test_a_row_is_there_before_the_model_is_asked_and_counts_nothing(claim: Claim) -> None:
    attempt = reserve(claim)
    assert (row().attempt, row().state, row().session) == (attempt.id, "reserved", claim.session)
    assert (row().step_id, row().epoch) == (claim.step.pk, claim.epoch)
    assert stats(claim).input_tokens == 0
    assert list(audits.run()) == []


@pytest.mark.databases
def test_a_final_answer_is_booked_exactly_with_one_event(claim: Claim) -> None:
    reserve(claim).close(final())
    totals = stats(claim)
    assert (totals.input_tokens, totals.output_tokens) == (1000, 200)
    assert (totals.cache_read_tokens, totals.cache_write_tokens) == (50, 30)
    assert totals.cost_lower == totals.cost_upper == row().cost_lower > 0
    assert row().exact
    assert SessionEvent.objects.filter(type="usage.closed").count() == 1
    assert list(audits.run()) == []


def test_a_second_close_changes_nothing(claim: Claim) -> None:
    attempt = reserve(claim)
    attempt.close(final())
    attempt.close(final(Counts(input=9, output=9)))
    assert stats(claim).input_tokens == 1000
    assert list(audits.run()) == []


@pytest.mark.databases
def test_eight_closes_at_once_book_once(claim: Claim) -> None:
    attempt = reserve(claim)
    together(8, lambda _: attempt.close(final()))
    assert stats(claim).input_tokens == 1000
    assert SessionEvent.objects.filter(type="usage.closed").count() == 1
    assert list(audits.run()) == []


def test_what_broke_off_has_bounds_and_counts_its_least(claim: Claim) -> None:
    attempt = reserve(claim)
    attempt.close(
        Close(
            state="bounded",
            counts=Counts(input=1000, output=10),
            model=MODEL,
            output_lower=10,
            output_upper=800,
            error="stream_broken",
        )
    )
    assert not row().exact
    assert row().cost_lower < row().cost_upper
    assert stats(claim).output_tokens == 10
    assert list(audits.run()) == []


def test_the_attempt_of_a_dead_worker_is_bounded_when_its_step_is_taken_over(
    claim: Claim,
) -> None:
    attempt = reserve(claim)
    attempt.started(MODEL, "msg_1", "req_1", Counts(input=1000, output=1))
    take_over(claim)
    assert (row().state, row().error) == ("bounded", "worker_lost")
    assert (row().input_tokens, row().output_tokens) == (1000, 1)
    assert 0 < row().cost_lower < row().cost_upper
    assert list(audits.run()) == []


def test_a_lost_answer_of_a_dearer_model_may_have_cost_its_most(claim: Claim) -> None:
    attempt = reserve(claim)
    attempt.started("claude-opus-4-5", "msg_1", "req_1", Counts(input=1000, output=1))
    take_over(claim)
    # More than was reserved: 2000 tokens at $5 and 800 at $25 per million.
    assert row().cost_upper == 2000 * 5_000_000 + 800 * 25_000_000
    assert row().cost_lower == 1000 * 5_000_000 + 25_000_000
    assert list(audits.run()) == []


def test_an_attempt_that_never_began_may_have_cost_nothing_or_its_most(claim: Claim) -> None:
    reserve(claim)
    take_over(claim)
    assert (row().state, row().cost_lower) == ("bounded", 0)
    # 2000 tokens at $1 and 800 at $5 per million
    assert row().cost_upper == 2000 * 1_000_000 + 800 * 5_000_000
    assert list(audits.run()) == []


def test_a_late_answer_still_makes_a_bounded_row_exact(claim: Claim) -> None:
    attempt = reserve(claim)
    attempt.started(MODEL, "msg_1", "req_1", Counts(input=1000, output=1))
    take_over(claim)
    attempt.close(final())
    assert row().exact
    assert (stats(claim).input_tokens, stats(claim).output_tokens) == (1000, 200)
    assert stats(claim).cost_lower == stats(claim).cost_upper
    assert list(audits.run()) == []


def test_a_booking_is_fourteen_statements(claim: Claim) -> None:
    reserve(claim).close(final())
    with CaptureQueriesContext(connection) as queries:
        reserve(claim).close(final())
    ends = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    asked = [each["sql"] for each in queries.captured_queries if not each["sql"].startswith(ends)]
    assert len(asked) == 14, asked
    assert stats(claim).output_tokens == 400


@pytest.mark.databases
def test_an_answer_that_comes_while_its_row_is_being_bounded_is_not_lost(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = reserve(claim)
    bounded, read, price = threading.Event(), threading.Event(), pricing.cost_of

    def priced(close: Close, reserved: int, *, is_open: bool) -> tuple[pricing.Cost, str]:
        if close.state == "final":
            read.set()
        return price(close, reserved, is_open=is_open)

    def close_meanwhile(index: int) -> None:
        if index == 1:
            bounded.wait(10)
            attempt.close(final())
            return
        with transaction.atomic():
            take_over(claim)
            bounded.set()
            # Without a lock, the other thread would read the row now.
            read.wait(0.5)

    monkeypatch.setattr(pricing, "cost_of", priced)
    together(2, close_meanwhile)
    assert row().exact
    assert (stats(claim).input_tokens, stats(claim).output_tokens) == (1000, 200)
    assert list(audits.run()) == []


def leave_open(claim: Claim, seconds: int) -> None:
    """Closing the row failed, and its step is pending again."""
    reserve(claim).started(MODEL, "msg_1", "req_1", Counts(input=1000, output=1))
    TokenUsage.objects.update(created_at=steps.now() - timedelta(seconds=seconds))


@pytest.mark.databases
def test_the_sweeper_bounds_what_was_left_open_by_a_step_that_waits(claim: Claim) -> None:
    leave_open(claim, seconds=31)
    claim.reschedule(steps.now() + timedelta(hours=1))
    sweeper.sweep()
    assert (row().state, row().error) == ("bounded", "left_open")
    assert 0 < row().cost_lower < row().cost_upper
    assert stats(claim).input_tokens == 1000
    assert list(audits.run()) == []


@pytest.mark.parametrize(("seconds", "leased"), [(31, True), (20, False)])
def test_the_sweeper_leaves_a_row_alone_that_may_still_be_closed(
    claim: Claim, seconds: int, leased: bool
) -> None:
    leave_open(claim, seconds)
    if not leased:
        claim.complete()
    sweeper.sweep()
    assert row().state == "started"


@pytest.mark.databases
def test_rows_left_open_are_found_over_the_index_of_open_rows(claim: Claim) -> None:
    reserve(claim)
    TokenUsage.objects.bulk_create(
        TokenUsage(
            session=claim.session, operation="narrate", model=MODEL, max_tokens=1, state="final"
        )
        for _ in range(2000)
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE stories_tokenusage")
        assert "usage_open" in ledger.left_open().explain()


def test_an_unknown_price_is_said_once_and_is_not_zero(claim: Claim) -> None:
    for _ in range(2):
        reserve(claim, "no-such-model").close(final(model="no-such-model"))
    assert stats(claim).unpriced == 2
    assert Message.objects.filter(code=ledger.UNPRICED).count() == 1
    shown = ledger.payload(TokenUsage.objects.earliest("pk"))
    assert (shown["lower"], shown["upper"]) == (None, None)
    assert stats(claim).input_tokens == 2000
    assert list(audits.run()) == []


@pytest.mark.databases
def test_bounds_in_the_wrong_order_are_refused_by_the_database(claim: Claim) -> None:
    reserve(claim)
    with pytest.raises(DatabaseError), transaction.atomic():
        TokenUsage.objects.update(cost_lower=2, cost_upper=1)


def test_what_is_uncertain_counts_as_spent(claim: Claim) -> None:
    session = claim.session
    assert not budget.over_budget(session)
    reserve(claim)
    take_over(claim)
    upper = stats(claim).cost_upper
    assert budget.over_budget(sessions.change(session, budget=upper))
    assert not budget.over_budget(sessions.change(session, budget=upper + 1))


def test_the_ledger_remembers_the_attempts_of_its_story(claim: Claim) -> None:
    ledger = SessionLedger(claim, Purpose(source="narration"))
    made = [
        ledger.reserve(model=MODEL, operation="narrate", max_tokens=1, input_upper=1).id
        for _ in range(2)
    ]
    assert ledger.attempts == made
