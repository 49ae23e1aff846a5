"""The usage of an answer is read with mistrust: each doubt makes it bounded, and is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessions_app import audits
from sessions_app.background import steps
from sessions_app.models import Message, Session, SessionStats
from stories.llm import Answer, Ask, Credentials, Gateway
from stories.llm.attempt import ReportedUsage
from stories.models import TokenUsage
from stories.usage.ledger import DOUBTFUL, UNPRICED, Purpose, SessionLedger
from stories.usage.types import Counts
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-haiku-5-5"
ASK = Ask(model=MODEL, system="Be brief.", prompt="p" * 1000, max_tokens=500)
START = {"input_tokens": 400, "output_tokens": 1}
END = {"output_tokens": 50}


def stream(start: object, end: object) -> bytes:
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant"}
    message |= {"model": MODEL, "content": [], "stop_reason": None, "usage": start}
    text = {"type": "text_delta", "text": "The ferry leaves at six."}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def booked(
    session: Session, tmp_path: Path, start: object = START, end: object = END
) -> tuple[TokenUsage, Answer]:
    """Has a model answer with these two usage objects; returns the row and the answer."""
    path = tmp_path / "answer.sse"
    path.write_bytes(stream(start, end))
    claim = steps.claim(steps.enqueue(session, "narrate", 1).pk)
    assert claim is not None
    ledger = SessionLedger(claim, Purpose(source="narration"))
    with AnthropicStandIn(path) as server:
        answer = Gateway(Credentials("sk-test", server.url)).stream(ASK, ledger, lambda _: None)
    assert list(audits.run()) == []
    return TokenUsage.objects.get(), answer


def test_a_usual_report_is_exact(session: Session, tmp_path: Path) -> None:
    row, _ = booked(session, tmp_path)
    assert (row.state, row.doubt, row.input_tokens, row.output_tokens) == ("final", "", 400, 50)
    assert not Message.objects.filter(code=DOUBTFUL).exists()


@pytest.mark.parametrize(
    ("start", "end", "doubt"),
    [
        ({"input_tokens": 10**15, "output_tokens": 1}, END, "usage_implausible, usage_missing"),
        (START, {"output_tokens": 10**15}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": 2**31}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": 10**40}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": -50}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": 50.5}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": "many"}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": [50]}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": float("nan")}, "usage_implausible, usage_missing"),
        (START, {"output_tokens": None}, "usage_missing"),
        (START, {"output_tokens": 0}, "usage_contradicts, usage_missing"),
        (START, {**END, "cache_read_input_tokens": 10**15}, "usage_implausible"),
        (START, {**END, "cache_creation": {"ephemeral_5m_input_tokens": -1}}, "usage_implausible"),
        (START, {**END, "input_tokens": 30}, "usage_contradicts"),
        (None, None, "usage_missing"),
        (START, None, "usage_missing"),
        (None, END, "usage_missing"),
        ({"input_tokens": 0, "output_tokens": 1}, END, "usage_missing"),
        (START, {**END, "audio_tokens": 7}, "usage_unknown_field"),
        (START, {**END, "tools": [{"image_tokens": 7}]}, "usage_unknown_field"),
        (START, {**END, "iterations": [{"type": "message", **END}]}, "usage_contradicts"),
    ],
)
def test_a_doubtful_report_is_bounded_and_the_answer_is_used(
    session: Session, tmp_path: Path, start: object, end: object, doubt: str
) -> None:
    row, answer = booked(session, tmp_path, start, end)
    assert answer.text == "The ferry leaves at six."
    assert (row.state, row.doubt, row.error) == ("bounded", doubt, "")
    # A call of 400 and 50 tokens at $0.1 and $0.5 per million cost $0.000065.
    assert row.cost_lower <= 65_000_000 <= row.cost_upper < 2_000_000_000
    assert row.input_tokens <= 400
    assert 1 <= row.output_tokens <= 50
    # The answer was complete, so it is an operation of the AI chain.
    assert row.link is not None
    assert Message.objects.filter(code=DOUBTFUL).count() == 1
    stats = SessionStats.objects.get(session=session)
    assert stats.cost_upper == row.cost_upper


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ({**END, "service_tier": "priority"}, "the priority tier"),
        ({**END, "service_tier": 3}, "the service tier “unreadable”"),
        ({**END, "speed": "fast"}, "the fast mode"),
        ({**END, "inference_geo": "eu"}, "inference in “eu”"),
        ({**END, "server_tool_use": {"code_execution_requests": 2}}, "code_execution_requests"),
        ({**END, "server_tool_use": {"web_search_requests": 10**9}}, "web_search_requests"),
    ],
)
def test_what_has_no_known_price_is_flagged_and_counted(
    session: Session, tmp_path: Path, end: object, sentence: str
) -> None:
    row, _ = booked(session, tmp_path, START, end)
    assert row.unpriced
    assert (row.input_tokens, row.output_tokens) == (400, 50)
    assert f"No price is known for {sentence} of" in Message.objects.get(code=UNPRICED).text
    assert SessionStats.objects.get(session=session).unpriced == 1


@pytest.mark.parametrize("value", [True, False, 1.0, "1", [1], -1])
def test_only_a_whole_number_is_a_count(value: object) -> None:
    usage = ReportedUsage()
    usage.take({"input_tokens": value, "output_tokens": 1}, final=False)
    assert usage.doubts == {"usage_implausible"}
    assert usage.least() == Counts(input=0, output=1)


def test_of_counts_that_contradict_each_other_the_smallest_are_booked(
    session: Session, tmp_path: Path
) -> None:
    row, _ = booked(session, tmp_path, START, {"input_tokens": 30, "output_tokens": 50})
    assert (row.state, row.doubt) == ("bounded", "usage_contradicts")
    assert (row.input_tokens, row.output_tokens) == (30, 1)


@pytest.mark.parametrize(("total", "five_minutes"), [(10, 0), (30, 0), (70, 40)])
def test_the_total_of_cache_writes_wins_over_their_split(
    session: Session, tmp_path: Path, total: int, five_minutes: int
) -> None:
    split = {"ephemeral_1h_input_tokens": 30, "ephemeral_5m_input_tokens": 0}
    written = {"cache_creation_input_tokens": total, "cache_creation": split}
    row, _ = booked(session, tmp_path, {**START, **written}, END)
    assert (row.state, row.doubt, row.input_tokens) == ("final", "", 400)
    hour = total - five_minutes
    assert (row.cache_write_5m_tokens, row.cache_write_1h_tokens) == (five_minutes, hour)


def test_fetching_pages_costs_their_tokens_alone(session: Session, tmp_path: Path) -> None:
    row, _ = booked(session, tmp_path, START, {**END, "server_tool_use": {"web_fetch_requests": 3}})
    assert (row.state, row.unpriced) == ("final", False)


@pytest.mark.databases
def test_names_that_cannot_be_stored_do_no_harm(session: Session, tmp_path: Path) -> None:
    row, _ = booked(
        session, tmp_path, {**START, "service_tier": "stand\x00ard", "inference_geo": "\ud800"}
    )
    assert (row.service_tier, row.inference_geo) == ("standard", "unreadable")
