from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stories.posts.scoring import label_of, priority_of, score
from stories.types import FetchedPost

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
POST = FetchedPost(
    external_id="1",
    title="Harbor bridge in Port Elowen reopens after repairs",
    body="The bridge is open again. " * 10,
    url="https://example.org/bridge",
    score=120,
    comments=40,
    published_at=NOW,
)


def part(name: str, **changes: object) -> float:
    return score(replace(POST, **changes), NOW).parts[name]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "weight"),
    [("engagement", 0.4), ("recency", 0.3), ("quality", 0.3), ("interest", 0.15)],
)
def test_each_part_of_the_priority_has_its_weight(part: str, weight: float) -> None:
    assert priority_of({part: 1}) == weight


def test_the_priority_is_the_weighted_sum_of_its_parts() -> None:
    scored = score(POST, NOW)
    assert scored.parts == {"engagement": 0.2, "recency": 1.0, "quality": 0.7667}
    assert scored.priority == 0.61


def test_interest_lifts_and_lowers_the_priority_within_its_range() -> None:
    assert score(POST, NOW, 1).priority == 0.76
    assert score(POST, NOW, -1).priority == 0.46
    assert priority_of({"interest": -1}) == 0
    assert priority_of({"engagement": 1, "recency": 1, "quality": 1, "interest": 1}) == 1


def test_a_post_that_shouts_loses_a_tenth_of_its_quality() -> None:
    assert part("quality") - part("quality", title=POST.title.upper()) == pytest.approx(0.1)
    assert part("quality") - part("quality", url="") == pytest.approx(0.15)
    assert part("quality") - part("quality", title=f"{POST.title}!!") == pytest.approx(0.15)


def test_recency_halves_every_six_hours() -> None:
    assert part("recency") == 1
    assert part("recency", published_at=NOW - timedelta(hours=6)) == 0.5
    assert part("recency", published_at=NOW - timedelta(hours=12)) == 0.25


def test_a_post_from_the_future_is_merely_new() -> None:
    assert part("recency", published_at=NOW + timedelta(days=2)) == 1


def test_a_post_without_a_date_is_neither_new_nor_old() -> None:
    assert part("recency", published_at=None) == 0.5


def test_a_comment_counts_twice_a_vote_and_both_fade() -> None:
    assert part("engagement", score=100, comments=50) == 0.2
    assert part("engagement", score=200, comments=0) == 0.2
    older = part("engagement", score=200, comments=0, published_at=NOW - timedelta(hours=10))
    assert older == pytest.approx(0.2 / 2.71828, abs=1e-3)


def test_a_feed_without_votes_is_not_punished() -> None:
    assert part("engagement", score=0, comments=0) == 0.15
    assert part("engagement", score=1, comments=0) < 0.15


@pytest.mark.parametrize("votes", [-(10**400), -5, 10**400])
def test_absurd_votes_stay_within_bounds(votes: int) -> None:
    assert 0 <= part("engagement", score=votes) <= 1


@pytest.mark.parametrize(
    "worse",
    [
        {"body": ""},
        {"url": ""},
        {"title": "Bridge"},
        {"title": POST.title.upper()},
        {"title": "You won't believe what this bridge did"},
        {"title": POST.title + "!!"},
        {"title": "so " * 60},
    ],
)
def test_quality_falls_with_each_plain_flaw(worse: dict[str, str]) -> None:
    assert 0 <= part("quality", **worse) < part("quality")


def test_labels_begin_at_their_thresholds() -> None:
    assert [label_of(value) for value in (0.6, 0.59, 0.3, 0.29)] == [
        "high",
        "medium",
        "medium",
        "low",
    ]


def test_old_news_nobody_cares_for_is_low() -> None:
    week_old = NOW - timedelta(days=7)
    stale = FetchedPost("2", "Meh", score=1, published_at=week_old)
    assert score(stale, NOW).label == "low"
    loud = replace(POST, score=900, comments=300)
    assert score(loud, NOW).label == "high"
