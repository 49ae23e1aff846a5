"""What the agents said to each other, as pages, frames and the API show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from sessions_app import events
from stories.drafting.agents import Handover, Outline, Remark, Research, Review, Text, Verdict
from stories.models import Draft, DraftMessage

ADDED = events.declare("draft.message", "An agent of the writers' room handed its work over.")


def of_draft(draft: Draft) -> QuerySet[DraftMessage]:
    """All turns of the draft, the oldest first."""
    return DraftMessage.objects.filter(draft=draft).order_by("turn")


def payload(message: DraftMessage) -> dict[str, Any]:
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
        "at": events.stamp(message.created_at),
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
