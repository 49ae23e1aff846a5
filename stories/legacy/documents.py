"""The documents of the old system: the fields a row of each table must have.

The old system stores numbers as floats, so whole ones read as ``12.0``, and times in milliseconds. An
optional field may be absent or null. A field that is not named here is ignored.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from sessions_app.commands import validation_sentence
from sessions_app.errors import Invalid, refuse_constant
from stories.text.cleaning import clean_text
from stories.types import Priority, Tone

FIRST_MS = datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000
AHEAD_MS = 24 * 3600 * 1000  # tolerance for the clock of another computer
WEEK_S = 7 * 24 * 3600
MOST_TOKENS = 10_000_000  # of one call; no model accepts as many
MOST_USD = 1_000_000.0


def _number(value: object) -> float:
    # In Python a bool is an int.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("it should be a number")  # noqa: TRY004 - what pydantic reports
    return value


def _time(value: object) -> datetime:
    ms = _number(value)
    if not FIRST_MS <= ms <= time.time() * 1000 + AHEAD_MS:
        raise ValueError("it should be a time from 2000 to today, in milliseconds")
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


def _with_words(text: str) -> str:
    # Cleaning is slow, and a text that begins with a letter or a digit has words.
    if not text[:1].isalnum() and not clean_text(text[:1000], 20):
        raise ValueError("it has no words")
    return text


Key = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
Time = Annotated[datetime, BeforeValidator(_time)]
Tokens = Annotated[int, _whole(MOST_TOKENS)]
Seconds = Annotated[int, _rounded(WEEK_S)]
Real = Annotated[float, Field(allow_inf_nan=False)]


class Document(BaseModel):
    """The fields of every row: its id and the time it was created."""

    # hide_input_in_errors, as the sentences are printed and the rows are private.
    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    old_id: Key = Field(alias="_id")
    made: Time = Field(alias="_creationTime")


class OldSettings(BaseModel):
    """Settings of a session in the old system."""

    model_config = ConfigDict(strict=True, frozen=True)

    model: str
    temperature: Real
    max_tokens: Real = Field(alias="maxTokens")
    top_p: Real = Field(alias="topP")
    frequency_penalty: Real = Field(alias="frequencyPenalty")
    presence_penalty: Real = Field(alias="presencePenalty")
    control_mode: Literal["hands-free", "balanced", "full-control"] = Field(alias="controlMode")


class SessionDocument(Document):
    """A session; ``at`` and ``session_id`` are what every document is sorted by."""

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
    """The post that a story was made from."""

    model_config = ConfigDict(strict=True, frozen=True)

    title: str
    author: str | None = None
    subreddit: str | None = None
    url: str | None = None


class StoryDocument(Document):
    """A story that was aired."""

    story_id: str
    narrative: Annotated[str, AfterValidator(_with_words)]
    tone: Tone
    priority: Priority
    agent_type: str
    duration: Seconds
    word_count: Annotated[int, _whole(1_000_000)]
    created_at: Time
    completed_at: Time
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
    """A call of a model."""

    request_id: str
    timestamp: Time
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
DOCUMENT_TYPES: dict[str, type[AnyDocument]] = {
    "sessions": SessionDocument,
    "story_history": StoryDocument,
    "token_usage": UsageDocument,
}


def read(table: str, raw: bytes) -> AnyDocument:
    """Returns the document of a line; raises Invalid that names the wrong fields."""
    try:
        document = DOCUMENT_TYPES[table].model_validate_json(raw)
    except ValidationError as error:
        raise Invalid(validation_sentence(error).replace("Value error, ", "")[:300]) from None
    # Pydantic accepts these numbers, also in fields that are not named here; JSON does not. The
    # bytes may also be words of a text, so the line is parsed again.
    if b"NaN" in raw or b"Infinity" in raw:
        try:
            json.loads(raw, parse_constant=refuse_constant)
        except ValueError:
            raise Invalid("It holds a number that is not finite.") from None
    return document
