"""Amounts of money: integers in 10⁻¹² US dollars, and how they are written.

SQLite stores a Decimal as a float, so every amount in the database is an integer. What leaves as
JSON has decimal strings in US dollars, as a double cannot hold every amount.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import Field, PlainSerializer
from typing_extensions import get_type_hints, is_typeddict

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


_WRITTEN = PlainSerializer(
    decimal_string,
    return_type=Annotated[str, Field(pattern=r"^-?\d+(\.\d{1,12})?$", examples=["0.0042"])],
)
# A field of a payload: stored as an integer, and written as a decimal string in US dollars.
Amount: TypeAlias = Annotated[int, _WRITTEN]
Path: TypeAlias = tuple[str, ...]


def amounts_in(hint: Any) -> Iterator[Path]:
    """Yields the path of each amount in the type of a payload, a TypedDict."""
    if is_typeddict(hint):
        for name, inner in get_type_hints(hint, include_extras=True).items():
            yield from ((name, *path) for path in amounts_in(inner))
    elif _WRITTEN in getattr(hint, "__metadata__", ()):
        yield ()
    else:
        for inner in get_args(hint):
            yield from amounts_in(inner)


def written(value: object, path: Path) -> object:
    """Returns JSON with the amounts at the end of ``path`` as decimal strings."""
    if isinstance(value, list):
        return [written(item, path) for item in value]
    if not path:
        return decimal_string(value) if type(value) is int else value
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: written(value[path[0]], path[1:])}
    return value


def dollars(amount: int, places: int = 4) -> str:
    """Writes an amount in 10⁻¹² USD for people, rounded half to even: ``$1,234.5000``."""
    rounded = to_usd(abs(amount)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{MINUS if amount < 0 else ''}${rounded:,.{places}f}"


def axis(amount: float) -> str:
    """Writes an amount in 10⁻¹² USD beside the axis of a chart: ``$0.025``."""
    return f"${decimal_string(round(amount))}" if amount else "$0"
