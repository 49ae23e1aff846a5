"""A budget holds: what is spent and what is reserved never exceed it together.

The schedules are seeded; ``make chaos ARGS="tests --long"`` runs a thousand of them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from django.db import connection, transaction
from django.db.models import F, Sum

from sessions_app import audits, sessions
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Claim
from sessions_app.errors import NeedsHuman, Retry, SmnbError
from sessions_app.models import Session, SessionStats
from stories.llm import Ask, Credentials, Gateway
from stories.models import TokenUsage
from stories.usage import budget, ledger, pricing
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Attempt, Close, Counts
from tests.concurrency import forked, together
from tests.conftest import MakeSession
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-haiku-4-5"
# 1,000 tokens in and 200 out, at $1 and $5 per million.
UPPER = 1000 * 1_000_000 + 200 * 5_000_000


def claim_of(session: Session, subject: int = 1) -> Claim:
    claim = steps.claim(steps.enqueue(session, "narrate", subject).pk)
    assert claim is not None
    return claim


def reserve(claim: Claim, model: str = MODEL) -> Attempt:
    return SessionLedger(claim, Purpose(source="narration")).reserve(
        model=model, operation="narrate", max_tokens=200, input_upper=1000
    )


def final(counts: Counts) -> Close:
    return Close(state="final", counts=counts, model=MODEL, stop_reason="end_turn")


def committed(session: Session) -> int:
    """Returns what is spent and reserved, read at one moment."""
    with transaction.atomic():
        # The lock of the counters makes both sums those of one moment on PostgreSQL too.
        SessionStats.objects.filter(session=session).update(last_seq=F("last_seq"))
        spent = SessionStats.objects.get(session=session).cost_upper
        rows = TokenUsage.objects.filter(session=session, state__in=TokenUsage.OPEN)
        return int(spent + rows.aggregate(sum=Sum("cost_upper", default=0))["sum"])


@pytest.mark.databases
def test_a_call_is_reserved_at_its_upper_bound_and_closed_at_its_cost(session: Session) -> None:
    sessions.change(session, budget=2 * UPPER)
    attempt = reserve(claim_of(session))
    assert committed(session) == UPPER
    # An open row counts nothing yet in the figures.
    assert SessionStats.objects.get(session=session).cost_upper == 0
    attempt.close(final(Counts(input=400, output=20)))
    assert committed(session) == 400 * 1_000_000 + 20 * 5_000_000
    assert list(audits.run()) == []


def test_a_call_that_does_not_fit_waits_with_the_reason(session: Session) -> None:
    sessions.change(session, budget=UPPER + UPPER // 2)
    claim = claim_of(session)
    first = reserve(claim)
    # It would fit if the call under way cost little.
    with pytest.raises(Retry, match="Calls under way may need the rest of the budget") as waits:
        reserve(claim)
    assert waits.value.code == "budget"
    first.close(final(Counts(input=1000, output=200)))
    with pytest.raises(NeedsHuman) as refused:
        reserve(claim)
    assert refused.value.code == "budget"
    assert "may cost up to $0.0020, and $0.0010 of the session's budget is left" in str(
        refused.value
    )
    assert TokenUsage.objects.count() == 1
    sessions.change(session, budget=2 * UPPER)
    reserve(claim)
    assert TokenUsage.objects.count() == 2


def test_the_calls_of_another_session_reserve_nothing_here(make_session: MakeSession) -> None:
    one, other = make_session(), make_session()
    for subject, session in enumerate((one, other)):
        sessions.change(session, budget=UPPER + UPPER // 2)
        reserve(claim_of(session, subject))
    assert (committed(one), committed(other)) == (UPPER, UPPER)


def test_the_bound_covers_the_cache_and_the_dearest_region() -> None:
    # 1,000 x 5 x 1.25 + 200 x 25 millionths, and a tenth more
    cached = pricing.most("claude-opus-5", input_upper=1000, max_tokens=200, cached=True)
    assert cached == (1000 * 6_250_000 + 200 * 25_000_000) * 11 // 10
    plain = pricing.most("claude-opus-5", input_upper=1000, max_tokens=200, cached=False)
    assert plain == (1000 * 5_000_000 + 200 * 25_000_000) * 11 // 10


def test_without_a_price_no_call_is_made_within_a_budget(session: Session) -> None:
    claim = claim_of(session)
    sessions.change(session, budget=10**18)
    with pytest.raises(NeedsHuman, match="No price is known for the model “no-such-model”"):
        reserve(claim, "no-such-model")
    sessions.change(session, budget=None)
    reserve(claim, "no-such-model")


def test_the_reservation_of_a_dead_call_becomes_its_bound(session: Session) -> None:
    sessions.change(session, budget=2 * UPPER)
    claim = claim_of(session)
    reserve(claim)
    claim.complete()
    TokenUsage.objects.update(created_at=steps.now() - ledger.LEFT_OPEN - timedelta(seconds=1))
    sweeper.sweep()
    row = TokenUsage.objects.get()
    assert (row.state, row.cost_lower, row.cost_upper) == ("bounded", 0, UPPER)
    assert SessionStats.objects.get(session=session).cost_upper == UPPER
    assert committed(session) == UPPER


def test_a_call_without_a_price_counts_what_was_reserved_for_it(session: Session) -> None:
    sessions.change(session, budget=10 * UPPER)
    reserve(claim_of(session)).close(
        Close(
            state="final",
            counts=Counts(10, 10),
            model=MODEL,
            stop_reason="end_turn",
            service_tier="priority",
        )
    )
    row = TokenUsage.objects.get()
    assert (row.unpriced, row.cost_lower, row.cost_upper) == (True, 0, UPPER)
    assert list(audits.run()) == []


def any_end(random: Random) -> Callable[[Attempt], None]:
    """Returns how a call may end: exact, broken, with nothing served, or with a dead worker."""
    counts = Counts(input=random.randint(1, 1000), output=random.randint(1, 200))
    ends: list[Callable[[Attempt], None]] = [
        lambda attempt: attempt.close(final(counts)),
        lambda attempt: attempt.close(final(Counts())),
        lambda attempt: attempt.close(
            Close(
                state="bounded",
                counts=Counts(input=counts.input, output=1),
                model=MODEL,
                output_lower=1,
                output_upper=200,
                error="stream_broken",
            )
        ),
        lambda attempt: attempt.started(MODEL, "msg", "req", Counts(counts.input, 1)),
    ]
    return random.choice(ends)


@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_of_calls_passes_the_budget(session: Session, seed: int) -> None:
    try_schedule(session, Random(seed))


def try_schedule(session: Session, random: Random) -> None:
    """Reserves, ends and abandons calls at random; the budget holds after each of these."""
    limit = random.randint(UPPER // 2, 6 * UPPER)
    sessions.change(session, budget=limit)
    claim = claim_of(session)
    under_way: list[Attempt] = []
    refusals: list[str] = []
    for _ in range(random.randint(8, 20)):
        action = random.random()
        if action < 0.55:
            try:
                under_way.append(reserve(claim))
            except (NeedsHuman, Retry) as error:
                refusals.append(error.code)
        elif action < 0.9 and under_way:
            any_end(random)(under_way.pop(random.randrange(len(under_way))))
        else:
            # The worker died; the sweeper closes what it left open.
            old = steps.now() - ledger.LEFT_OPEN - timedelta(seconds=1)
            TokenUsage.objects.filter(state__in=TokenUsage.OPEN).update(created_at=old)
            sweeper.sweep()
        assert committed(session) <= limit
    assert set(refusals) <= {"budget"}
    assert list(audits.run()) == []


@pytest.mark.databases
def test_parallel_calls_never_pass_the_budget_at_any_moment(session: Session) -> None:
    limit = 5 * UPPER
    sessions.change(session, budget=limit)
    claim = claim_of(session)
    highest, refused, stop = [0], [0], threading.Event()

    def caller(index: int) -> None:
        random = Random(index)
        for _ in range(8):
            try:
                attempt = reserve(claim)
            except SmnbError:
                refused[0] += 1
            else:
                any_end(random)(attempt)

    def observer() -> None:
        # Without a pause it would hold the lock of the database most of the time.
        while not stop.wait(0.002):
            highest[0] = max(highest[0], committed(session))
        connection.close()

    watch = threading.Thread(target=observer)
    watch.start()
    try:
        together(6, caller)
    finally:
        stop.set()
        watch.join()
    assert 0 < max(highest[0], committed(session)) <= limit
    # The budget was really contested.
    assert refused[0] > 0
    assert list(audits.run()) == []


@pytest.mark.databases
@pytest.mark.parametrize("seed", range(2))
def test_processes_killed_at_any_moment_never_pass_the_budget(session: Session, seed: int) -> None:
    random = Random(seed)
    limit = random.randint(2 * UPPER, 6 * UPPER)
    sessions.change(session, budget=limit)
    claim = claim_of(session)

    def caller(number: int) -> None:
        chosen = Random(f"{seed}.{number}")
        for _ in range(6):
            try:
                attempt = reserve(claim)
            except SmnbError:
                continue
            any_end(chosen)(attempt)

    callers = [forked(partial(caller, number)) for number in range(3)]
    # One is left alone, so that not all of them die before they have reserved anything.
    for pid in callers[1:]:
        time.sleep(random.uniform(0, 0.1))
        assert committed(session) <= limit
        os.kill(pid, signal.SIGKILL)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in callers]
    assert ends[0] == 0
    assert set(ends) <= {0, -signal.SIGKILL}
    assert 0 < committed(session) <= limit
    claim.complete()
    TokenUsage.objects.update(created_at=steps.now() - ledger.LEFT_OPEN - timedelta(seconds=1))
    sweeper.sweep()
    assert not TokenUsage.objects.filter(state__in=TokenUsage.OPEN).exists()
    assert SessionStats.objects.get(session=session).cost_upper <= limit
    assert list(audits.run()) == []


@pytest.mark.databases
def test_real_calls_at_once_cost_no_more_than_the_budget(session: Session) -> None:
    # Two cents, for calls of up to about half a cent each.
    limit = 20_000_000_000
    sessions.change(session, budget=limit)
    claim = claim_of(session)
    ask = Ask(model=MODEL, system="Be brief.", prompt="p" * 2000, max_tokens=300)
    with AnthropicStandIn() as server:
        server.text = "word " * 290
        refusals: list[str] = []
        gateway = Gateway(Credentials("sk-test", server.url))

        def caller(_index: int) -> int:
            book = SessionLedger(claim, Purpose(source="narration"))
            answers = 0
            for _ in range(4):
                try:
                    gateway.stream(ask, book, lambda _: None)
                    answers += 1
                except (NeedsHuman, Retry) as error:
                    refusals.append(error.code)
            return answers

        answers = sum(together(6, caller))
        served = pricing.price(MODEL, server.total).cost
    assert set(refusals) == {"budget"}
    assert 3 <= answers == len(server.served) < 24
    assert served == SessionStats.objects.get(session=session).cost_upper <= limit
    assert budget.over_budget(session) == (served >= limit)
