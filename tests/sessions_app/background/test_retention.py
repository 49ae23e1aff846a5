"""The retention rules delete old rows in small pieces, by the sweeper."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import preferences
from sessions_app.background import retention, sweeper
from sessions_app.models import Bucket, IdempotencyKey, Session, Workspace

pytestmark = pytest.mark.django_db

NOW = timezone.now()
RULES = [retention.delete_old_buckets, retention.delete_old_answers]


@pytest.fixture(autouse=True)
def own_rules(monkeypatch: pytest.MonkeyPatch) -> list[retention.Rule]:
    rules: list[retention.Rule] = list(RULES)
    monkeypatch.setattr(retention, "_rules", rules)
    return rules


def bucket(session: Session, size: int, days: int) -> None:
    Bucket.objects.create(session=session, size=size, start=NOW - timedelta(days=days))


def answer(owner: User, key: str, days: int) -> None:
    row = IdempotencyKey.objects.create(owner=owner, key=key, digest="d")
    IdempotencyKey.objects.filter(pk=row.pk).update(created_at=NOW - timedelta(days=days))


@pytest.mark.databases
def test_fine_figures_go_and_coarse_ones_stay(session: Session) -> None:
    Bucket.objects.all().delete()
    for size in (1, 5, 15, 60):
        bucket(session, size, 31)
        bucket(session, size, 29)
    assert retention.run_rules(NOW) == 2
    left = Bucket.objects.filter(start__lt=NOW - timedelta(days=30))
    assert sorted(left.values_list("size", flat=True)) == [15, 60]
    assert Bucket.objects.count() == 6


def test_old_answers_go_and_the_others_stay(owner: User) -> None:
    answer(owner, "old", 8)
    answer(owner, "new", 6)
    retention.run_rules(NOW)
    assert [row.key for row in IdempotencyKey.objects.all()] == ["new"]


def test_the_days_of_the_workspace_are_used(owner: User, editor: User, session: Session) -> None:
    answer(owner, "a", 6)
    bucket(session, 1, 6)
    preferences.choose_retention(editor, {"keep_fine_days": 5, "keep_answers_days": 5})
    assert retention.run_rules(NOW) == 2


def test_a_rule_takes_a_piece_at_a_time(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    for number in range(5):
        answer(owner, str(number), 9)
    assert [retention.run_rules(NOW) for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.databases
def test_a_rule_deletes_a_piece_of_the_buckets(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    Bucket.objects.all().delete()
    for days in range(31, 36):
        bucket(session, 1, days)
    assert [retention.run_rules(NOW) for _ in range(4)] == [2, 2, 1, 0]


def test_the_rules_run_until_nothing_is_left_and_then_pause(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    calls: list[int] = []
    monkeypatch.setattr("sessions_app.background.retention.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(retention, "CHUNK", 1)
    retention.register(lambda _shared, _now: calls.append(1))
    hourly = retention.Hourly()
    answer(owner, "one", 9)
    answer(owner, "two", 9)
    for _ in range(6):
        hourly(1.0)
    assert (len(calls), IdempotencyKey.objects.count()) == (3, 0)
    clock[0] += retention.EVERY
    hourly(1.0)
    assert len(calls) == 4


def test_a_higher_app_adds_its_own_rule(own_rules: list[retention.Rule]) -> None:
    seen: list[tuple[int, datetime]] = []

    def rule(shared: Workspace, now: datetime) -> int:
        seen.append((shared.keep_sounds_days, now))
        return 0

    retention.register(rule)
    retention.run_rules(NOW)
    assert seen == [(90, NOW)]
    assert own_rules[-1] is rule


def test_the_sweeper_knows_the_rules() -> None:
    assert any(isinstance(each, retention.Hourly) for each in sweeper._rounds)
