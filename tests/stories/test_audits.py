"""Audits: each figure that they compare is reported when it is off by one."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import F

from sessions_app import audits
from sessions_app.background import steps
from sessions_app.events.statistics import start_of
from sessions_app.models import Bucket, Session, SessionStats, Tally
from stories.models import SourcePost, TokenUsage
from tests.conftest import make_post

pytestmark = pytest.mark.django_db(transaction=True)

LEDGER = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_lower",
    "cost_upper",
    "cache_saved",
)


def details(name: str) -> list[str]:
    return [finding.detail for finding in audits.run(name)]


@pytest.fixture
def booked(session: Session) -> Session:
    """A session with one model attempt whose figures are all different."""
    figures: dict[str, Any] = {
        "input_tokens": 11,
        "output_tokens": 12,
        "cache_read_tokens": 13,
        "cost_lower": 17,
        "cost_upper": 18,
        "cache_saved": 19,
    }
    TokenUsage.objects.create(
        session=session,
        operation="narrate",
        model="m",
        max_tokens=1,
        state="final",
        error="x",
        cache_write_5m_tokens=14,
        cache_write_1h_tokens=15,
        **figures,
    )
    figures["cache_write_tokens"] = 29
    SessionStats.objects.filter(session=session).update(**figures)
    Bucket.objects.create(session=session, size=60, start=start_of(steps.now(), 60), **figures)
    return session


def off_by_one(session: Session, column: str) -> None:
    SessionStats.objects.filter(session=session).update(**{column: F(column) + 1})


@pytest.mark.parametrize("column", LEDGER)
def test_the_ledger_is_compared_with_every_counter(booked: Session, column: str) -> None:
    assert details("ledger") == []
    off_by_one(booked, column)
    (detail,) = details("ledger")
    assert detail.startswith(f"{column.replace('_', ' ')}: ")


@pytest.mark.parametrize("column", [*LEDGER, "story_count", "words", "feed"])
def test_the_figures_over_time_are_compared_with_every_counter(
    booked: Session, column: str
) -> None:
    Bucket.objects.filter(session=booked, size=60).exclude(input_tokens=11).delete()
    assert details("buckets") == []
    off_by_one(booked, column)
    (detail,) = details("buckets")
    assert detail.startswith(f"{column.replace('_', ' ')} over time: ")


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("story_count", "stories"),
        ("words", "words"),
        ("narration_seconds", "seconds of narration"),
        ("feed", "posts"),
        ("queue", "waiting posts"),
        ("sentences_dropped", "sentences dropped"),
        ("ungrounded_aired", "ungrounded sentences aired"),
    ],
)
def test_stories_and_posts_are_compared_with_every_counter(
    session: Session, post: SourcePost, column: str, what: str
) -> None:
    assert details("story-counters") == []
    off_by_one(session, column)
    (detail,) = details("story-counters")
    assert detail.startswith(f"{what}: ")


@pytest.mark.parametrize("dimension", ["model", "operation"])
@pytest.mark.parametrize("column", ["input_tokens", "output_tokens", "cost_lower", "cost_upper"])
def test_the_figures_by_kind_are_compared_with_the_counters_of_calls(
    session: Session, dimension: str, column: str
) -> None:
    assert details("tallies") == []
    Tally.objects.create(session=session, dimension=dimension, key="x", **{column: 1})
    (detail,) = details("tallies")
    assert detail == f"{column.replace('_', ' ')} by {dimension}: 0 counted, 1 there"


@pytest.mark.parametrize("dimension", ["tone", "priority", "source"])
@pytest.mark.parametrize(("column", "what"), [("count", "stories"), ("words", "words")])
def test_the_figures_by_kind_are_compared_with_the_counters_of_stories(
    session: Session, dimension: str, column: str, what: str
) -> None:
    Tally.objects.create(session=session, dimension=dimension, key="x", **{column: 1})
    assert details("tallies") == [f"{what} by {dimension}: 0 counted, 1 there"]


def test_a_published_post_without_a_story_is_found(post: SourcePost) -> None:
    SourcePost.objects.filter(pk=post.pk).update(state="told")
    assert len(details("posts")) == 1


def test_a_post_that_is_claimed_by_a_step_that_ended_is_found(
    session: Session, post: SourcePost
) -> None:
    step = steps.enqueue(session, "narrate", 1)
    SourcePost.objects.filter(pk=post.pk).update(state="claimed", step=step)
    assert details("posts") == []
    step.state = "done"
    step.save()
    assert len(details("posts")) == 1


def test_a_duplicate_that_waits_is_found(post: SourcePost) -> None:
    twin = make_post(post.source, "twin", post.title)
    assert (twin.duplicate_of_id, details("posts")) == (post.pk, [])
    SourcePost.objects.filter(pk=twin.pk).update(state="queued")
    assert len(details("posts")) == 1


def test_a_final_answer_without_a_stop_reason_is_found(session: Session) -> None:
    TokenUsage.objects.create(
        session=session,
        operation="narrate",
        model="m",
        max_tokens=1,
        state="final",
        output_tokens=1,
    )
    assert len(details("narrations")) == 1
