"""Types between the model gateway and the ledger: one attempt per HTTP request, closed once."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal, Protocol
from uuid import UUID

# Of one kind in one call: ten times the longest context on sale. The product with any price still
# fits into a column of 64 bits, and so do the sums of millions of calls.
MOST_TOKENS = 10_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens as Anthropic counts them: ``input`` excludes tokens read from or written to a cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def largest(self, other: Counts) -> Counts:
        """Returns the larger one of each count."""
        return Counts(*map(max, astuple(self), astuple(other)))

    def __bool__(self) -> bool:
        """Whether any count is not zero."""
        return any(astuple(self))


@dataclass(frozen=True, slots=True)
class Pass:
    """A sampling pass besides the answer (an advisor, a compaction), priced as ``model``."""

    model: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """How an attempt ended.

    ``final``: ``counts`` is what the API reported at the end, or zero if nothing can have been
    served. ``bounded``: ``counts`` is the least that was served; the most is the largest of
    ``most``, ``output_upper`` and ``input_upper``. ``counts`` includes ``passes``; ``model`` served
    the rest. ``doubt`` says why a complete answer is bounded; what is ``unpriced`` has no known
    price.
    """

    state: Literal["final", "bounded"]
    counts: Counts
    model: str
    output_lower: int = 0
    output_upper: int = 0
    input_upper: int = 0
    request_id: str = ""
    message_id: str = ""
    stop_reason: str | None = None
    service_tier: str | None = None  # "standard", "priority", "batch", or "fast" for fast mode
    first_token_ms: int | None = None
    duration_ms: int | None = None
    error: str | None = None  # the code of the error that ended it
    passes: tuple[Pass, ...] = ()
    most: Counts = Counts()
    inference_geo: str = ""
    doubt: str = ""
    unpriced: tuple[str, ...] = ()


class Attempt(Protocol):
    """One row of the ledger, written before its HTTP request."""

    id: UUID

    def started(self, model: str, message_id: str, request_id: str, counts: Counts) -> None:
        """Stores the start of an answer, when its input is known."""

    def close(self, close: Close) -> None:
        """Closes the attempt, successful or not; called exactly once."""


class Ledger(Protocol):
    """Books attempts; bound to one session and step."""

    def reserve(
        self,
        *,
        model: str,
        operation: str,
        max_tokens: int,
        input_upper: int,
        cached: bool = False,
    ) -> Attempt:
        """Creates the row of an attempt that is about to be made; NeedsHuman or Retry without budget."""
