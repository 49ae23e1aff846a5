"""Scores: weighted parts that add up, and momentum and phase from buckets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stories.market import quotes
from stories.market.quotes import Comparison, Volume, momentum_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def volume(posts: int = 4, **more: Any) -> Volume:
    values: dict[str, Any] = {
        "engagement": 400,
        "quality": posts / 2,
        "published": 1,
        "last_at": NOW,
    } | more
    return Volume(posts=posts, **values)


def comparison(
    history: int = 3, leading: int = 8, all_posts: list[int] | None = None
) -> Comparison:
    return Comparison(NOW, 5, leading, history, all_posts)


def score(buckets: list[int], leading: int = 8, **more: Any) -> quotes.Score:
    return quotes.score(volume(**more), buckets, comparison(leading=leading))


def spread(*windows: int) -> list[int]:
    """Returns twelve buckets whose windows have these sums."""
    return [value for window in windows for value in (window, 0, 0)]


def test_every_part_of_a_score_has_a_meaning() -> None:
    assert set(score([1] * 12).parts) == set(quotes.MEANINGS)


def test_a_score_is_the_weighted_sum_of_its_parts() -> None:
    found = score([1] * 12, leading=15)
    assert found.parts == {
        "volume": 0.5805,
        "momentum": 0.5,
        "engagement": 0.668,
        "priority": 0.5,
        "freshness": 1.0,
        "told": 0.25,
    }
    assert found.value == 57.4


NOTHING: dict[str, Any] = {
    "posts": 0,
    "engagement": 0,
    "quality": 0.0,
    "published": 0,
    "last_at": NOW - timedelta(days=90),
}


@pytest.mark.parametrize(
    ("changes", "buckets", "points"),
    [
        ({"posts": 8}, [0] * 12, 30.0 + 12.5),
        ({}, [0] * 12, 12.5),
        ({}, [0] * 9 + [0, 0, 99], 25.0),
        ({"engagement": 1000}, [0] * 12, 12.5 + 15.0),
        ({"quality": 1.0}, [0] * 12, 12.5 + 10.0),
        ({"last_at": NOW}, [0] * 12, 12.5 + 10.0),
        ({"published": 1}, [0] * 12, 12.5 + 10.0),
    ],
    ids=["volume", "steady momentum", "momentum", "engagement", "priority", "freshness", "told"],
)
def test_each_part_of_a_score_counts_with_its_weight(
    changes: dict[str, Any], buckets: list[int], points: float
) -> None:
    assert score(buckets, **{**NOTHING, **changes}).value == points


def test_the_best_of_everything_scores_a_hundred() -> None:
    best = score(
        [0] * 9 + [0, 0, 99], leading=8, posts=8, engagement=8000, quality=8.0, published=8
    )
    assert best.value == 100
    assert best.tier == "Blue chip"


def test_a_lasting_silence_scores_next_to_nothing() -> None:
    worst = score(
        [0] * 12,
        leading=1000,
        posts=1,
        engagement=0,
        quality=0.0,
        published=0,
        last_at=NOW - timedelta(days=9),
    )
    assert worst.tier == "Thin"


@pytest.mark.parametrize(
    ("recent", "before", "expected"),
    [(7, 0, 1.0), (1, 0, 0.3333), (1, 1, 0.0), (0, 1, -0.3333), (0, 7, -1.0), (999, 0, 1.0)],
)
def test_momentum_is_the_logarithm_of_recent_against_baseline(
    recent: int, before: int, expected: float
) -> None:
    assert momentum_of(spread(before, before, before, recent), comparison()) == expected


def test_the_baseline_is_taken_only_from_what_was_read() -> None:
    buckets = spread(0, 0, 3, 3)
    assert momentum_of(buckets, comparison(history=1)) == 0
    assert momentum_of(buckets, comparison(history=3)) > 0


def test_without_history_nothing_rises_or_falls() -> None:
    assert momentum_of(spread(0, 0, 0, 27), comparison(history=0)) == 0


def test_a_burst_of_reading_lifts_no_keyword_and_a_pause_sinks_none() -> None:
    burst = comparison(all_posts=spread(10, 10, 10, 80))
    assert momentum_of(spread(1, 1, 1, 8), burst) == 0
    pause = comparison(all_posts=spread(10, 10, 10, 0))
    assert momentum_of(spread(9, 9, 9, 0), pause) == 0


def test_a_keyword_that_is_named_more_while_reading_is_the_same_rises() -> None:
    even = comparison(all_posts=spread(10, 10, 10, 10))
    assert momentum_of(spread(1, 1, 1, 7), even) == 0.6667
    assert momentum_of(spread(7, 7, 7, 0), even) == -1


@pytest.mark.parametrize(
    ("windows", "phase"),
    [
        ((0, 1, 2, 6), "rising"),
        ((0, 1, 4, 2), "peak"),
        ((6, 4, 2, 0), "falling"),
        ((3, 3, 3, 3), "steady"),
        ((0, 0, 0, 0), "steady"),
        ((0, 6, 6, 1), "falling"),
    ],
)
def test_the_phase_follows_from_the_sequence_of_windows(
    windows: tuple[int, ...], phase: str
) -> None:
    assert score(spread(*windows)).phase == phase


def test_colours_have_five_steps() -> None:
    assert [quotes.step_of(each) for each in (-1, -0.2, 0.05, 0.2, 1)] == [-2, -1, 0, 1, 2]
    assert [quotes.step_of(each) for each in (0.1, 0.0999, 0.4, 0.3999)] == [1, 0, 2, 1]


@pytest.mark.parametrize(
    ("value", "tier"),
    [
        (100, "Blue chip"),
        (65, "Blue chip"),
        (64.9, "Strong"),
        (50, "Strong"),
        (49.9, "Fair"),
        (34.9, "Thin"),
        (35, "Fair"),
        (0, "Thin"),
    ],
)
def test_tiers_go_by_the_score(value: float, tier: str) -> None:
    assert quotes.tier_of(value) == tier


def test_freshness_halves_with_every_six_buckets() -> None:
    half = score([0] * 12, last_at=NOW - timedelta(minutes=30))
    assert half.parts["freshness"] == 0.5
