"""What an agent hands over is checked before anybody goes on from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stories.drafting.agents import (
    BadHandover,
    Handover,
    Outline,
    Research,
    Review,
    Section,
    Task,
    Text,
    Verdict,
    cited,
    known,
)
from stories.text import word_count

LEAST_WORDS = 1
# A text may be longer than was ordered by this much, at most; the expert sees to the rest.
MOST_TIMES = 2


def checked(task: Task, handover: Handover) -> Handover:
    """The hand-over without what it may not hold; BadHandover where too little is left."""
    return _CHECKS[type(handover)](task, handover)


def _research(task: Task, found: Research) -> Research:
    kept = [
        each.model_copy(update={"sources": known(each.sources, task.material)})
        for each in found.findings
    ]
    kept = [each for each in kept if each.sources and each.text]
    if not kept:
        raise BadHandover("The researcher named no source that it was given. It is asked again.")
    refs = [ref for each in kept for ref in each.sources]
    return found.model_copy(update={"findings": kept, "sources": cited(task.material, refs)})


def _outline(task: Task, outline: Outline) -> Outline:
    count, used = len(task.found.findings), set[int]()
    sections: list[Section] = []
    for each in outline.sections:
        numbers = [at for at in dict.fromkeys(each.findings) if 1 <= at <= count]
        fresh = [at for at in numbers if at not in used]
        used |= set(fresh)
        if fresh and each.heading:
            sections.append(each.model_copy(update={"findings": fresh}))
    if not sections or not outline.title:
        raise BadHandover("The outline has no section that rests on a finding. It is asked again.")
    return outline.model_copy(update={"sections": sections})


def _text(task: Task, text: Text) -> Text:
    words = word_count(text.text)
    if words < LEAST_WORDS:
        raise BadHandover("The writer handed over no text. It is asked again.")
    if words > max(task.order.words * MOST_TIMES, task.order.words + 200):
        raise BadHandover("The text is far longer than was ordered. It is asked again.")
    title = text.title or task.title or (task.outline.title if task.outline else "")
    return text.model_copy(update={
        "title": title or text.text[:80], "reason": text.reason or "A new version",
        "cites": known(text.cites, task.found.sources),
    })  # fmt: skip


def _review(_task: Task, review: Review) -> Review:
    """Who has nothing to remark has no change to ask for."""
    if review.remarks:
        return review
    return review.model_copy(update={"decision": "approve"})


def _verdict(task: Task, verdict: Verdict) -> Verdict:
    changes: dict[str, Any] = {"decision": "approve"} if task.settles else {}
    if verdict.decision == "changes" and not verdict.remarks:
        changes["decision"] = "approve"
    words = word_count(verdict.text)
    too_long = words > max(task.order.words * MOST_TIMES, task.order.words + 200)
    if words < LEAST_WORDS or too_long or verdict.text == task.text:
        changes["text"] = ""
    return verdict.model_copy(update=changes)


_CHECKS: dict[type[Handover], Callable[[Task, Any], Handover]] = {
    Research: _research, Outline: _outline, Text: _text, Review: _review, Verdict: _verdict,
}  # fmt: skip
