"""Amounts in 10⁻¹² USD and how they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, NotRequired

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import money


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (12_300_000_000, "0.0123"),
        (-2_500_000_000_000, "-2.5"),
        (1_000_000 * 10**12, "1000000"),
    ],
)
def test_the_api_gets_the_exact_amount_without_trailing_zeros(amount: int, text: str) -> None:
    assert money.decimal_string(amount) == text


@pytest.mark.parametrize(
    ("amount", "places", "text"),
    [
        (12_300_000_000, 4, "$0.0123"),
        (50_000_000, 4, "$0.0000"),
        (150_000_000, 4, "$0.0002"),
        (1_234_500_000_000_000, 2, "$1,234.50"),
        (-1_000_000_000_000, 4, "\N{MINUS SIGN}$1.0000"),
        (1, 6, "$0.000000"),
    ],
)
def test_people_get_rounded_dollars(amount: int, places: int, text: str) -> None:
    assert money.dollars(amount, places) == text


def test_dollars_become_an_integer_rounded_half_to_even() -> None:
    assert money.from_usd(Decimal("0.02")) == 20_000_000_000
    assert money.from_usd(Decimal("0.0000000000005")) == 0
    assert money.from_usd(Decimal("0.0000000000015")) == 2
    assert money.to_usd(20_000_000_000) == Decimal("0.02")


class Call(TypedDict):
    cost: Annotated[money.Amount | None, Field(description="x")]
    tokens: int


class Bill(TypedDict):
    calls: list[Call]
    total: NotRequired[Annotated[money.Amount, Field(description="x")]]
    number: int


def test_the_amounts_of_a_payload_are_found_by_its_type() -> None:
    assert sorted(money.amounts_in(Bill)) == [("calls", "cost"), ("total",)]
    assert list(money.amounts_in(int)) == []


def test_amounts_are_written_where_they_are() -> None:
    bill = {"calls": [{"cost": 20_000_000, "tokens": 5}, {"cost": None}, "x"], "number": 7}
    assert money.written(bill, ("calls", "cost")) == {
        "calls": [{"cost": "0.00002", "tokens": 5}, {"cost": None}, "x"],
        "number": 7,
    }
    assert money.written(bill, ("total",)) == bill
    assert bill["calls"][0]["cost"] == 20_000_000  # type: ignore[index]
