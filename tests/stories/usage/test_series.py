"""What ledger rows and stories add to the series and tallies, and the audits that check it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from sessions_app import audits, sessions
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import Bucket, Message, Session, SessionStats, Tally
from stories import stories
from stories.models import SourcePost, Story, TokenUsage
from stories.quarantine import decisions, records
from stories.usage import accounting
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Attempt, Close, Counts

pytestmark = pytest.mark.django_db(transaction=True)

# Stories are made by hand here, with a length of their own and without a broadcast.
BY_HAND = ("texts", "airings", "figures")

MODEL, OTHER = "claude-haiku-4-5", "claude-sonnet-4-6"
COUNTS = Counts(input=1000, output=200, cache_read=50, cache_write_5m=20, cache_write_1h=10)
BACKFILL = import_module("stories.migrations.0004_backfill_figures")


@pytest.fixture
def ledger(session: Session, post: SourcePost) -> SessionLedger:
    held = steps.claim(steps.enqueue(session, "narrate", 1).pk)
    assert held is not None
    return SessionLedger(held, Purpose(source="narration", post=post))


def reserve(ledger: SessionLedger, model: str = MODEL) -> Attempt:
    return ledger.reserve(model=model, operation="narrate", max_tokens=800, input_upper=2000)


def final(model: str = MODEL, **more: Any) -> Close:
    values = {"stop_reason": "end_turn", "first_token_ms": 400, "duration_ms": 2500, **more}
    return Close(state="final", model=model, counts=COUNTS, **values)


def broken() -> Close:
    return Close(
        state="bounded",
        counts=Counts(input=1000, output=10),
        model=MODEL,
        output_lower=10,
        output_upper=800,
        error="stream_broken",
        first_token_ms=300,
    )


def tell(ledger: SessionLedger, post: SourcePost | None) -> Story:
    """Stores a story of ten words as the host does."""
    session = Session.objects.get()
    with transaction.atomic():
        story = Story.objects.create(
            session=session,
            post=post,
            origin="model" if post else "manual",
            state="written",
            title="T",
            narrative="N",
            tone="analysis",
            priority="high",
            word_count=10,
            duration=4,
            completed_at=steps.now(),
        )
        if post is not None:
            SourcePost.objects.filter(pk=post.pk).update(state="told")
        calls = TokenUsage.objects.filter(attempt__in=ledger.attempts)
        calls.update(story=story)
        extra = Extra(shares=accounting.story_shares(story, calls))
        recorder.record(
            session,
            stories.WRITTEN,
            {},
            story.completed_at,
            extra,
            story_count=1,
            words=10,
            narration_seconds=4,
            queue=-1 if post else 0,
        )
    return story


def hour(*columns: str) -> tuple[int, ...]:
    """Returns sums over the session's 60-minute buckets."""
    row = Bucket.objects.filter(size=60).aggregate(*(Sum(name) for name in columns))
    return tuple(row[f"{name}__sum"] or 0 for name in columns)


def tally(dimension: str, key: str) -> Tally:
    return Tally.objects.get(dimension=dimension, key=key)


@pytest.mark.databases
def test_a_closed_call_is_one_call_with_its_times(ledger: SessionLedger) -> None:
    reserve(ledger).close(final())
    assert hour("calls", "bounded", "failed") == (1, 0, 0)
    assert hour("call_ms", "timed", "first_token_ms", "first_tokens") == (2500, 1, 400, 1)
    assert hour("input_tokens", "output_tokens", "cache_write_tokens") == (1000, 200, 30)
    assert hour("cost_lower") == hour("cost_upper") == (TokenUsage.objects.get().cost_lower,)


def test_a_reserved_call_is_none_yet(ledger: SessionLedger) -> None:
    reserve(ledger)
    assert hour("calls") == (0,)
    assert not Tally.objects.exists()


def test_a_call_without_times_is_not_timed(ledger: SessionLedger) -> None:
    reserve(ledger).close(final(first_token_ms=None, duration_ms=None))
    assert hour("calls", "timed", "first_tokens") == (1, 0, 0)


def test_calls_are_tallied_by_model_and_operation(ledger: SessionLedger) -> None:
    reserve(ledger).close(final())
    reserve(ledger).close(broken())
    for row in (tally("model", MODEL), tally("operation", "narrate")):
        assert (row.count, row.bounded) == (2, 1)
        assert (row.input_tokens, row.output_tokens) == (2000, 210)
        assert row.cost_lower < row.cost_upper
    assert hour("calls", "bounded", "failed") == (2, 1, 1)


def test_a_bounded_call_that_becomes_exact_is_corrected_and_not_counted_twice(
    ledger: SessionLedger,
) -> None:
    attempt = reserve(ledger)
    attempt.close(broken())
    attempt.close(final())
    row = tally("model", MODEL)
    assert (row.count, row.bounded, row.output_tokens) == (1, 0, 200)
    assert row.cost_lower == row.cost_upper == TokenUsage.objects.get().cost_lower
    assert hour("calls", "bounded", "failed", "first_token_ms", "first_tokens") == (1, 0, 0, 400, 1)
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_a_late_answer_of_another_model_moves_the_call_to_it(ledger: SessionLedger) -> None:
    attempt = reserve(ledger)
    attempt.close(broken())
    attempt.close(final(OTHER))
    before, after = tally("model", MODEL), tally("model", OTHER)
    assert (before.count, before.input_tokens, before.cost_upper, before.bounded) == (0, 0, 0, 0)
    assert (after.count, after.input_tokens) == (1, 1000)
    assert tally("operation", "narrate").count == 1
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_a_story_is_tallied_with_the_cost_of_its_attempts(
    ledger: SessionLedger, post: SourcePost
) -> None:
    reserve(ledger).close(broken())
    reserve(ledger).close(final())
    tell(ledger, post)
    for dimension, key in (("tone", "analysis"), ("priority", "high"), ("source", "demo")):
        row = tally(dimension, key)
        assert (row.count, row.words, row.bounded) == (1, 10, 1)
        assert (row.input_tokens, row.output_tokens) == (2000, 210)
        assert row.cost_lower < row.cost_upper
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_a_late_answer_corrects_the_kinds_of_its_story_too(
    ledger: SessionLedger, post: SourcePost
) -> None:
    attempt = reserve(ledger)
    attempt.close(broken())
    tell(ledger, post)
    attempt.close(final())
    row = tally("tone", "analysis")
    assert (row.count, row.output_tokens, row.bounded) == (1, 200, 0)
    assert row.cost_lower == row.cost_upper
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_a_story_without_a_post_is_named_by_its_origin(ledger: SessionLedger) -> None:
    tell(ledger, None)
    assert tally("source", "manual").count == 1


def test_a_feed_is_named_by_its_host_alone(session: Session, post: SourcePost) -> None:
    post.source.locator = "https://www.mill.example/feed?key=secret"
    story = Story(session=session, post=post, tone="opinion", priority="low", word_count=1)
    shares = {share.dimension: share.key for share in accounting.story_shares(story, ())}
    assert shares == {"tone": "opinion", "priority": "low", "source": "mill.example"}


def test_an_adopted_story_is_tallied(session: Session, editor: User) -> None:
    record = records.put(
        "story",
        {"narrative": "Old words.", "tone": "opinion"},
        old_session="",
        old_id="1",
        reason="Its session is missing.",
    )
    decisions.adopt(record, session, editor)
    assert (tally("tone", "opinion").count, tally("source", "legacy").count) == (1, 1)
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_a_booking_that_uses_most_of_the_budget_warns_once(ledger: SessionLedger) -> None:
    session = Session.objects.get()
    reserve(ledger).close(final())
    spent = SessionStats.objects.get(session=session).cost_upper
    # Reserved before there is a budget, into which their upper bounds would not fit.
    attempts = [reserve(ledger) for _ in range(2)]
    sessions.change(session, budget=spent * 5 // 2)
    for attempt in attempts:
        attempt.close(final())
    assert Message.objects.filter(code="budget_warning").count() == 1


@pytest.mark.databases
@pytest.mark.parametrize("column", ["story_count", "words", "feed", "output_tokens", "cost_upper"])
def test_a_bucket_that_lost_something_is_found(
    ledger: SessionLedger, post: SourcePost, column: str
) -> None:
    reserve(ledger).close(final())
    tell(ledger, post)
    assert list(audits.run("buckets")) == []
    row = Bucket.objects.filter(size=60, **{f"{column}__gt": 0}).latest("start")
    Bucket.objects.filter(pk=row.pk).update(**{column: 0})
    (finding,) = audits.run("buckets")
    assert f"{column.replace('_', ' ')} over time" in finding.detail
    assert finding.session == str(row.session_id)


@pytest.mark.parametrize(
    ("dimension", "column"),
    [
        ("tone", "count"),
        ("priority", "words"),
        ("source", "count"),
        ("model", "input_tokens"),
        ("operation", "cost_upper"),
    ],
)
def test_a_tally_that_lost_something_is_found(
    ledger: SessionLedger, post: SourcePost, dimension: str, column: str
) -> None:
    reserve(ledger).close(final())
    tell(ledger, post)
    assert list(audits.run("tallies")) == []
    Tally.objects.filter(dimension=dimension).update(**{column: 0})
    (finding,) = audits.run("tallies")
    assert f"by {dimension}" in finding.detail


def totals(model: type[Bucket | Tally], *keys: str) -> list[dict[str, Any]]:
    """Returns the sums of all numbers of the table by ``keys``."""
    numbers = [
        field.name
        for field in model._meta.concrete_fields
        if field.name not in {"id", "session", "start", *keys}
    ]
    rows = model._default_manager.order_by(*keys).values(*keys)
    return list(rows.annotate(**{f"all_{name}": Sum(name) for name in numbers}))


@pytest.mark.databases
def test_an_old_database_is_filled_with_what_would_have_been_booked(
    ledger: SessionLedger, post: SourcePost, editor: User
) -> None:
    """Compares buckets by their sums, because a time may fall into the next minute."""
    reserve(ledger).close(broken())
    reserve(ledger).close(final())
    reserve(ledger)
    tell(ledger, post)
    recorder.add_message(Session.objects.get(), "system", "Hello.")
    for model in (TokenUsage, SessionStats, Bucket):
        model.objects.update(cache_saved=0)  # as before that column existed
    live = totals(Bucket, "size"), totals(Tally, "dimension", "key")
    BACKFILL.empty(apps, None)
    assert {each.audit for each in audits.run()} - {*BY_HAND} == {
        "breakdowns",
        "buckets",
        "measures",
        "tallies",
    }
    for _ in range(2):  # the second time replaces, and adds nothing
        BACKFILL.fill(apps, None)
        assert (totals(Bucket, "size"), totals(Tally, "dimension", "key")) == live
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


@pytest.mark.databases
def test_taking_the_backfill_back_leaves_no_figure(ledger: SessionLedger) -> None:
    reserve(ledger).close(final())
    BACKFILL.empty(apps, None)
    assert not Bucket.objects.exists()
    assert not Tally.objects.exists()
