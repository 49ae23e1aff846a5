"""What a quarantined record becomes when a person gives it to a session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from django.utils import timezone
from pydantic import ValidationError

from sessions_app.errors import Invalid
from sessions_app.models import Session
from stories.legacy.documents import Document, StoryDocument, UsageDocument
from stories.legacy.mapping import Rows
from stories.models import QuarantinedRecord, Story, TokenUsage
from stories.stories import seconds_on_air
from stories.text import clean_line, clean_text, word_count
from stories.types import PRIORITIES, TONES

C = TypeVar("C", bound=str)
D = TypeVar("D", bound=Document)


def row_of(record: QuarantinedRecord, session: Session) -> Story | TokenUsage:
    """The row, not stored yet; raises Invalid where too little of it is there."""
    row: Story | TokenUsage
    rows = Rows(session)
    if record.kind == "usage":
        usage = _strict(record, UsageDocument)
        if usage is None:
            raise Invalid(f"Record {record.pk} is no complete usage row, so it cannot be booked.")
        row = rows.usage(usage)
    else:
        row = rows.story(_strict(record, StoryDocument) or _lenient(record, session))
    row.legacy_id = record.old_id if record.owner_id else f"record:{record.pk}"
    return row


def _strict(record: QuarantinedRecord, shape: type[D]) -> D | None:
    try:
        return shape.model_validate(record.payload)
    except ValidationError:
        return None


def _lenient(record: QuarantinedRecord, session: Session) -> StoryDocument:
    """A story of which hardly more than the words are known."""
    data = record.payload
    narrative = clean_text(_text(data, "narrative"), 20_000)
    if not narrative:
        raise Invalid(f"Record {record.pk} has no narrative, so it cannot become a story.")
    words, at = word_count(narrative), _moment(record)
    return StoryDocument.model_construct(
        old_id="", story_id="", made=at, created_at=at, completed_at=at, narrative=narrative,
        title=_text(data, "title"), summary=_text(data, "summary"),
        tone=_choice(data, "tone", TONES, "developing"),
        priority=_choice(data, "priority", PRIORITIES, "medium"),
        sentiment=_text(data, "sentiment"), agent_type="host", word_count=words,
        duration=seconds_on_air(words, session.pace),
        topics=[clean_line(str(each), 40) for each in _list(data.get("topics"))[:5]],
    )  # fmt: skip


def _moment(record: QuarantinedRecord) -> datetime:
    return record.at or timezone.now()


def _text(data: dict[str, Any], key: str) -> str:
    return str(data.get(key) or "")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _choice(data: dict[str, Any], key: str, allowed: Sequence[C], otherwise: C) -> C:
    value = data.get(key)
    return cast("C", value) if value in allowed else otherwise
