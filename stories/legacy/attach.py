"""Old rows join a session, or leave it again: rows, figures and one event in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Model

from sessions_app.events import recorder
from sessions_app.events.recorder import timestamp
from sessions_app.events.statistics import Extra, Share
from sessions_app.models import Session
from stories.legacy.bulk_insert import insert
from stories.models import Story, TokenUsage
from stories.usage import accounting
from stories.usage.accounting import Booking

IMPORTED = recorder.declare("legacy.imported", "Rows of the old system joined the session.")
RETURNED = recorder.declare("legacy.returned", "Adopted rows went back to quarantine.")


def join(session: Session, stories: Sequence[Story], usage: Sequence[TokenUsage]) -> None:
    """Store rows that are dated already; in the caller's transaction, of which it is the last act."""
    insert(stories)
    insert(usage)
    count(session, stories, usage, IMPORTED, arrived(stories, usage))


def store(stories: Iterable[Story], usage: Iterable[TokenUsage]) -> None:
    """The rows alone, which have their ids then; ``count`` must follow in the same transaction."""
    Story.objects.bulk_create(stories)
    TokenUsage.objects.bulk_create(usage)


def count(
    session: Session, stories: Sequence[Story], usage: Sequence[TokenUsage], type_: str,
    payload: Mapping[str, Any],
) -> None:  # fmt: skip
    """Count stored rows and record the event; the last act of the transaction."""
    latest = max((story.created_at for story in stories), default=None)
    _record(session, type_, payload, stories, usage, 1, latest)


def leave(session: Session, stories: Sequence[Story], usage: Sequence[TokenUsage]) -> None:
    """Take rows out again with their figures; the last act of the caller's transaction."""
    TokenUsage.objects.filter(pk__in=[row.pk for row in usage]).delete()
    Story.objects.filter(pk__in=[row.pk for row in stories]).delete()
    if stories:
        moments = Story.objects.filter(session=session).order_by("-created_at", "-id")
        recorder.reset_last_story(session, moments.values_list("created_at", flat=True).first())
    payload = {"stories": [row.pk for row in stories], "usage": len(usage)}
    _record(session, RETURNED, payload, stories, usage, -1, None)


def why_kept(
    stories: Iterable[Story], usage: Iterable[TokenUsage]
) -> dict[Story | TokenUsage, str]:
    """Those rows that have been used since they joined, and so cannot leave, each with a sentence."""
    told = {story.pk: story for story in stories}
    found: dict[Story | TokenUsage, str] = {
        row: "it is part of the AI chain." for row in usage if row.link_id
    }
    for story in told.values():
        if why := _used(story):
            found[story] = why
    for relation in Story._meta.related_objects:
        pointing, name = relation.related_model, relation.field.name
        rows = pointing._base_manager.filter(**{f"{name}__in": told})
        for story_id in rows.values_list(name, flat=True).distinct():
            found[told[story_id]] = f"it has got {_named(pointing)}."
    return found


def _used(story: Story) -> str:
    if story.state != Story.State.AIRED:
        return f"it is {story.state} since."
    if story.bookmarked_at:
        return "it is bookmarked."
    if story.thread_id:
        return "it stands in a thread."
    return "it was corrected." if story.version > 1 else ""


def _named(model: type[Model]) -> str:
    name = str(model._meta.verbose_name)
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def arrived(stories: Sequence[Story], usage: Sequence[TokenUsage]) -> dict[str, Any]:
    """How many rows came, and from which time."""
    dates = [row.created_at for row in [*stories, *usage]]
    return {
        "stories": len(stories),
        "usage": len(usage),
        "first": timestamp(min(dates)),
        "last": timestamp(max(dates)),
    }


def _record(
    session: Session, type_: str, payload: Mapping[str, Any], stories: Iterable[Story],
    usage: Iterable[TokenUsage], sign: int, latest: datetime | None,
) -> None:  # fmt: skip
    """Count the rows at their own moments, once (``sign`` 1) or no longer (-1)."""
    moments: list[tuple[datetime, Mapping[str, int]]] = []
    shares = _Shares()
    for story in stories:
        told = {
            "story_count": sign, "words": sign * story.word_count,
            "narration_seconds": sign * story.duration,
        }  # fmt: skip
        moments.append((story.created_at, told))
        shares.add(accounting.shares_of(story, {"count": sign, "words": told["words"]}))
    for row in usage:
        booked = Booking.of(row) if sign > 0 else accounting.NOTHING.beyond(Booking.of(row))
        moments.append((row.created_at, booked.figures()))
        shares.add(accounting.kind_shares(row, booked))
    counters: Counter[str] = Counter()
    for _, measures in moments:
        counters.update(measures)
    counted = {name: each for name, each in counters.items() if name in recorder.COUNTERS}
    recorder.record(session, type_, payload, latest, Extra(shares=shares.all(), moments=moments),
                  **counted)  # fmt: skip


class _Shares:
    """Shares of many rows, one for each kind."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], Counter[str]] = {}

    def add(self, more: Iterable[Share]) -> None:
        for share in more:
            self._sums.setdefault((share.dimension, share.key), Counter()).update(share.sums)

    def all(self) -> list[Share]:
        return [Share(*key, each) for key, each in sorted(self._sums.items())]
