"""Recorded streams through the real SDK: the booked counts are the final ones of the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions_app.errors import SmnbError
from stories.llm import Ask, Credentials, Gateway
from stories.llm.attempt import ReportedUsage
from stories.usage import pricing
from stories.usage.types import Counts
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.ledger import MemoryLedger

ROOT = Path(__file__).resolve().parents[3]
OURS = ROOT / "tests" / "data" / "anthropic"
SHARED = ROOT.parent / "shared" / "fixtures" / "anthropic"
# Passes that are listed in usage.iterations only.
BESIDE = {"stream_iterations_advisor_sonnet5.sse": Counts(2543, 18)}
SDK_STREAMS = {
    "basic_response.sse": Counts(11, 6),
    "refusal_stop_details.sse": Counts(28, 106),
    "fallback_relabel.sse": Counts(25, 8),
    "incomplete_partial_json.sse": Counts(450, 124),
    "message_delta_raises_input_tokens.sse": Counts(61, 2),
}


def _rows(suffix: str) -> Iterator[tuple[Path, list[int]]]:
    """Reads the table of the recordings: in, out, cache write, cache read, of which 5m and 1h."""
    readme = SHARED.parent / "README.md"
    lines = readme.read_text().splitlines() if readme.exists() else []
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 12 and cells[1].endswith(suffix) and (SHARED / cells[1]).exists():
            yield SHARED / cells[1], [0 if one == "None" else int(one) for one in cells[5:11]]


def _of_row(numbers: list[int]) -> Counts:
    fresh, output, written, read, _, one_hour = numbers
    return Counts(fresh, output, read, written - one_hour, one_hour)


def streams() -> Iterator[tuple[Path, Counts]]:
    for name, numbers in json.loads((OURS / "expected.json").read_text()).items():
        yield OURS / name, Counts(*numbers)
    for path, numbers in _rows(".sse"):
        yield path, _of_row(numbers) + BESIDE.get(path.name, Counts())
    for name, counts in SDK_STREAMS.items():
        if (SHARED / "sdk_fixtures" / name).exists():
            yield SHARED / "sdk_fixtures" / name, counts


STREAMS = list(streams())
MESSAGES = list(_rows(".json"))
ERRORS = [
    path
    for folder in (OURS / "errors", SHARED / "errors")
    for path in sorted(folder.glob("4*.json")) + sorted(folder.glob("5*.json"))
    if not path.name.endswith((".meta.json", ".request.json"))
]


def _is_plain(path: Path) -> bool:
    """Returns one plain question: no tools, documents or history."""
    asked = json.loads(path.read_text())
    return not asked.get("tools") and "document" not in str(asked) and len(asked["messages"]) == 1


REQUESTS = [path for path in sorted(SHARED.glob("*.request.json")) if _is_plain(path)]


def _asked(path: Path) -> tuple[MemoryLedger, str | SmnbError]:
    ledger = MemoryLedger()
    ask = Ask(model="claude-asked", system="s", prompt="p", max_tokens=50)
    with AnthropicStandIn(path) as server:
        try:
            answer = Gateway(Credentials("sk-test", server.url)).stream(ask, ledger, lambda _: None)
        except SmnbError as error:
            return ledger, error
    return ledger, answer.text


@pytest.mark.parametrize(("path", "expected"), STREAMS, ids=[path.stem for path, _ in STREAMS])
def test_a_recorded_stream_is_booked_to_the_token(path: Path, expected: Counts) -> None:
    ledger, _ = _asked(path)
    close = ledger.last
    searches = Counts(web_searches=close.counts.web_searches)
    assert (close.state, close.counts - searches) == (
        "final",
        expected - Counts(web_searches=expected.web_searches),
    )
    assert close.output_lower == close.output_upper == expected.output
    assert close.stop_reason


@pytest.mark.parametrize("path", [path for path, _ in STREAMS], ids=lambda path: path.stem)
def test_the_model_of_every_recorded_stream_has_a_price(path: Path) -> None:
    ledger, _ = _asked(path)
    bounds = pricing.bounds(ledger.last)
    assert bounds.lower == bounds.upper > 0


@pytest.mark.parametrize(("path", "numbers"), MESSAGES, ids=[path.stem for path, _ in MESSAGES])
def test_a_recorded_message_counts_as_its_table_says(path: Path, numbers: list[int]) -> None:
    message = json.loads(path.read_text())
    usage = ReportedUsage()
    usage.take(message["usage"], final=True)
    usage.check_complete()
    counts = usage.least()
    assert not usage.doubts
    searches = Counts(web_searches=counts.web_searches)
    assert counts - searches == _of_row(numbers)
    assert pricing.price(message["model"], counts).cost > 0


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: f"{path.parents[2].name}-{path.stem}")
def test_a_recorded_error_costs_nothing_and_says_what_to_do(path: Path) -> None:
    ledger, error = _asked(path)
    assert isinstance(error, SmnbError)
    assert error.code not in ("error", "stream_broken")
    assert (ledger.last.state, ledger.last.counts) == ("final", Counts())
    assert ledger.last.error == error.code


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_no_recorded_question_was_larger_than_its_upper_bound(path: Path) -> None:
    asked = json.loads(path.read_text())
    sizes = {found.stem: _of_row(numbers) for found, numbers in [*MESSAGES, *_rows(".sse")]}
    counts = sizes[path.name.removesuffix(".request.json")]
    system = json.dumps(asked.get("system", ""))
    ask = Ask("m", system, json.dumps(asked["messages"]), 1, asked.get("output_config"))
    assert ask.input_upper() >= counts.input + counts.cache_read + counts.cache_write_5m


def test_the_passes_beside_the_answer_are_counted_and_priced_at_their_own_model() -> None:
    ledger, _ = _asked(OURS / "advisor_and_compaction.sse")
    close = ledger.last
    assert [one.model for one in close.passes] == ["claude-opus-4-8", "claude-sonnet-5"]
    assert close.counts == Counts(2200, 155)
    own = 1400 * 2_000_000 + 130 * 10_000_000
    adviser = 800 * 5_000_000 + 25 * 25_000_000
    assert pricing.bounds(close).lower == own + adviser


def test_a_search_is_counted_beside_the_tokens() -> None:
    ledger, _ = _asked(OURS / "late_cache_and_search.sse")
    assert ledger.last.counts == Counts(230, 44, 0, 1500, 0, 1)


def test_the_model_that_answers_is_the_one_that_is_priced() -> None:
    ledger, answer = _asked(OURS / "fallback.sse")
    assert answer == "Another voice answers."
    assert ledger.last.model == "claude-sonnet-4-5"


def test_thinking_is_paid_for_and_never_said() -> None:
    ledger, answer = _asked(OURS / "thinking.sse")
    assert answer == "Snow fell early."
    assert ledger.last.counts.output == 39
