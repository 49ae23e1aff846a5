"""Turns a quarantined record into the row of a session that adopts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from django.utils import timezone
from pydantic import ValidationError

from sessions_app.errors import Invalid
from sessions_app.models import Session
from stories.legacy.documents import Document, StoryDocument, UsageDocument
from stories.legacy.mapping import Rows
from stories.models import QuarantinedRecord, Story, TokenUsage
from stories.stories import seconds_on_air
from stories.text.cleaning import clean_line, clean_text
from stories.text.sentences import word_count
from stories.types import PRIORITIES, TONES

C = TypeVar("C", bound=str)
D = TypeVar("D", bound=Document)


def row_of(record: QuarantinedRecord, session: Session) -> Story | TokenUsage:
    """Returns the row, not stored yet; raises Invalid when the record lacks too much for one."""
    row: Story | TokenUsage
    rows = Rows(session)
    if record.kind == "usage":
        usage = _complete(record, UsageDocument)
        if usage is None:
            raise Invalid(f"Record {record.pk} is not a complete usage row and cannot be booked.")
        row = rows.usage(usage)
    else:
        row = rows.story(_complete(record, StoryDocument) or _from_words(record, session))
    # A record of an import has its old id, so importing it again finds the adopted row.
    row.legacy_id = record.old_id if record.owner_id else f"record:{record.pk}"
    return row


def _complete(record: QuarantinedRecord, document_type: type[D]) -> D | None:
    try:
        return document_type.model_validate(record.payload)
    except ValidationError:
        return None


def _from_words(record: QuarantinedRecord, session: Session) -> StoryDocument:
    """Returns a story of which little more than the narrative is known, with defaults."""
    data = record.payload
    narrative = clean_text(_text(data, "narrative"), 20_000)
    if not narrative:
        raise Invalid(f"Record {record.pk} has no narrative, so it cannot become a story.")
    words, at = word_count(narrative), record.at or timezone.now()
    topics = data.get("topics")
    # Without validation, as the record has failed it already.
    return StoryDocument.model_construct(
        old_id="",
        story_id="",
        made=at,
        created_at=at,
        completed_at=at,
        narrative=narrative,
        title=_text(data, "title"),
        summary=_text(data, "summary"),
        tone=_choice(data, "tone", TONES, "developing"),
        priority=_choice(data, "priority", PRIORITIES, "medium"),
        sentiment=_text(data, "sentiment"),
        agent_type="host",
        word_count=words,
        duration=seconds_on_air(words, session.pace),
        topics=[clean_line(str(topic), 40) for topic in topics[:5]]
        if isinstance(topics, list)
        else [],
    )


def _text(data: Mapping[str, object], key: str) -> str:
    return str(data.get(key) or "")


def _choice(data: Mapping[str, object], key: str, allowed: Sequence[C], default: C) -> C:
    return next((option for option in allowed if option == data.get(key)), default)
