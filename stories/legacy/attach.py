"""Adds old rows to a session or removes them: rows, figures and one event in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

from django.utils import timezone
from pydantic import Field, ValidationError
from typing_extensions import TypedDict

from sessions_app.errors import Invalid
from sessions_app.events import recorder, statistics
from sessions_app.events.recorder import timestamp
from sessions_app.events.statistics import Extra, Share
from sessions_app.models import Session
from stories.legacy.documents import Document, StoryDocument, UsageDocument
from stories.legacy.mapping import Rows, insert
from stories.models import QuarantinedRecord, Story, TokenUsage
from stories.stories import seconds_on_air
from stories.text.cleaning import clean_line, clean_text
from stories.text.sentences import word_count
from stories.types import PRIORITIES, TONES
from stories.usage import accounting
from stories.usage.accounting import Booking


class LegacyImportEvent(TypedDict):
    stories: Annotated[int, Field(description="Number of stories that were added.")]
    usage: Annotated[int, Field(description="Number of usage rows that were added.")]
    first: Annotated[str, Field(description="Time of the earliest row (ISO 8601).")]
    last: Annotated[str, Field(description="Time of the latest row (ISO 8601).")]


class LegacyReturnEvent(TypedDict):
    stories: Annotated[list[int], Field(description="Ids of the removed stories.")]
    usage: Annotated[int, Field(description="Number of removed usage rows.")]


IMPORTED = recorder.declare(
    "legacy.imported", "Rows of the old system were added to the session.", LegacyImportEvent
)
RETURNED = recorder.declare(
    "legacy.returned", "Adopted rows were returned to quarantine.", LegacyReturnEvent
)


def join(session: Session, stories: Sequence[Story], usage: Sequence[TokenUsage]) -> None:
    """Stores and counts dated rows; call it last in the caller's transaction."""
    # Faster than store(), but the rows have no ids afterwards.
    insert(stories)
    insert(usage)
    count(session, stories, usage, IMPORTED, arrived(stories, usage))


def store(stories: Iterable[Story], usage: Iterable[TokenUsage]) -> None:
    """Stores rows and sets their ids; ``count`` must follow in the same transaction."""
    Story.objects.bulk_create(stories)
    TokenUsage.objects.bulk_create(usage)


def count(
    session: Session,
    stories: Sequence[Story],
    usage: Sequence[TokenUsage],
    type_: str,
    payload: Mapping[str, object],
) -> None:
    """Counts stored rows and records the event; call it last in the transaction."""
    latest = max((story.created_at for story in stories), default=None)
    _record(session, type_, payload, stories, usage, 1, latest)


def leave(session: Session, stories: Sequence[Story], usage: Sequence[TokenUsage]) -> None:
    """Deletes rows and their figures; call it last in the caller's transaction."""
    # Usage first, because it may refer to a story.
    TokenUsage.objects.filter(pk__in=[row.pk for row in usage]).delete()
    Story.objects.filter(pk__in=[row.pk for row in stories]).delete()
    # The time of the last story may go back, which a counter cannot.
    if stories:
        remaining = Story.objects.filter(session=session).order_by("-created_at", "-id")
        statistics.reset_last_story(session, remaining.values_list("created_at", flat=True).first())
    payload: LegacyReturnEvent = {"stories": [row.pk for row in stories], "usage": len(usage)}
    _record(session, RETURNED, payload, stories, usage, -1, None)


def rows_in_use(
    stories: Iterable[Story], usage: Iterable[TokenUsage]
) -> dict[Story | TokenUsage, str]:
    """Returns rows that cannot be removed, because they were used since, each with the reason."""
    by_id = {story.pk: story for story in stories}
    reasons: dict[Story | TokenUsage, str] = {
        row: "it is part of the AI chain." for row in usage if row.link_id
    }
    for story in by_id.values():
        if story.state != Story.State.AIRED:
            reasons[story] = f"it has been {story.state}."
        elif story.bookmarked_at:
            reasons[story] = "it is bookmarked."
        elif story.thread_id:
            reasons[story] = "it is part of a thread."
        elif story.version > 1:
            reasons[story] = "it was corrected."
    # Any other row that refers to a story, also of a model added later.
    for relation in Story._meta.related_objects:
        model, field = relation.related_model, relation.field.name
        name = str(model._meta.verbose_name)
        article = "an" if name[0] in "aeiou" else "a"
        rows = model._base_manager.filter(**{f"{field}__in": by_id})
        for story_id in rows.values_list(field, flat=True).distinct():
            reasons[by_id[story_id]] = f"it has {article} {name}."
    return reasons


def arrived(stories: Sequence[Story], usage: Sequence[TokenUsage]) -> LegacyImportEvent:
    """Returns the payload of the event: the number of rows, and the time they are from."""
    dates = [row.created_at for row in [*stories, *usage]]
    return {
        "stories": len(stories),
        "usage": len(usage),
        "first": timestamp(min(dates)),
        "last": timestamp(max(dates)),
    }


def _record(
    session: Session,
    type_: str,
    payload: Mapping[str, object],
    stories: Iterable[Story],
    usage: Iterable[TokenUsage],
    sign: int,
    latest: datetime | None,
) -> None:
    """Records the event and counts the rows at their own times: adds (1) or subtracts (-1) them."""
    moments: list[tuple[datetime, Mapping[str, int]]] = []
    shares: list[Share] = []
    for story in stories:
        figures = {
            "story_count": sign,
            "words": sign * story.word_count,
            "narration_seconds": sign * story.duration,
        }
        moments.append((story.created_at, figures))
        shares += accounting.shares_of(story, {"count": sign, "words": figures["words"]})
    for row in usage:
        booked = Booking.of(row) if sign > 0 else accounting.NOTHING.minus(Booking.of(row))
        moments.append((row.created_at, booked.figures()))
        shares += accounting.kind_shares(row, booked)
    # One sum for each counter and for each share, however many rows there are.
    counters: Counter[str] = Counter()
    for _, amounts in moments:
        counters.update(amounts)
    sums: dict[tuple[str, str], Counter[str]] = {}
    for share in shares:
        sums.setdefault((share.dimension, share.key), Counter()).update(share.sums)
    # Sorted, so that two transactions lock the rows of the shares in the same order.
    merged = [Share(*key, total) for key, total in sorted(sums.items())]
    recorder.record(
        session,
        type_,
        payload,
        latest,
        Extra(shares=merged, moments=moments),
        **{name: number for name, number in counters.items() if name in statistics.COUNTERS},
    )


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
