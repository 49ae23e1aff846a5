"""Documents of the old system: optional fields, and values that make a row invalid."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sessions_app.errors import Invalid
from stories.legacy.documents import SessionDocument, StoryDocument, UsageDocument, read
from stories.legacy.mapping import price
from stories.usage.pricing import price as asked
from stories.usage.types import Counts
from tests.legacy_exports import DAMAGES, session, story, usage

ROWS = {"sessions": session(), "story_history": story(), "token_usage": usage()}


def load(table: str, **changes: Any) -> Any:
    row = {key: each for key, each in {**ROWS[table], **changes}.items() if each is not ...}
    return read(table, json.dumps(row).encode())


def test_moments_are_milliseconds_and_numbers_floats() -> None:
    found = load("story_history", created_at=1759241890760.5, word_count=52.0)
    assert isinstance(found, StoryDocument)
    assert found.at == datetime(2025, 9, 30, 14, 18, 10, 760500, UTC)
    assert (found.word_count, found.duration) == (52, 16)


def test_a_session_has_the_moment_of_its_row_and_its_own_id() -> None:
    found = load("sessions", _creationTime=1759241722513.942)
    assert isinstance(found, SessionDocument)
    assert found.at == datetime(2025, 9, 30, 14, 15, 22, 513942, UTC)
    assert found.session_id == session()["_id"]


OPTIONAL = [
    ("sessions", "broadcastState"),
    ("story_history", "title"),
    ("story_history", "topics"),
    ("story_history", "session_id"),
    ("story_history", "original_item"),
    ("token_usage", "duration"),
    ("token_usage", "session_id"),
    ("token_usage", "error_message"),
]


@pytest.mark.parametrize(("table", "field"), OPTIONAL)
@pytest.mark.parametrize("absent", [None, ...])
def test_an_optional_field_may_be_absent_or_null(table: str, field: str, absent: Any) -> None:
    load(table, **{field: absent})


@pytest.mark.parametrize("table", ROWS)
def test_unknown_fields_are_ignored(table: str) -> None:
    load(table, another={"deep": [1, None, "NaN is a word here"]})


WRONG = [
    ("sessions", "name", 7),
    ("sessions", "status", "sleeping"),
    ("sessions", "settings", None),
    ("sessions", "settings", {}),
    ("sessions", "_id", ""),
    ("sessions", "_id", "a b"),
    ("sessions", "_id", "x" * 65),
    ("sessions", "_id", "k\0"),
    ("sessions", "userId", ...),
    ("story_history", "narrative", ["text"]),
    ("story_history", "narrative", " \u200b "),
    ("story_history", "tone", "sarcastic"),
    ("story_history", "priority", 1),
    ("story_history", "created_at", "2025-09-30"),
    ("story_history", "created_at", 0),
    ("story_history", "created_at", 9e15),
    ("story_history", "created_at", True),
    ("story_history", "completed_at", {"$float": "AAAAAAAA+H8="}),
    ("story_history", "duration", -1),
    ("story_history", "word_count", 5.5),
    ("story_history", "topics", "Economy"),
    ("story_history", "session_id", 5),
    ("story_history", "original_item", []),
    ("story_history", "story_id", ...),
    ("token_usage", "input_tokens", "12"),
    ("token_usage", "output_tokens", -3),
    ("token_usage", "input_tokens", 1e15),
    ("token_usage", "estimated_cost", -0.1),
    ("token_usage", "estimated_cost", {"$float": "NaN"}),
    ("token_usage", "success", "yes"),
    ("token_usage", "action", "guess"),
    ("token_usage", "request_type", None),
    ("token_usage", "timestamp", float("inf")),
    ("token_usage", "estimated_cost", 1e300),
]


@pytest.mark.parametrize(("table", "field", "value"), WRONG)
def test_a_wrong_value_refuses_the_row_and_names_the_field(
    table: str, field: str, value: Any
) -> None:
    with pytest.raises(Invalid) as refused:
        load(table, **{field: value})
    sentence = refused.value.sentence
    assert field in sentence or "finite" in sentence
    assert len(sentence) <= 300


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("table", ROWS)
def test_every_kind_of_damage_is_refused(table: str, damage: str) -> None:
    with pytest.raises(Invalid):
        read(table, DAMAGES[damage](ROWS[table]))


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'"x"', b"[" * 10_000, b"{" * 10_000])
def test_anything_but_a_document_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        read("story_history", raw)


def test_an_error_does_not_contain_the_value() -> None:
    with pytest.raises(Invalid) as refused:
        load("story_history", tone="my secret")
    assert "my secret" not in refused.value.sentence


def test_a_failed_call_has_no_tokens() -> None:
    found = load("token_usage", success=False, input_tokens=0.0, output_tokens=0.0)
    assert isinstance(found, UsageDocument)
    assert price("unheard-of", found.input_tokens, found.output_tokens) == 0


@pytest.mark.parametrize(
    "model",
    ["claude-3-sonnet", "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-haiku-5-5"],
)
@pytest.mark.parametrize(("fresh", "output"), [(181, 104), (0, 9), (99_999, 7), (250_000, 1)])
def test_the_quick_price_is_the_price(model: str, fresh: int, output: int) -> None:
    assert price(model, fresh, output) == asked(model, Counts(fresh, output)).cost


def test_a_model_without_a_price_has_none() -> None:
    assert price("unheard-of", 5, 5) is None
