"""Checks of hand-overs: invalid parts are removed before the next agent works from them."""

from __future__ import annotations

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
    cite,
    existing_refs,
)
from stories.text.sentences import word_count

LEAST_WORDS = 1
# The limit is loose on purpose: the reader and the expert bring a text to the ordered length.
MOST_TIMES = 2


def checked(task: Task, handover: Handover) -> Handover:
    """Returns the hand-over without its invalid parts; BadHandover when too little remains."""
    match handover:
        case Research():
            return check_research(task, handover)
        case Outline():
            return check_outline(task, handover)
        case Text():
            return check_text(task, handover)
        case Verdict():
            return check_verdict(task, handover)
        case Review() if not handover.remarks:
            # Without a remark the writer would not know what to change.
            return handover.model_copy(update={"decision": "approve"})
    return handover


def check_research(task: Task, research: Research) -> Research:
    """Drops findings without text or without a source from the material."""
    # A model may name a reference that it was never given.
    with_sources = [
        finding.model_copy(update={"sources": existing_refs(finding.sources, task.material)})
        for finding in research.findings
    ]
    findings = [finding for finding in with_sources if finding.sources and finding.text]
    if not findings:
        raise BadHandover("The researcher cited no source it was given. It is asked again.")
    refs = [ref for finding in findings for ref in finding.sources]
    return research.model_copy(update={"findings": findings, "sources": cite(task.material, refs)})


def check_outline(task: Task, outline: Outline) -> Outline:
    """Drops numbers of findings that do not exist or are used twice, and sections left empty."""
    used: set[int] = set()
    sections: list[Section] = []
    for section in outline.sections:
        numbers = [
            number
            for number in dict.fromkeys(section.findings)
            if 1 <= number <= len(task.findings) and number not in used
        ]
        # A finding belongs to one section only.
        used |= set(numbers)
        if numbers and section.heading:
            sections.append(section.model_copy(update={"findings": numbers}))
    if not sections or not outline.title:
        raise BadHandover("The outline has no section that rests on a finding. It is asked again.")
    return outline.model_copy(update={"sections": sections})


def check_text(task: Task, text: Text) -> Text:
    """Fills in a missing title and reason, and drops references that do not exist."""
    words = word_count(text.text)
    if words < LEAST_WORDS:
        raise BadHandover("The writer handed over no text. It is asked again.")
    if words > _most_words(task):
        raise BadHandover("The text is far longer than ordered. It is asked again.")
    title = text.title or task.title or (task.outline.title if task.outline else "")
    return text.model_copy(
        update={
            "title": title or text.text[:80],
            "reason": text.reason or "A new version",
            "cites": existing_refs(text.cites, task.sources),
        }
    )


def check_verdict(task: Task, verdict: Verdict) -> Verdict:
    """Approves where no change is possible, and ignores a text that is empty, too long or unchanged."""
    changes: dict[str, str] = {}
    if task.settles or (verdict.decision == "changes" and not verdict.remarks):
        changes["decision"] = "approve"
    words = word_count(verdict.text)
    # The expert may approve without a text; a text that is unusable is treated the same.
    if words < LEAST_WORDS or words > _most_words(task) or verdict.text == task.text:
        changes["text"] = ""
    return verdict.model_copy(update=changes)


def _most_words(task: Task) -> int:
    """Returns the length limit; a short text may be longer by 200 words, as twice is too strict."""
    return max(task.order.words * MOST_TIMES, task.order.words + 200)
