"""Amounts of money: integers in 10⁻¹² US dollars, and how they are written.

SQLite stores a Decimal as a float, so every amount in the database is an integer.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

CODE, UNIT = "USD", "US dollars"
PICO = 10**12  # units in one US dollar
MINUS = "\N{MINUS SIGN}"


def from_usd(usd: Decimal) -> int:
    """Returns an amount of US dollars in 10⁻¹² USD, rounded half to even."""
    return int((usd * PICO).to_integral_value(ROUND_HALF_EVEN))


def to_usd(amount: int) -> Decimal:
    """Returns an amount in 10⁻¹² USD as US dollars, exact."""
    return Decimal(amount) / PICO


def decimal_string(amount: int) -> str:
    """Writes an amount in 10⁻¹² USD as the API does: US dollars, exact, no trailing zeros."""
    return f"{to_usd(amount):.12f}".rstrip("0").rstrip(".")


def dollars(amount: int, places: int = 4) -> str:
    """Writes an amount in 10⁻¹² USD for people, rounded half to even: ``$1,234.5000``."""
    rounded = to_usd(abs(amount)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{MINUS if amount < 0 else ''}${rounded:,.{places}f}"


def axis(amount: float) -> str:
    """Writes an amount in 10⁻¹² USD beside the axis of a chart: ``$0.025``."""
    return f"${decimal_string(round(amount))}" if amount else "$0"
