"""A ledger in memory that keeps everything it was told, and its own rule: one close per attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from stories.usage.types import Close, Counts


@dataclass(slots=True)
class MemoryAttempt:
    """One reserved attempt; ``close`` twice is an error."""

    model: str
    operation: str
    max_tokens: int
    input_upper: int
    id: UUID = field(default_factory=uuid4)
    begun: list[tuple[str, str, str, Counts]] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)

    def started(self, model: str, message_id: str, request_id: str, counts: Counts) -> None:
        assert not self.closes, "started after it was closed"
        self.begun.append((model, message_id, request_id, counts))

    def close(self, close: Close) -> None:
        assert not self.closes, "closed twice"
        self.closes.append(close)


@dataclass(slots=True)
class MemoryLedger:
    """All attempts in order; ``last`` is how the latest one was closed."""

    attempts: list[MemoryAttempt] = field(default_factory=list)

    def reserve(
        self,
        *,
        model: str,
        operation: str,
        max_tokens: int,
        input_upper: int,
        cached: bool = False,
    ) -> MemoryAttempt:
        self.attempts.append(MemoryAttempt(model, operation, max_tokens, input_upper))
        return self.attempts[-1]

    @property
    def last(self) -> Close:
        (close,) = self.attempts[-1].closes
        return close

    @property
    def total(self) -> Counts:
        """What all attempts were booked with: exact counts, or the least that was served."""
        return sum((attempt.closes[0].counts for attempt in self.attempts), Counts())
