"""The figures of a session that was brought in, counted from its rows.

They are counted as their events once did: at the minute of each row, by tone, source and model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet

from broadcast.models import Airing
from sessions_app import series
from sessions_app.models import Bucket, Message, Session, Tally
from sessions_app.series import SIZES, Share, start_of
from stories import booking
from stories.booking import Booking
from stories.models import SourcePost, Story, TokenUsage

PIECE = 500


def counted(session: Session) -> dict[str, int]:
    """The counters that are sums over rows, and the buckets and tallies that are written anew."""
    minutes: dict[datetime, Counter[str]] = {}
    tallies: dict[tuple[str, str], Counter[str]] = {}
    total: Counter[str] = Counter()
    for at, measures, shares in _all(session):
        total.update(measures)
        minutes.setdefault(start_of(at, 1), Counter()).update(measures)
        for share in shares:
            key = (share.dimension, share.key[: series.MOST_KEY])
            tallies.setdefault(key, Counter()).update(share.sums)
    _write(session, minutes, tallies)
    waiting = SourcePost.objects.filter(session=session, state__in=SourcePost.WAITING)
    return {**total, "queue": waiting.aggregate(number=Count("pk"))["number"]}


Counted = tuple[datetime, dict[str, int], list[Share]]


def _all(session: Session) -> Iterator[Counted]:
    yield from _stories(session)
    yield from _usage(session)
    for rows, name, moment in (
        (SourcePost.objects.filter(session=session), "feed", "created_at"),
        (Message.objects.filter(session=session), "messages", "created_at"),
        (Airing.objects.filter(session=session), "aired", "aired_at"),
    ):
        for at in rows.order_by().values_list(moment, flat=True).iterator(PIECE):
            yield at, {name: 1}, []


def _stories(session: Session) -> Iterator[Counted]:
    rows = Story.objects.filter(session=session).select_related("post__source")
    for story in _pieces(rows):
        measures = {
            "story_count": 1, "words": story.word_count, "narration_seconds": story.duration,
        }  # fmt: skip
        sums = {"count": 1, "words": story.word_count}
        yield story.created_at, measures, booking.shares_of(story, sums)


def _usage(session: Session) -> Iterator[Counted]:
    rows = TokenUsage.objects.filter(session=session).exclude(state__in=TokenUsage.OPEN)
    for row in _pieces(rows.select_related("story__post__source")):
        booked = Booking.of(row)
        shares = booking.call_shares(row, booking.NOTHING, row.model)
        yield row.closed_at or row.created_at, booked.counters() | booked.measures(), shares


def _pieces(rows: QuerySet[Any]) -> Iterator[Any]:
    after = 0
    while piece := list(rows.filter(pk__gt=after).order_by("pk")[:PIECE]):
        yield from piece
        after = piece[-1].pk


def _write(
    session: Session,
    minutes: dict[datetime, Counter[str]],
    tallies: dict[tuple[str, str], Counter[str]],
) -> None:
    for size in SIZES:
        longer: dict[datetime, Counter[str]] = {}
        for start, sums in minutes.items():
            longer.setdefault(start_of(start, size), Counter()).update(sums)
        Bucket.objects.bulk_create(
            (
                Bucket(session=session, size=size, start=start, **_measures(sums))
                for start, sums in sorted(longer.items())
            ),
            batch_size=PIECE,
        )
    Tally.objects.bulk_create(
        (
            Tally(session=session, dimension=dimension, key=key, **sums)
            for (dimension, key), sums in sorted(tallies.items())
        ),
        batch_size=PIECE,
    )


def _measures(sums: Counter[str]) -> dict[str, int]:
    return {name: each for name, each in sums.items() if name in series.MEASURES}
