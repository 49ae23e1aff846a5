"""Prices: the cost of an attempt in 10⁻¹² USD, as an exact integer, and the models on sale.

Prices come from genai-prices, which needs no network and is updated with each of its releases. For
a model it does not know yet, or prices of a contract, an operator adds to ``OVERRIDES``::

    OVERRIDES["claude-sonnet-9"] = Rates.per_million("3", "15")

The key is the model's whole name as the API reports it, or the name without its date
(``claude-sonnet-9`` also prices ``claude-sonnet-9-20270101``). ``per_million`` takes USD per
million tokens as strings, input first; cache prices left out follow Anthropic's usual multiples
of the input price (read 0.1, write 1.25 for five minutes, 2 for an hour); ``web_searches`` is USD
per thousand.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Self

from sessions_app.errors import SmnbError
from sessions_app.money import from_usd
from stories.usage.types import Close, Counts

VERSION = f"genai-prices {version('genai-prices')}"

_DATE = re.compile(r"-20\d{6}$")
_VERSION = re.compile(r"claude-[a-z]+-(?P<major>\d{1,2})(?:-(?P<minor>\d{1,2}))?\Z")

# Anthropic's published multiplier for inference in the United States only, in per cent. It applies
# to all kinds of tokens of the models that offer the choice.
US_ONLY = 110
_FIRST_WITH_REGION = (4, 6)
_NO_REGION = ("", "global", "not_available")


class UnknownModel(SmnbError):
    """No price is known, so the cost is unknown, not zero."""

    code = "unknown_model"


@dataclass(frozen=True, slots=True)
class Price:
    """A cost in 10⁻¹² USD, and the version of the prices used."""

    cost: int
    version: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most an attempt can have cost, in 10⁻¹² USD; equal when it is exact."""

    lower: int
    upper: int
    version: str


@dataclass(frozen=True, slots=True)
class Cost:
    """The columns of a row that hold its cost, in 10⁻¹² USD."""

    unpriced: bool = False
    cost_lower: int = 0
    cost_upper: int = 0
    cache_saved: int = 0
    price_version: str = ""


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
        """Returns rates from published prices: USD per million tokens, per thousand searches."""
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


def price(
    model: str, counts: Counts, *, service_tier: str | None = None, inference_geo: str = ""
) -> Price:
    """Returns what ``counts`` cost at ``model``; raises UnknownModel.

    The tokens of a batch cost half, its searches do not. Prices of the fast mode and of the
    priority tier are not published as data.
    """
    if service_tier not in (None, "standard", "batch"):
        name = {"fast": "the fast mode", "priority": "the priority tier"}.get(service_tier)
        what = name or f"the service tier “{service_tier}”"
        raise UnknownModel(f"No price is known for {what} of “{model[:80]}”.")
    only_searches = Counts(web_searches=counts.web_searches)
    tokens, price_version = _standard(model, counts - only_searches)
    searches = _standard(model, only_searches)[0] if counts.web_searches else 0
    if counts.web_searches and not searches:
        raise UnknownModel(f"No price is known for the web searches of “{model[:80]}”.")
    if inference_geo not in _NO_REGION:
        if inference_geo != "us" or not has_regions(model):
            what = f"inference in “{inference_geo}”"
            raise UnknownModel(f"No price is known for {what} of “{model[:80]}”.")
        tokens = (tokens * US_ONLY + 50) // 100
    return Price((tokens // 2 if service_tier == "batch" else tokens) + searches, price_version)


def has_regions(model: str) -> bool:
    """Whether the region of inference can be chosen for the model, and changes its price."""
    found = _VERSION.match(_DATE.sub("", model))
    if found is None:
        return False
    return (int(found["major"]), int(found["minor"] or 0)) >= _FIRST_WITH_REGION


def bounds(close: Close) -> Bounds:
    """Returns the least and the most an attempt can have cost; raises UnknownModel."""
    most = close.counts
    if close.state == "bounded":
        upper = Counts(input=close.input_upper, output=close.output_upper)
        most = most.largest(close.most).largest(upper)
    # An attempt that served nothing costs nothing, at any model.
    if not most and not close.unpriced:
        return Bounds(0, 0, VERSION)
    if close.unpriced:
        raise UnknownModel(
            f"No price is known for {', '.join(close.unpriced)[:200]} of “{close.model[:80]}”."
        )
    lower = _total(close, close.counts)
    if close.state == "bounded" and not close.inference_geo:
        # An answer that broke off may have been served in the region that costs more.
        close = replace(close, inference_geo=dearest_region(close.model))
    elif most == close.counts:
        return Bounds(lower.cost, lower.cost, lower.version)
    return Bounds(lower.cost, _total(close, most).cost, lower.version)


def cost_of(close: Close, reserved: int, *, is_open: bool) -> tuple[Cost, str]:
    """Returns what a row costs with its ``close``, and the sentence why that is unknown, if it is.

    ``reserved`` is the most that the call could cost when it was made.
    """
    try:
        found, cache_saved = bounds(close), saved(close)
    except UnknownModel as error:
        # The budget still counts what was reserved, as the call may have cost that much.
        sentence = f"{error.sentence} Its tokens are counted, its cost is not."
        return Cost(unpriced=True, cost_upper=reserved), sentence
    # A call of which nothing is known any more may have cost all that was reserved for it.
    lost = close.state == "bounded" and is_open
    upper = max(found.upper, reserved) if lost else found.upper
    return Cost(False, found.lower, upper, cache_saved, found.version), ""


def most(model: str, *, input_upper: int, max_tokens: int, cached: bool) -> int:
    """Returns the most that a call can cost before it is made; raises UnknownModel."""
    # Writing to the cache costs more than plain input; reading from it costs less.
    counts = Counts(
        input=0 if cached else input_upper,
        output=max_tokens,
        cache_write_5m=input_upper if cached else 0,
    )
    return price(model, counts, inference_geo=dearest_region(model)).cost


def dearest_region(model: str) -> str:
    return "us" if has_regions(model) else ""


def saved(close: Close) -> int:
    """Returns what the cache saved, in 10⁻¹² USD; raises UnknownModel.

    That is the cost of the same tokens as plain input less their actual cost. It is negative when
    more was written to the cache than read from it.
    """
    difference = 0
    for model, counts in _by_model(close, close.counts):
        cached = counts.cache_read + counts.cache_write_5m + counts.cache_write_1h
        if cached:
            plain = Counts(counts.input + cached, counts.output, web_searches=counts.web_searches)
            difference += _at(close, model, plain).cost - _at(close, model, counts).cost
    return difference


def _by_model(close: Close, counts: Counts) -> list[tuple[str, Counts]]:
    """Splits ``counts`` by the model that served them: the answer's, then those of the passes."""
    rest = sum((Counts() - extra.counts for extra in close.passes), counts)
    return [(close.model, rest), *((extra.model, extra.counts) for extra in close.passes)]


def _total(close: Close, counts: Counts) -> Price:
    """Returns the price of ``counts``, with each pass priced at its own model."""
    prices = [_at(close, model, part) for model, part in _by_model(close, counts)]
    return Price(sum(one.cost for one in prices), prices[0].version)


def _at(close: Close, model: str, counts: Counts) -> Price:
    """Returns the price of ``counts`` at ``model``, under the conditions of the answer."""
    return price(model, counts, service_tier=close.service_tier, inference_geo=close.inference_geo)


def _standard(model: str, counts: Counts) -> tuple[int, str]:
    """Returns the cost at standard prices and the version of these prices."""
    # The whole name first, so that one dated version of a model can have prices of its own.
    rates = OVERRIDES.get(model) or OVERRIDES.get(_DATE.sub("", model))
    if rates is not None:
        return rates.cost(counts), f"{VERSION} + override"
    # The counts go through extract_usage in Anthropic's format: it knows that Anthropic's input
    # excludes the cache, while genai-prices' own Usage includes it.
    usage = {
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
    answer = {"model": model, "usage": usage}
    # Imported here, as few processes ever price an answer.
    from genai_prices import extract_usage

    try:
        total = extract_usage(answer, provider_id="anthropic", api_flavor="default").calc_price()
    except LookupError:
        raise UnknownModel(
            f"No price is known for the model “{model[:80]}”. "
            "Update genai-prices or add the price to the overrides."
        ) from None
    # The library calculates with Decimal, so nothing is lost before this rounding.
    return from_usd(total.total_price), VERSION


# Models up to the third generation have other names; they are not on sale any more.
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
    """Returns the Anthropic models on sale and those of OVERRIDES, the newest generation first."""
    from genai_prices.data_snapshot import get_snapshot

    names = {
        model.id: model.name or model.id
        for provider in get_snapshot().providers
        if provider.id == "anthropic"
        for model in provider.models
        if _ON_SALE.match(model.id)
    }
    names.update({model: model for model in OVERRIDES})
    rows: list[tuple[tuple[int, ...], Offer]] = []
    for model, name in names.items():
        match = _ON_SALE.match(model)
        generation = tuple(map(int, match["version"].split("-"))) if match else ()
        # Computed from a sample, because genai-prices has tiers and no single number per token.
        cost_in, cost_out = (
            price(model, Counts(_SAMPLE)).cost,
            price(model, Counts(0, _SAMPLE)).cost,
        )
        offer = Offer(model, name, cost_in * 10**6 // _SAMPLE, cost_out * 10**6 // _SAMPLE)
        rows.append((generation, offer))
    rows.sort(key=lambda row: (row[0], row[1].name), reverse=True)
    return tuple(offer for _, offer in rows)
