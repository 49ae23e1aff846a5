"""The provider's cache: its tokens are booked, and its savings are shown as money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sessions_app import audits
from sessions_app.background import steps
from sessions_app.models import Session, SessionStats
from stories.llm import Ask, Credentials, Gateway, Turn
from stories.models import TokenUsage
from stories.usage import pricing
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.pricing import UnknownModel
from stories.usage.types import Close, Counts, Pass
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.ledger import MemoryLedger

MODEL = "claude-sonnet-4-6"
LONG = "You know everything about tides and mills. " * 120  # 1,290 tokens of the stand-in
ASK = Ask(model=MODEL, system=LONG, prompt="What is the tide?", max_tokens=400, cached=True)


@pytest.fixture
def server() -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as running:
        yield running


@pytest.fixture
def ledger(session: Session) -> SessionLedger:
    held = steps.claim(steps.enqueue(session, "narrate", 1).pk)
    assert held is not None
    return SessionLedger(held, Purpose(source="chat"))


def ask(server: AnthropicStandIn, ledger: MemoryLedger | SessionLedger, ask: Ask = ASK) -> None:
    Gateway(Credentials("sk-test", server.url)).stream(ask, ledger, lambda _: None)


def closing(counts: Counts, model: str = MODEL, **more: str) -> Close:
    return Close(state="final", model=model, counts=counts, service_tier=more.get("tier"))


def test_the_first_question_writes_the_cache_and_the_next_ones_read_it(
    server: AnthropicStandIn,
) -> None:
    ledger = MemoryLedger()
    for prompt in ("What is the tide?", "And when?"):
        ask(server, ledger, replace(ASK, prompt=prompt))
    first, second = (attempt.closes[0].counts for attempt in ledger.attempts)
    assert (first.cache_read, first.cache_write_5m) == (0, 1290)
    assert (second.cache_read, second.cache_write_5m) == (1290, 0)
    assert first.input < 20
    assert ledger.total == server.total


def test_what_was_said_before_goes_before_the_question(server: AnthropicStandIn) -> None:
    history = (Turn("user", "What is the tide?"), Turn("assistant", "High."))
    ask(server, MemoryLedger(), replace(ASK, prompt="And when?", history=history))
    body = server.requests[-1].body.decode()
    assert body.index("What is the tide?") < body.index("High.") < body.index("And when?")


@pytest.mark.parametrize(
    "changes", [{"cached": False}, {"system": "Be brief."}, {"model": "claude-haiku-4-5"}]
)
def test_what_is_too_short_or_not_wanted_is_not_cached(
    server: AnthropicStandIn, changes: dict[str, str]
) -> None:
    ledger = MemoryLedger()
    for _ in range(2):
        ask(server, ledger, replace(ASK, **changes))  # type: ignore[arg-type]
    assert (ledger.total.cache_read, ledger.total.cache_write_5m) == (0, 0)
    assert ledger.total == server.total


@pytest.mark.parametrize(
    ("counts", "by_hand"),
    [
        (Counts(1000, 200), 0),
        # 1,000,000 x (3 - 0.3) millionths
        (Counts(10, 200, cache_read=1_000_000), 2_700_000_000_000),
        # 1,000,000 x (3 - 3.75)
        (Counts(10, 200, cache_write_5m=1_000_000), -750_000_000_000),
        # 1000 x (3 - 6) + 10,000 x (3 - 0.3)
        (Counts(10, 200, cache_read=10_000, cache_write_1h=1000), 24_000_000_000),
    ],
)
def test_what_the_cache_saved_equals_the_sum_by_hand(counts: Counts, by_hand: int) -> None:
    assert pricing.saved(closing(counts)) == by_hand


def test_in_a_batch_it_saves_half() -> None:
    counts = Counts(10, 200, cache_read=10_000)
    assert 2 * pricing.saved(closing(counts, tier="batch")) == pricing.saved(closing(counts))


def test_each_pass_saves_at_the_price_of_its_own_model() -> None:
    extra = Pass("claude-haiku-4-5", Counts(cache_read=1_000_000))
    close = replace(closing(Counts(cache_read=1_000_000)), passes=(extra,))
    assert pricing.saved(close) == 900_000_000_000


def test_nothing_is_guessed_for_a_model_without_a_price() -> None:
    with pytest.raises(UnknownModel):
        pricing.saved(closing(Counts(cache_read=10), model="claude-sonnet-99"))


@pytest.mark.django_db(transaction=True)
def test_what_was_saved_is_booked_with_the_call(
    server: AnthropicStandIn, ledger: SessionLedger, session: Session
) -> None:
    for _ in range(2):
        ask(server, ledger)
    rows = list(TokenUsage.objects.order_by("id").values_list("cache_saved", flat=True))
    assert rows == [-1290 * 750_000, 1290 * 2_700_000]
    assert SessionStats.objects.get(session=session).cache_saved == sum(rows)
    assert list(audits.run()) == []
