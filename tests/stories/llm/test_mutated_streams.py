"""Mutated streams: what is marked exact equals what was served, and bounds contain it.

The seed is fixed, so a failure can be repeated; its message names the stream and its mutations.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from sessions_app import audits
from sessions_app.background import steps
from sessions_app.errors import SmnbError
from sessions_app.models import Session, SessionStats
from stories.llm import Credentials, Gateway
from stories.llm.attempt import Exchange
from stories.models import TokenUsage
from stories.usage import pricing
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Close, Counts
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.ledger import MemoryLedger
from tests.stories.llm import mutated_streams
from tests.stories.llm.mutated_streams import SENSELESS, Stream, dearest, mutated, read
from tests.stories.llm.test_recordings import STREAMS

pytestmark = pytest.mark.slow

SEED = 20261128
MUTANTS = 1500


def closed(stream: Stream) -> Close:
    """Returns how the ledger closes the stream, without HTTP."""
    ledger = MemoryLedger()
    ask = stream.ask()
    attempt = ledger.reserve(
        model=ask.model,
        operation="narrate",
        max_tokens=ask.max_tokens,
        input_upper=ask.input_upper(),
    )
    exchange = Exchange(ask, attempt)
    exchange.sending()
    for event in stream.events:
        exchange.take(event)
    return exchange.closing()


def originals() -> list[Stream]:
    streams = []
    for path, counts in STREAMS:
        stream = read(path, counts, 0)
        close = closed(stream)
        assert close.state == "final", (path.name, close.doubt)
        # The table of the recordings leaves out searches; they are read from the file itself.
        searches = Counts(web_searches=close.counts.web_searches - counts.web_searches)
        stream.counts = counts + searches
        assert close.counts == stream.counts, path.name
        bounds = pricing.bounds(close)
        assert bounds.lower == bounds.upper > 0, path.name
        stream.cost = bounds.lower
        streams.append(stream)
    return streams


ORIGINALS = originals()


def written(counts: Counts) -> int:
    return counts.cache_write_5m + counts.cache_write_1h


def problem(stream: Stream, close: Close) -> str:
    """Returns what is wrong about a close, or nothing."""
    try:
        bounds = pricing.bounds(close)
    except pricing.UnknownModel:
        bounds = None
    if close.state == "final":
        if stream.events == [] or close.counts != stream.counts or stream.extra:
            return f"exact, but {close.counts} is not {stream.counts}"
        if bounds is None:
            return ""
        if not stream.priced or bounds.lower != bounds.upper or bounds.lower != stream.cost:
            return f"exact, but {bounds} is not {stream.cost}"
        return ""
    served, known = stream.counts, close.counts
    pairs = (
        (known.input, served.input),
        (known.output, max(served.output, 1)),
        (known.cache_read, served.cache_read),
        (written(known), written(served)),
        (known.web_searches, served.web_searches),
    )
    if any(low > real for low, real in pairs):
        return f"bounded, but {known} is more than {served}"
    if bounds is not None and stream.priced:
        real = stream.cost + stream.extra * dearest(close.model)
        if bounds.upper < real or (stream.model_is_known and bounds.lower > stream.cost):
            return f"bounded, but {bounds} does not contain {real}"
    return ""


def test_of_mutated_streams_none_is_marked_exact_wrongly() -> None:
    random = Random(SEED)
    wrong, states = [], Counter[str]()
    for _ in range(MUTANTS):
        stream, mutations = mutated(random.choice(ORIGINALS), random)
        close = closed(stream)
        states[close.state] += 1
        if what := problem(stream, close):
            wrong.append(f"{stream.name} {mutations}: {what}")
    assert wrong == []
    # A reader that trusts nothing would pass too: harmless mutations must leave a row exact.
    assert min(states["final"], states["bounded"]) > MUTANTS // 10


@pytest.mark.django_db(transaction=True)
def test_mutated_answers_over_http_are_booked_with_true_bounds(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK reads a text or a float that is a whole number as that number, before our reader.
    readable = [value for value in SENSELESS if isinstance(value, list | dict) or value != value]
    monkeypatch.setattr(mutated_streams, "SENSELESS", (*readable, 10**15, -1, 1.5, ""))
    random = Random(SEED + 1)
    claim = steps.claim(steps.enqueue(session, "narrate", 1).pk)
    assert claim is not None
    ledger = SessionLedger(claim, Purpose(source="narration"))
    for number in range(36):
        stream, mutations = mutated(random.choice(ORIGINALS), random)
        path = tmp_path / f"{number}.sse"
        path.write_bytes(stream.body() or b": nothing\n\n")
        with AnthropicStandIn(path) as server:
            try:
                gateway = Gateway(Credentials("sk-test", server.url), deadline=20)
                gateway.stream(stream.ask(), ledger, lambda _: None)
            except SmnbError:
                pass
        row = TokenUsage.objects.get(attempt=ledger.attempts[-1])
        assert row.state in ("final", "bounded"), mutations
        if row.exact:
            counts = Counts(
                row.input_tokens,
                row.output_tokens,
                row.cache_read_tokens,
                row.cache_write_5m_tokens,
                row.cache_write_1h_tokens,
                row.web_searches,
            )
            assert counts == stream.counts, (stream.name, mutations)
            assert row.unpriced or row.cost_lower == row.cost_upper == stream.cost
        elif stream.priced and not row.unpriced:
            real = stream.cost + stream.extra * dearest(row.model)
            low = row.cost_lower if stream.model_is_known else 0
            assert low <= real <= row.cost_upper, (stream.name, mutations)
    assert SessionStats.objects.get(session=session).cost_upper > 0
    assert list(audits.run()) == []
