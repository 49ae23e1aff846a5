"""Prices: every sum here was calculated by hand from the published prices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories.usage import pricing
from stories.usage.pricing import Rates, UnknownModel, bounds, price
from stories.usage.types import Close, Counts, Pass

USD = 10**12
TOKENS = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("model", "counts", "by_hand"),
    [
        # 1200 x 4 + 345 x 20 + 50,000 x 0.2 + 1000 x 5 + 2000 x 8 millionths, and 2 searches
        ("claude-opus-5-5", Counts(1200, 345, 50_000, 1000, 2000, 2), 62_700_000_000),
        # 412 x 3 + 19 x 15
        ("claude-sonnet-4-6", Counts(412, 19), 1_521_000_000),
        # 9 x 3 + 8 x 15 + 700 x 0.3 + 1000 x 3.75 + 2000 x 6
        ("claude-sonnet-4-5-20250929", Counts(9, 8, 700, 1000, 2000), 16_107_000_000),
        # 230 x 1 + 44 x 5 + 1500 x 1.25, and 1 search
        ("claude-haiku-4-5-20251001", Counts(230, 44, 0, 1500, 0, 1), 12_325_000_000),
        # 1 x 0.25 + 1 x 1.25
        ("claude-3-haiku-20240307", Counts(1, 1), 1_500_000),
        # 1 x 10 + 1 x 50
        ("claude-fable-5", Counts(1, 1), 60_000_000),
        # 100,000 x 0.1; beyond that the whole prompt costs 0.5
        ("claude-haiku-5-5", Counts(100_000), 10_000_000_000),
        ("claude-haiku-5-5", Counts(150_000), 75_000_000_000),
        # Above 200,000 the long context costs 6 and 22.5; what comes from the cache counts too.
        ("claude-sonnet-4-5", Counts(250_000, 1000), 1_522_500_000_000),
        ("claude-sonnet-4-5", Counts(100, 0, 250_000), 150_600_000_000),
    ],
)
def test_a_price_equals_the_sum_by_hand(model: str, counts: Counts, by_hand: int) -> None:
    assert price(model, counts).cost == by_hand


def test_cached_input_is_charged_once_and_not_as_fresh_input() -> None:
    assert price("claude-sonnet-4-6", Counts(cache_read=USD // 10**6)).cost == USD * 3 // 10


def test_a_batch_costs_half_but_for_its_searches() -> None:
    counts = Counts(412, 20, 0, 0, 0, 3)
    whole = price("claude-sonnet-4-6", counts, service_tier="standard").cost
    searches = 3 * USD // 100
    half = price("claude-sonnet-4-6", counts, service_tier="batch").cost
    assert (whole - searches) == 2 * (half - searches)


def test_an_answer_without_a_tier_costs_the_standard_price() -> None:
    costs = {
        price("claude-opus-5", Counts(10, 10), service_tier=tier).cost
        for tier in ("standard", None)
    }
    assert costs == {10 * 5_000_000 + 10 * 25_000_000}


@pytest.mark.parametrize(
    "tier", ["priority", "flex", "fast", "unreadable", "Standard", "standard "]
)
def test_another_tier_is_never_silently_the_standard_one(tier: str) -> None:
    with pytest.raises(UnknownModel, match="No price is known for the "):
        price("claude-opus-5", Counts(10, 10), service_tier=tier)


@pytest.mark.parametrize(
    ("model", "by_hand"),
    [
        # 1.1 x (1000 x 5 + 100 x 25 + 10 x 0.5 + 10 x 6.25)
        ("claude-opus-4-6", 8_324_250_000),
        ("claude-opus-4-8-20260301", 8_324_250_000),
        ("claude-opus-5", 8_324_250_000),
    ],
)
def test_inference_in_the_united_states_only_costs_a_tenth_more(model: str, by_hand: int) -> None:
    counts = Counts(1000, 100, 10, 10)
    assert price(model, counts, inference_geo="us").cost == by_hand
    assert price(model, counts, inference_geo="global").cost == by_hand * 10 // 11


@pytest.mark.parametrize(
    ("model", "region"),
    [
        ("claude-opus-5", "eu"),
        ("claude-opus-5", "US"),
        ("claude-opus-5", "unreadable"),
        # Released before regions could be chosen.
        ("claude-haiku-4-5-20251001", "us"),
        ("claude-3-haiku-20240307", "us"),
    ],
)
def test_a_region_without_a_known_price_is_not_priced(model: str, region: str) -> None:
    with pytest.raises(UnknownModel, match="No price is known for inference in"):
        price(model, Counts(1, 1), inference_geo=region)


def test_a_bound_assumes_the_dearest_region_where_the_region_is_unknown() -> None:
    close = Close(state="bounded", counts=Counts(100, 1), model="claude-opus-5", output_upper=10)
    assert bounds(close).lower == 100 * 5_000_000 + 25_000_000
    assert bounds(close).upper == (100 * 5_000_000 + 10 * 25_000_000) * 11 // 10


@pytest.mark.parametrize("model", ["claude-sonnet-99", "gpt-4o", "claude-sonet-4-5", "", "x" * 500])
def test_a_model_without_a_price_is_never_free(model: str) -> None:
    with pytest.raises(UnknownModel, match="No price is known") as caught:
        price(model, Counts(1, 1))
    assert len(caught.value.sentence) < 250


def test_fast_mode_and_searches_without_a_price_are_unknown_too() -> None:
    with pytest.raises(UnknownModel, match="fast mode"):
        price("claude-opus-5", Counts(1, 1), service_tier="fast")
    with pytest.raises(UnknownModel, match="web searches"):
        price("claude-2.1", Counts(1, 1, web_searches=1))


@pytest.mark.parametrize("model", ["claude-sonnet-99", "claude-sonnet-99-20290101"])
def test_an_operator_can_add_a_price(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pricing.OVERRIDES, "claude-sonnet-99", Rates.per_million("3", "15"))
    result = price(model, Counts(100, 10, 100, 100, 100, 1))
    assert result.cost == 300_000_000 + 150_000_000 + (30 + 375 + 600) * 10**6 + 10**10
    assert result.version == f"{pricing.VERSION} + override"


def test_an_override_may_name_every_price(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = Rates.per_million(
        "0.5", "2.5", cache_read="0.07", cache_write_5m="1", cache_write_1h="1.5", web_searches="4"
    )
    monkeypatch.setitem(pricing.OVERRIDES, "claude-opus-5", rates)
    result = price("claude-opus-5", Counts(1, 1, 1, 1, 1, 1)).cost
    assert result == 500_000 + 2_500_000 + 70_000 + 1_000_000 + 1_500_000 + 4 * 10**9


def test_the_version_names_the_package() -> None:
    assert price("claude-opus-5", Counts(1)).version.startswith("genai-prices 0.")
    assert len(f"{pricing.VERSION} + override") <= 40


def close_of(**changes: object) -> Close:
    given_ = {"state": "bounded", "model": "claude-sonnet-4-6", "counts": Counts(100, 1)}
    return Close(**{**given_, **changes})  # type: ignore[arg-type]


def test_a_bounded_attempt_costs_between_its_first_token_and_its_last() -> None:
    result = bounds(close_of(output_lower=1, output_upper=400))
    assert (result.lower, result.upper) == (100 * 3_000_000 + 15_000_000, 6_930_000_000)


def test_an_attempt_whose_input_is_unknown_is_bounded_on_both_sides() -> None:
    result = bounds(close_of(counts=Counts(), input_upper=2000, output_upper=400))
    # The region is unknown, and the dearest one costs a tenth more.
    assert (result.lower, result.upper) == (0, 13_200_000_000)


def test_a_final_attempt_has_one_price_whatever_its_bounds_say() -> None:
    result = bounds(close_of(state="final", output_upper=400))
    assert result.lower == result.upper == 315_000_000


def test_what_served_nothing_costs_nothing_at_any_model() -> None:
    result = bounds(close_of(state="final", model="claude-sonet-4-5", counts=Counts()))
    assert (result.lower, result.upper) == (0, 0)


def test_what_may_have_been_served_by_an_unknown_model_has_no_price() -> None:
    with pytest.raises(UnknownModel):
        bounds(close_of(model="claude-sonet-4-5", counts=Counts(), output_upper=1))


def test_an_extra_pass_is_priced_at_its_own_model() -> None:
    extra = Pass("claude-opus-4-8", Counts(800, 25))
    result = bounds(close_of(state="final", counts=Counts(900, 26), passes=(extra,)))
    assert result.lower == 315_000_000 + 800 * 5_000_000 + 25 * 25_000_000


@given(st.lists(TOKENS, min_size=5, max_size=5))
def test_the_cost_is_the_plain_sum_of_its_parts(numbers: list[int]) -> None:
    rates = (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000)
    by_hand = sum(rate * number for rate, number in zip(rates, numbers, strict=True))
    assert price("claude-sonnet-4-6", Counts(*numbers)).cost == by_hand


@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(1, 4096))
def test_the_bounds_are_always_in_order(known: int, estimate: int, most: int) -> None:
    counts = Counts(known, 1)
    result = bounds(
        close_of(model="claude-haiku-5-5", counts=counts, input_upper=estimate, output_upper=most)
    )
    assert 0 < result.lower <= result.upper
