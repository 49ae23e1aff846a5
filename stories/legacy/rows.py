"""What an old document becomes: a told story, or a closed row of the ledger, of one session."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from sessions_app.models import Session
from stories import prices
from stories.ledger_types import Counts
from stories.legacy.documents import OriginalItem, StoryDocument, UsageDocument
from stories.legacy.inserting import Pattern
from stories.models import Story, TokenUsage
from stories.text import canonical_url, clean_line, clean_text
from stories.types import SENTIMENTS

NOTE = "From the old system"
# A few models have other prices for longer prompts; up to here each token costs the same.
PLAIN_TOKENS = 100_000


class Rows:
    """Makes the rows of one session out of old documents; they are not stored."""

    def __init__(self, session: Session) -> None:
        self._stories = Pattern(
            Story(session=session, origin=str(Story.Origin.LEGACY), state=str(Story.State.AIRED))
        )
        self._usage = Pattern(
            TokenUsage(
                session=session,
                state=str(TokenUsage.State.FINAL),
                max_tokens=0,
                price_version=prices.VERSION,
            )
        )

    def story(self, document: StoryDocument) -> Story:
        """The story as it was told then; words and seconds as they were counted then."""
        narrative = clean_text(document.narrative, 20_000)
        item = document.original_item
        title = document.title or (item.title if item else "") or narrative
        return self._stories.row(
            title=clean_line(title, 300) or clean_line(narrative, 300),
            narrative=narrative,
            summary=clean_text(document.summary or "", 2_000),
            tone=document.tone,
            priority=document.priority,
            agent_type=_name(document.agent_type, 16),
            sentiment=document.sentiment if document.sentiment in SENTIMENTS else "neutral",
            topics=[clean_line(topic, 40) for topic in (document.topics or [])[:5]],
            note=_note(item),
            word_count=document.word_count,
            duration=document.duration,
            created_at=document.created_at,
            completed_at=document.completed_at,
            legacy_id=document.old_id,
        )

    def usage(self, document: UsageDocument) -> TokenUsage:
        """The attempt as it was reported, with our own price beside the reported one."""
        cost = price(document.model, document.input_tokens, document.output_tokens)
        return self._usage.row(
            operation=f"{document.request_type}-{document.action}",
            model=_name(document.model, 80),
            input_tokens=document.input_tokens,
            output_tokens=document.output_tokens,
            cost_lower=cost or 0,
            cost_upper=cost or 0,
            unpriced=cost is None,
            request_id=_name(document.request_id, 80),
            error="" if document.success else clean_line(document.error_message or "failed", 60),
            duration_ms=document.duration,
            created_at=document.timestamp,
            closed_at=document.timestamp,
            legacy_id=document.old_id,
            reported_cost=int(Decimal(repr(document.estimated_cost)) * prices.UNIT),
        )


def _note(item: OriginalItem | None) -> str:
    """Where the story came from: its post was never kept."""
    if item is None:
        return f"{NOTE}."
    by = " ".join(
        part
        for part in (
            f"by {item.author}" if item.author else "",
            f"in r/{item.subreddit}" if item.subreddit else "",
            canonical_url(item.url or ""),
        )
        if part
    )
    return clean_line(f"{NOTE}: “{item.title[:160]}” {by}", 300)


def _name(text: str, limit: int) -> str:
    """What a machine gave as a name: no prose, so nothing has to be read out of it."""
    return text.replace("\0", "")[:limit]


def price(model: str, fresh: int, output: int) -> int | None:
    """What a call costs, in 10⁻¹² USD; None where no price is known."""
    if not fresh and not output:
        return 0
    if fresh > PLAIN_TOKENS:
        return _asked(model, Counts(fresh, output))
    per_input, per_output = _rates(model)
    if per_input is None or per_output is None:
        return None
    return per_input * fresh + per_output * output


@lru_cache(maxsize=1000)
def _rates(model: str) -> tuple[int | None, int | None]:
    return _asked(model, Counts(1, 0)), _asked(model, Counts(0, 1))


def _asked(model: str, counts: Counts) -> int | None:
    try:
        return prices.price(model, counts).cost
    except prices.UnknownModel:
        return None
