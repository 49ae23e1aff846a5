from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stories.posts.scoring import Scale, priority_of, reasons, score
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


def parts(engagement: float, recency: float = 1.0) -> dict[str, float]:
    return {"engagement": engagement, "recency": recency, "quality": 0.5}


def labels(*engagement: float, recency: float = 1.0) -> list[str]:
    """The labels of posts that are read at once."""
    recent = [parts(share, recency) for share in engagement]
    scale = Scale(recent)
    return [scale.label(row) for row in recent]


def test_of_ten_posts_one_is_high_and_three_are_low() -> None:
    assert labels(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9) == [
        *["low"] * 3,
        *["medium"] * 6,
        "high",
    ]


def test_of_a_hundred_posts_at_most_a_quarter_are_high_and_at_least_a_quarter_low() -> None:
    found = labels(*(number / 100 for number in range(100)))
    assert (found.count("high"), found.count("low")) == (18, 35)


def test_few_posts_are_medium() -> None:
    assert labels(0.9) == ["medium"]
    assert labels(0.1, 0.9) == ["low", "medium"]


def test_equal_posts_are_neither_high_nor_low() -> None:
    assert set(labels(*[0.3] * 50)) == {"medium"}


def test_many_equal_posts_at_the_top_are_not_all_high() -> None:
    assert set(labels(*[0.9] * 30, *[0.1] * 30)) == {"medium", "low"}


def test_a_post_that_is_more_than_a_day_old_is_not_high() -> None:
    shares = [number / 20 for number in range(20)]
    assert "high" in labels(*shares, recency=0.0626)
    assert "high" not in labels(*shares, recency=0.0624)


def test_the_age_of_the_other_posts_does_not_lift_a_new_one() -> None:
    old = [parts(number / 20, recency=0.01) for number in range(20)]
    new = parts(0.42)
    assert Scale([*old, new]).label(new) == "medium"


def test_the_standing_is_the_share_of_posts_below() -> None:
    scale = Scale([parts(0.1), parts(0.2), parts(0.3)])
    assert [scale.standing(parts(share)) for share in (0.1, 0.2, 0.3)] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"engagement": 0.8, "recency": 0.97, "quality": 0.9, "standing": 0.86},
            [
                "many votes and comments",
                "fresh",
                "full text",
                "ranks above 86% of the recent posts",
            ],
        ),
        (
            {"engagement": 0.001, "recency": 0.01, "quality": 0.4, "interest": -1},
            [
                "matches an interest to read less of",
                "few votes",
                "older than a day",
                "little text",
            ],
        ),
        (
            {"engagement": 0.15, "recency": 0.5, "quality": 0.7, "interest": 1},
            ["matches an interest"],
        ),
        ({}, []),
    ],
)
def test_the_reasons_name_what_lifts_and_lowers(row: dict[str, float], expected: list[str]) -> None:
    assert reasons(row) == expected
