"""How long the fine-grained figures of the market are kept; those of 15 and 60 minutes stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from sessions_app import retention
from sessions_app.models import Workspace
from stories.models import TrendBucket


def old_buckets(shared: Workspace, now: datetime) -> int:
    before = now - timedelta(days=shared.keep_fine_days)
    return retention.drop(TrendBucket.objects.filter(size__in=retention.FINE, start__lt=before))


def register() -> None:
    retention.register(old_buckets)
