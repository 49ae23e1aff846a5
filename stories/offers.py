"""The models one can choose from, with what they cost, as the price list knows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from genai_prices.data_snapshot import get_snapshot

from stories import prices
from stories.ledger_types import Counts

# Names of models up to the third generation begin otherwise; these are not sold any more.
_ON_SALE = re.compile(r"claude-[a-z]+-(?P<version>\d+(?:-\d+)?)\Z")
_SAMPLE = 1000  # tokens; a price per million may depend on the length of one request


@dataclass(frozen=True, slots=True)
class Offer:
    """A model on sale; the prices are in 10⁻¹² USD per million tokens."""

    model: str
    name: str
    input: int
    output: int


@cache
def offers() -> tuple[Offer, ...]:
    """Every Anthropic model that is on sale, the newest generation first."""
    found = [_offer(model, name) for model, name in {**dict(_listed()), **_overridden()}.items()]
    return tuple(sorted(found, key=lambda offer: (_version(offer.model), offer.name), reverse=True))


def _listed() -> Iterator[tuple[str, str]]:
    for provider in get_snapshot().providers:
        if provider.id == "anthropic":
            yield from (
                (each.id, each.name or each.id)
                for each in provider.models
                if _ON_SALE.match(each.id)
            )


def _overridden() -> dict[str, str]:
    return {model: model for model in prices.OVERRIDES}


def _offer(model: str, name: str) -> Offer:
    cost = [prices.price(model, counts).cost for counts in (Counts(_SAMPLE), Counts(0, _SAMPLE))]
    return Offer(model, name, *(each * 10**6 // _SAMPLE for each in cost))


def _version(model: str) -> tuple[int, ...]:
    found = _ON_SALE.match(model)
    return tuple(map(int, found["version"].split("-"))) if found else ()
