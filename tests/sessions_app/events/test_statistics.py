"""Buckets and tallies move with the counters, in the same transaction."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import transaction

from sessions_app.events import recorder, statistics
from sessions_app.events.statistics import Extra, Share
from sessions_app.models import Bucket, Session, Tally

pytestmark = pytest.mark.django_db(transaction=True)


def read_posts(session: Session, count: int, shares: list[Share] | None = None) -> None:
    with transaction.atomic():
        extra = Extra({"calls": 1}, shares or [])
        recorder.record(session, recorder.SESSION_CHANGED, {}, None, extra, feed=count)


@pytest.mark.databases
def test_a_counter_is_summed_in_the_buckets_of_all_four_sizes(session: Session) -> None:
    read_posts(session, 3)
    read_posts(session, 4)
    for size in statistics.SIZES:
        rows = Bucket.objects.filter(session=session, size=size)
        assert sum(rows.values_list("feed", flat=True)) == 7
        assert sum(rows.values_list("calls", flat=True)) == 2


def test_a_bucket_starts_at_a_whole_multiple_of_its_size() -> None:
    at = datetime(2026, 11, 21, 10, 44, 59, 5, tzinfo=UTC)
    starts = [statistics.start_of(at, size).strftime("%H:%M:%S") for size in statistics.SIZES]
    assert starts == ["10:44:00", "10:40:00", "10:30:00", "10:00:00"]


@pytest.mark.databases
def test_tallies_are_summed_by_key(session: Session) -> None:
    one = Share("tone", "breaking", {"count": 1, "words": 40})
    read_posts(session, 0, [one, Share("tone", "opinion", {"count": 1, "words": 9})])
    read_posts(session, 0, [one])
    found = dict(Tally.objects.filter(session=session).values_list("key", "words"))
    assert found == {"breaking": 80, "opinion": 9}


def test_what_is_rolled_back_leaves_no_bucket(session: Session) -> None:
    before = Bucket.objects.filter(session=session).count()
    with transaction.atomic():
        recorder.record(session, recorder.SESSION_CHANGED, {}, feed=5)
        transaction.set_rollback(True)
    assert Bucket.objects.filter(session=session).count() == before
