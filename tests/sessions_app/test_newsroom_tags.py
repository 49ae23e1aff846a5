"""Figures, times and states in words."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.templatetags import newsroom


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.0000"),
        (12_300_000_000, "$0.0123"),
        (1_234_567_890_000_000, "$1,234.5679"),
        (999_999_999_999, "$1.0000"),
        (-12_300_000_000, "\N{MINUS SIGN}$0.0123"),
        (None, newsroom.DASH),
    ],
)
def test_money_is_written_in_dollars_with_four_decimals(amount: int | None, text: str) -> None:
    assert newsroom.money4(amount) == text


@pytest.mark.parametrize(("amount", "text"), [(50_000_000, "$0.0000"), (150_000_000, "$0.0002")])
def test_half_a_unit_goes_to_the_even_neighbour(amount: int, text: str) -> None:
    assert newsroom.money4(amount) == text


@given(st.integers(min_value=0, max_value=10**30))
def test_money_agrees_with_decimal_arithmetic_at_any_size(amount: int) -> None:
    shown = Decimal(newsroom.money4(amount).replace(",", "").removeprefix("$"))
    exact = Decimal(amount).scaleb(-12)
    assert abs(shown - exact) <= Decimal("0.00005")
    if amount < 10**20:
        assert shown == exact.quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def test_large_numbers_are_grouped_by_thousands() -> None:
    assert newsroom.thousands(1_234_567) == "1,234,567"
    assert newsroom.thousands(None) == newsroom.DASH


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00"),
        (3723.9, "1:02:03"),
        (359_999, "99:59:59"),
        (-5, "0:00:00"),
        (None, "0:00:00"),
    ],
)
def test_a_clock_shows_hours_minutes_and_whole_seconds(seconds: float | None, text: str) -> None:
    assert newsroom.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(48.2, "48 s"), (90, "1 min 30 s"), (59.6, "1 min 0 s"), (None, "0 s")]
)
def test_a_length_is_spelled_in_minutes_and_seconds(seconds: float | None, text: str) -> None:
    assert newsroom.spell(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.634, "63%"), (1.7, "100%"), (-0.2, "0%"), (None, "0%")]
)
def test_a_share_is_a_percentage_that_never_leaves_its_scale(
    share: float | None, text: str
) -> None:
    assert newsroom.percent(share) == text


def test_a_moment_is_shown_in_utc_whatever_its_offset() -> None:
    assert newsroom.utc("2026-11-21T04:00:00.000Z") == "04:00 UTC"
    assert newsroom.utc("2026-11-21T04:00:00+05:30") == "22:30 UTC"
    assert newsroom.day("2026-11-21T04:00:00+05:30") == "20 November 2026"


def test_a_missing_moment_is_shown_as_nothing() -> None:
    assert newsroom.utc(None) == ""
    assert newsroom.day(None) == ""


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//example.org/", "http://[", "", None]
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert newsroom.weburl(url) == ""


def test_a_web_address_is_kept_as_it_is() -> None:
    assert newsroom.weburl("https://example.org/a?b=1") == "https://example.org/a?b=1"


def test_states_are_named_for_people_and_unknown_ones_by_themselves() -> None:
    assert newsroom.air_word("live") == "LIVE"
    assert newsroom.story_word("killed") == "Pulled"
    assert newsroom.health_word("failed") == "Needs attention"
    assert newsroom.air_word("elsewhere") == "elsewhere"
