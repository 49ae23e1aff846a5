"""Retention of the market: small buckets are deleted, large ones stay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from sessions_app import preferences
from sessions_app.background import retention
from sessions_app.models import Session
from stories.market import trends
from stories.models import Trend, TrendBucket

pytestmark = pytest.mark.django_db


@pytest.mark.databases
def test_fine_figures_of_the_market_go_and_coarse_ones_stay(session: Session) -> None:
    now = timezone.now()
    trend = Trend.objects.create(
        session=session, kind="keyword", key="ferry", label="ferry", first_at=now, last_at=now
    )
    for size in (1, 5, 15, 60):
        for days in (29, 31):
            start = now - timedelta(days=days)
            TrendBucket.objects.create(session=session, trend=trend, size=size, start=start)
    assert trends.delete_fine_buckets(preferences.workspace(), now) == 2
    old = TrendBucket.objects.filter(start__lt=now - timedelta(days=30))
    assert sorted(old.values_list("size", flat=True)) == [15, 60]


def test_the_rule_is_among_those_of_the_sweeper() -> None:
    assert trends.delete_fine_buckets in retention._rules
