"""What an old document becomes: a told story, or a closed row of the ledger, of one session.

The sessions of the old system: each becomes one of ours once, at rest, with its own date.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache

from django.contrib.auth.models import User

from sessions_app import sessions
from sessions_app.events import recorder
from sessions_app.files.storage import folder_name
from sessions_app.models import Session, SessionStats
from sessions_app.money import from_usd
from stories.legacy.bulk_insert import Pattern
from stories.legacy.documents import OriginalItem, SessionDocument, StoryDocument, UsageDocument
from stories.models import Story, TokenUsage
from stories.text import canonical_url, clean_line, clean_text
from stories.types import SENTIMENTS
from stories.usage import pricing
from stories.usage.types import Counts

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
                price_version=pricing.VERSION,
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
            reported_cost=from_usd(Decimal(repr(document.estimated_cost))),
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
        return pricing.price(model, counts).cost
    except pricing.UnknownModel:
        return None


PREFIX = "legacy:"

# What the old settings have that no setting of ours is equal to.
DROPPED = ("temperature", "maxTokens", "topP", "frequencyPenalty", "presencePenalty")


_HOST_FORM = re.compile(r"host-session-(\d{13})-\w+")

_TAB_FORM = re.compile(r"session-(\d{13})(?:-\w+)?")

_ID_FORM = re.compile(r"[0-9a-z]{20,40}")


ABSENT = "No session is named."

HOST_FORM = "A name that the host gave itself; no session ever had it."

TAB_FORM = "A name that a browser's tab gave itself; no session ever had it."

UNKNOWN = "The session is not in the export: it was deleted, or its row is damaged."

NO_ID = "The name is not one that a session can have."


def why_homeless(named: str) -> str:
    """Why no session is behind this string."""
    if not named:
        return ABSENT
    if _HOST_FORM.fullmatch(named):
        return HOST_FORM
    if _TAB_FORM.fullmatch(named):
        return TAB_FORM
    return UNKNOWN if _ID_FORM.fullmatch(named) else NO_ID


def moment_named(named: str) -> float | None:
    """The moment that a dead form carries, in seconds."""
    found = _HOST_FORM.fullmatch(named) or _TAB_FORM.fullmatch(named)
    return int(found[1]) / 1000 if found else None


def homes(named: Iterable[str]) -> dict[str, Session]:
    """The sessions that were imported, whoever did it, by their old id.

    The old rows exist once, so they go where their session went.
    """
    wanted = [PREFIX + each for each in set(named) if _fits(each)]
    found = Session.objects.filter(imported_id__in=wanted)
    return {each.imported_id.removeprefix(PREFIX): each for each in found}


def _fits(named: str) -> bool:
    return 0 < len(named) <= 64 and "\0" not in named


def make(documents: Sequence[SessionDocument], owner: User) -> None:
    """New sessions with their counters, each with its event; in the caller's transaction."""
    fresh = [_session(document, owner) for document in documents]
    Session.objects.bulk_create(fresh)
    SessionStats.objects.bulk_create([SessionStats(session=session) for session in fresh])
    for session, document in zip(fresh, documents, strict=True):
        old = {"id": document.old_id, "broadcast_state": document.broadcast_state}
        shown = {"session": sessions.payload(session), "legacy": old}
        recorder.record(session, recorder.SESSION_CHANGED, shown)


def _session(document: SessionDocument, owner: User) -> Session:
    made = Session(
        owner=owner,
        name=clean_line(document.name, 120) or f"Session of {document.made:%Y-%m-%d}",
        type=Session.Type.IMPORTED,
        status=document.status,
        control_mode=document.settings.control_mode,
        imported_id=PREFIX + document.old_id,
        created_at=document.made,
    )
    made.model = clean_line(document.settings.model, 80) or made.model
    made.folder = folder_name(made.name, document.made.date(), made.pk)
    return made


def left_out(documents: Iterable[SessionDocument]) -> Counter[str]:
    """What the sessions lose: settings without an equal, and being on air."""
    found: Counter[str] = Counter()
    for document in documents:
        found.update(f"setting {name}" for name in DROPPED)
        if document.broadcast_state not in {None, "idle"}:
            found["stopped"] += 1
    return found
