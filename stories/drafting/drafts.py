"""Drafts: how they stand, as pages, frames and the API show them.

What the agents said to each other, as pages, frames and the API show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db.models import BooleanField, Count, F, Q, QuerySet, Sum
from django.db.models.expressions import RawSQL

from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.drafting.agents import Handover, Outline, Remark, Research, Review, Text, Verdict
from stories.models import Draft, DraftMessage, DraftVersion, TokenUsage

CHANGED = recorder.declare("draft.changed", "A draft was started, went on, waits or ended.")

PROGRESS = recorder.declare(
    "draft.progress", "A draft came to a third or to two thirds of its way."
)


State, Phase = Draft.State, Draft.Phase

# Spelt out, because SQLite uses a partial index only where it sees the condition of the index.
OPEN = RawSQL("stories_draft.state IN ('running', 'waiting')", [], BooleanField())


MILESTONES = (33, 67)

# How far a draft is, in per cent, when a phase begins.
BEGINS = {
    Phase.RESEARCH: 0, Phase.OUTLINE: 15, Phase.WRITING: MILESTONES[0], Phase.REVIEW: 50,
    Phase.FINAL: MILESTONES[1], Phase.DONE: 100,
}  # fmt: skip

Spent = dict[str, Any]

NOTHING: Spent = {
    "input_tokens": 0, "output_tokens": 0, "lower": 0, "upper": 0, "unpriced": 0,
}  # fmt: skip


def of_session(session: Session) -> QuerySet[Draft]:
    """The session's drafts, newest first."""
    return Draft.objects.filter(session=session).select_related("story").order_by("-id")


def find(session: Session, draft_id: int) -> Draft:
    """A draft of the session, or NotFound."""
    found = of_session(session).select_related("session").filter(pk=draft_id).first()
    if found is None:
        raise NotFound("This session has no such draft.")
    return found


def get(user: User, draft_id: int) -> Draft:
    """A draft of one of this person's sessions, or NotFound; whatever became of it."""
    mine = Draft.objects.filter(session__in=Session.objects.for_user(user))
    found = mine.select_related("session", "story").filter(pk=draft_id).first()
    if found is None:
        raise NotFound("There is no such draft.")
    return found


def progress(draft: Draft) -> int:
    """How far it is, in per cent."""
    begun = BEGINS[Phase(draft.phase)]
    if draft.phase == Phase.REVIEW:
        return begun + min(draft.version - 1, 3) * 5
    return begun


def spent_on(drafts: Iterable[Draft]) -> dict[int, Spent]:
    """What the agents' calls cost so far, by draft: tokens, and money in 10⁻¹² USD."""
    rows = TokenUsage.objects.filter(draft__in=[each.pk for each in drafts])
    sums = rows.exclude(state__in=TokenUsage.OPEN).values("draft").annotate(
        input_tokens=Sum("input_tokens"), output_tokens=Sum("output_tokens"),
        lower=Sum("cost_lower"), upper=Sum("cost_upper"),
        unpriced=Count("pk", filter=Q(unpriced=True)),
    )  # fmt: skip
    found = sums.values_list("draft", *NOTHING)
    return {key: dict(zip(NOTHING, figures, strict=True)) for key, *figures in found}


def written_of(drafts: Iterable[Draft]) -> dict[int, int]:
    """How many words the latest version of each draft has; none where there is no version."""
    rows = DraftVersion.objects.filter(draft__in=[each.pk for each in drafts])
    return dict(rows.filter(number=F("draft__version")).values_list("draft", "word_count"))


def payload(draft: Draft, spent: Spent | None = None, written: int | None = None) -> dict[str, Any]:
    """A draft for its owner; ``progress`` in per cent, money in 10⁻¹² USD, moments ISO 8601.

    ``words`` were ordered, ``written`` has the latest version. ``wishes`` are ``{text, turn}``: said
    after that turn. ``unpriced`` counts calls without a known price.
    """
    if spent is None:
        spent = spent_on([draft]).get(draft.pk, NOTHING)
    if written is None:
        written = written_of([draft]).get(draft.pk, 0)
    return {
        "id": draft.pk,
        "session": str(draft.session_id),
        "state": draft.state,
        "phase": draft.phase,
        "progress": progress(draft),
        "title": draft.title,
        "name": str(draft),
        "keywords": draft.keywords,
        "words": draft.words,
        "written": written,
        "style": draft.style,
        "language": draft.language,
        "wishes": draft.wishes,
        "turns": draft.turns,
        "version": draft.version,
        "note": draft.note,
        "note_code": draft.note_code,
        "active_at": recorder.timestamp(draft.active_at),
        "created_at": recorder.timestamp(draft.created_at),
        "finished_at": recorder.timestamp(draft.finished_at),
        "cost": {name: spent[name] for name in ("lower", "upper", "unpriced")},
        "tokens": {"input": spent["input_tokens"], "output": spent["output_tokens"]},
        "story_id": draft.story.pk if hasattr(draft, "story") else None,
    }


def payloads(found: Sequence[Draft]) -> list[dict[str, Any]]:
    """These drafts with what they cost and how long they are, in two queries."""
    spent, written = spent_on(found), written_of(found)
    return [payload(each, spent.get(each.pk, NOTHING), written.get(each.pk, 0)) for each in found]


def listed(session: Session, most: int = 50) -> list[dict[str, Any]]:
    """The newest drafts with what they cost and how long they are, in three queries."""
    return payloads(list(of_session(session)[:most]))


def changed(draft: Draft) -> None:
    """Record how the draft stands now; last in the transaction that changed it."""
    recorder.record(draft.session, CHANGED, {"draft": payload(draft)})


ADDED = recorder.declare("draft.message", "An agent of the writers' room handed its work over.")


def of_draft(draft: Draft) -> QuerySet[DraftMessage]:
    """All turns of the draft, the oldest first."""
    return DraftMessage.objects.filter(draft=draft).order_by("turn")


def message_payload(message: DraftMessage) -> dict[str, Any]:
    """A turn; ``after`` is who spoke before ("" at first).

    ``payload`` is the hand-over as its type writes it, ``text`` says it in words.
    """
    return {
        "id": message.pk,
        "draft": message.draft_id,
        "turn": message.turn,
        "role": message.role,
        "after": message.after,
        "kind": message.kind,
        "payload": message.payload,
        "text": message.text,
        "at": recorder.timestamp(message.created_at),
    }


def in_words(handover: Handover) -> str:
    """The hand-over as a person reads it, some lines of plain text."""
    return _WORDS[type(handover)](handover)


def _research(found: Research) -> str:
    lines = [found.angle] if found.angle else []
    lines += [f"• {each.text} [{', '.join(each.sources)}]" for each in found.findings]
    if found.gaps:
        lines.append(f"Nothing was found about: {', '.join(found.gaps)}.")
    return "\n".join(lines)


def _outline(outline: Outline) -> str:
    sections = (
        f"{number}. {each.heading} (findings {', '.join(map(str, each.findings))})"
        for number, each in enumerate(outline.sections, 1)
    )
    return "\n".join([outline.title, *sections])


def _text(text: Text) -> str:
    cites = f" Rests on {', '.join(text.cites)}." if text.cites else ""
    return f"{text.reason.rstrip('.')}.{cites}"


def remarked(remarks: list[Remark]) -> list[str]:
    """Each remark as one line."""
    return [
        f"• {each.about}: {each.wish}" + (f" (“{each.where}”)" if each.where else "")
        for each in remarks
    ]


def _review(review: Review) -> str:
    opening = "Approved." if review.decision == "approve" else "Please change:"
    return "\n".join([opening, *remarked(review.remarks)])


def _verdict(verdict: Verdict) -> str:
    opening = "Final." if verdict.decision == "approve" else "Not yet:"
    return "\n".join([f"{opening} {verdict.reason}".strip(), *remarked(verdict.remarks)])


_WORDS: dict[type[Handover], Callable[[Any], str]] = {
    Research: _research, Outline: _outline, Text: _text, Review: _review, Verdict: _verdict,
}  # fmt: skip
