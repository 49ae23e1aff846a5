"""The old system's documents: what a row of each table must hold, checked one by one.

Numbers are floats there, so whole ones print as ``12.0``; moments are milliseconds. An optional field
may be absent or null, and a field that is not named here is passed over.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic import ValidationError as Refused

from sessions_app.commands import validation_sentence
from sessions_app.errors import Invalid
from stories.text import clean_text
from stories.types import Priority, Tone

FIRST_MS = datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000
AHEAD_MS = 24 * 3600 * 1000  # by how much another computer's clock may be wrong
WEEK_S = 7 * 24 * 3600
MOST_TOKENS = 10_000_000  # of one call: no model takes as many
MOST_USD = 1_000_000.0


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("it should be a number")  # noqa: TRY004 - what pydantic reports
    return value


def _moment(value: object) -> datetime:
    ms = _number(value)
    if not FIRST_MS <= ms <= time.time() * 1000 + AHEAD_MS:
        raise ValueError("it should be a moment from 2000 to today, in milliseconds")
    return datetime.fromtimestamp(ms / 1000, UTC)


def _whole(most: int) -> BeforeValidator:
    def checked(value: object) -> int:
        number = _number(value)
        if not 0 <= number <= most or number != int(number):
            raise ValueError(f"it should be a whole number from 0 to {most:,}")
        return int(number)

    return BeforeValidator(checked)


def _rounded(most: int) -> BeforeValidator:
    def checked(value: object) -> int:
        number = _number(value)
        if not 0 <= number <= most:
            raise ValueError(f"it should be a number from 0 to {most:,}")
        return round(number)

    return BeforeValidator(checked)


def _telling(text: str) -> str:
    if not text[:1].isalnum() and not clean_text(text[:1000], 20):
        raise ValueError("it has no words")
    return text


Key = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Tokens = Annotated[int, _whole(MOST_TOKENS)]
Seconds = Annotated[int, _rounded(WEEK_S)]
Real = Annotated[float, Field(allow_inf_nan=False)]


class Document(BaseModel):
    """What every row has: its id, and when it was made."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    old_id: Key = Field(alias="_id")
    made: Moment = Field(alias="_creationTime")


class OldSettings(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    model: str
    temperature: Real
    max_tokens: Real = Field(alias="maxTokens")
    top_p: Real = Field(alias="topP")
    frequency_penalty: Real = Field(alias="frequencyPenalty")
    presence_penalty: Real = Field(alias="presencePenalty")
    control_mode: Literal["hands-free", "balanced", "full-control"] = Field(alias="controlMode")


class SessionDocument(Document):
    owner: str = Field(alias="userId")
    name: str
    status: Literal["active", "paused", "archived"]
    settings: OldSettings
    broadcast_state: str | None = Field(None, alias="broadcastState")

    @property
    def at(self) -> datetime:
        return self.made

    @property
    def session_id(self) -> str | None:
        return self.old_id


class OriginalItem(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    title: str
    author: str | None = None
    subreddit: str | None = None
    url: str | None = None


class StoryDocument(Document):
    story_id: str
    narrative: Annotated[str, AfterValidator(_telling)]
    tone: Tone
    priority: Priority
    agent_type: str
    duration: Seconds
    word_count: Annotated[int, _whole(1_000_000)]
    created_at: Moment
    completed_at: Moment
    title: str | None = None
    sentiment: str | None = None
    topics: list[str] | None = None
    summary: str | None = None
    session_id: str | None = None
    original_item: OriginalItem | None = None

    @property
    def at(self) -> datetime:
        return self.created_at


class UsageDocument(Document):
    request_id: str
    timestamp: Moment
    model: str
    action: Literal["generate", "stream", "analyze", "test"]
    input_tokens: Tokens
    output_tokens: Tokens
    total_tokens: Annotated[int, _whole(2 * MOST_TOKENS)]
    estimated_cost: Annotated[float, Field(ge=0, le=MOST_USD, allow_inf_nan=False)]
    request_type: Literal["host", "producer", "editor"]
    success: bool
    duration: Annotated[int, _rounded(WEEK_S * 1000)] | None = None
    error_message: str | None = None
    session_id: str | None = None

    @property
    def at(self) -> datetime:
        return self.timestamp


AnyDocument = SessionDocument | StoryDocument | UsageDocument
SHAPES: dict[str, type[AnyDocument]] = {
    "sessions": SessionDocument, "story_history": StoryDocument, "token_usage": UsageDocument,
}  # fmt: skip


def read(table: str, raw: bytes) -> AnyDocument:
    """The document of a line; raises Invalid with what is wrong with which field."""
    try:
        found = SHAPES[table].model_validate_json(raw)
    except Refused as error:
        raise Invalid(validation_sentence(error).replace("Value error, ", "")[:300]) from None
    if b"NaN" in raw or b"Infinity" in raw:  # words, or what is no JSON although Python reads it
        _require_json(raw)
    return found


def _require_json(raw: bytes) -> None:
    try:
        json.loads(raw, parse_constant=_refuse)
    except ValueError:
        raise Invalid("It holds a number that is not finite.") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
