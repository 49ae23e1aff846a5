"""What an attempt costs: integers in 10⁻¹² USD, exact, with the version of the prices used.

Prices come from genai-prices, which is offline and follows the models on sale with each release.
For a model it does not know yet, or a contract of one's own, an operator adds to ``OVERRIDES``::

    OVERRIDES["claude-sonnet-9"] = Rates.per_million("3", "15")

The key is the model's whole name as the API reports it, or the name without its date
(``claude-sonnet-9`` also prices ``claude-sonnet-9-20270101``). ``per_million`` takes USD per
million tokens as strings, input first; cache prices left out follow Anthropic's usual multiples
of the input price (read 0.1, write 1.25 for five minutes, 2 for an hour); ``web_searches`` is USD
per thousand.

The models one can choose from, with what they cost, as the price list knows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, Self

from genai_prices import extract_usage
from genai_prices.data_snapshot import get_snapshot

from sessions_app.errors import SmnbError
from sessions_app.money import from_usd
from stories.usage.types import Close, Counts

VERSION = f"genai-prices {version('genai-prices')}"

_DATE = re.compile(r"-20\d{6}$")


class UnknownModel(SmnbError):
    """No price is known; the cost is unknown, which is not the same as zero."""

    code = "unknown_model"


@dataclass(frozen=True, slots=True)
class Price:
    """A cost in 10⁻¹² USD, and which prices it was reckoned with."""

    cost: int
    version: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most an attempt can have cost, in 10⁻¹² USD; equal where it is exact."""

    lower: int
    upper: int
    version: str


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of one token, and of one web search, in 10⁻¹² USD, in the order of ``Counts``."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    web_searches: int

    @classmethod
    def per_million(
        cls,
        fresh_input: str,
        output: str,
        *,
        cache_read: str | None = None,
        cache_write_5m: str | None = None,
        cache_write_1h: str | None = None,
        web_searches: str = "10",
    ) -> Self:
        """Read prices as they are published: USD per million tokens, per thousand searches."""
        fresh = Decimal(fresh_input)
        return cls(
            input=from_usd(fresh / 10**6),
            output=from_usd(Decimal(output) / 10**6),
            cache_read=from_usd(Decimal(cache_read or fresh * Decimal("0.1")) / 10**6),
            cache_write_5m=from_usd(Decimal(cache_write_5m or fresh * Decimal("1.25")) / 10**6),
            cache_write_1h=from_usd(Decimal(cache_write_1h or fresh * 2) / 10**6),
            web_searches=from_usd(Decimal(web_searches) / 10**3),
        )

    def cost(self, counts: Counts) -> int:
        return sum(a * b for a, b in zip(astuple(self), astuple(counts), strict=True))


OVERRIDES: dict[str, Rates] = {}


def price(model: str, counts: Counts, *, service_tier: str | None = None) -> Price:
    """What ``counts`` cost at ``model``; raises UnknownModel.

    A batch costs half but for its searches. Fast mode has prices that nobody publishes as data.
    """
    if service_tier == "fast":
        raise UnknownModel(f"No price is known for the fast mode of “{model[:80]}”.")
    only_searches = Counts(web_searches=counts.web_searches)
    tokens, source = _standard(model, counts - only_searches)
    searches = _standard(model, only_searches)[0] if counts.web_searches else 0
    if counts.web_searches and not searches:
        raise UnknownModel(f"No price is known for the web searches of “{model[:80]}”.")
    return Price((tokens // 2 if service_tier == "batch" else tokens) + searches, source)


def bounds(close: Close) -> Bounds:
    """The least and the most an attempt cost; raises UnknownModel where it can have cost at all."""
    most = close.counts
    if close.state == "bounded":
        most = replace(
            most,
            input=max(most.input, close.input_upper),
            output=max(most.output, close.output_upper),
        )
    if not most:
        return Bounds(0, 0, VERSION)
    lower, upper = _total(close, close.counts), _total(close, most)
    return Bounds(lower.cost, upper.cost, upper.version)


def saved(close: Close) -> int:
    """What the cache saved, in 10⁻¹² USD: what was read from it would have cost as input, less what
    writing cost beyond. Below nothing where more was written than read; raises UnknownModel.
    """
    return sum(
        _saved(model, counts, close.service_tier)
        for model, counts in [
            (close.model, sum((Counts() - extra.counts for extra in close.passes), close.counts)),
            *((extra.model, extra.counts) for extra in close.passes),
        ]
    )


def _saved(model: str, counts: Counts, service_tier: str | None) -> int:
    cached = counts.cache_read + counts.cache_write_5m + counts.cache_write_1h
    if not cached:
        return 0
    plain = Counts(counts.input + cached, counts.output, web_searches=counts.web_searches)
    without = price(model, plain, service_tier=service_tier)
    return without.cost - price(model, counts, service_tier=service_tier).cost


def _total(close: Close, counts: Counts) -> Price:
    """The price of ``counts``, of which each extra pass is priced at its own model."""
    rest = sum((Counts() - extra.counts for extra in close.passes), counts)
    own = price(close.model, rest, service_tier=close.service_tier)
    extras = [
        price(extra.model, extra.counts, service_tier=close.service_tier) for extra in close.passes
    ]
    return Price(own.cost + sum(extra.cost for extra in extras), own.version)


def _standard(model: str, counts: Counts) -> tuple[int, str]:
    rates = OVERRIDES.get(model) or OVERRIDES.get(_DATE.sub("", model))
    if rates is not None:
        return rates.cost(counts), f"{VERSION} + override"
    # Only extract_usage knows that Anthropic's input excludes the cache, which Usage includes.
    answer = {"model": model, "usage": _usage(counts)}
    try:
        found = extract_usage(answer, provider_id="anthropic", api_flavor="default").calc_price()
    except LookupError:
        raise UnknownModel(_UNKNOWN.format(model[:80])) from None
    return from_usd(found.total_price), VERSION


_UNKNOWN = (
    "No price is known for the model “{}”. Update genai-prices or add the price to the overrides."
)


def _usage(counts: Counts) -> dict[str, Any]:
    """The counts in the shape in which Anthropic reports them."""
    return {
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation_input_tokens": counts.cache_write_5m + counts.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_5m,
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
        },
        "server_tool_use": {"web_search_requests": counts.web_searches},
    }


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
    return {model: model for model in OVERRIDES}


def _offer(model: str, name: str) -> Offer:
    cost = [price(model, counts).cost for counts in (Counts(_SAMPLE), Counts(0, _SAMPLE))]
    return Offer(model, name, *(each * 10**6 // _SAMPLE for each in cost))


def _version(model: str) -> tuple[int, ...]:
    found = _ON_SALE.match(model)
    return tuple(map(int, found["version"].split("-"))) if found else ()
