"""The offline agent: assembles a dossier by rule, without a model or an API key.

It takes the turns of all roles: selects passages of the material, orders them by time, and checks
the result. It never writes a sentence about the subject. In English the dossier has a timeline,
quotes, open questions and the list of its sources, and says that no model wrote it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from functools import partial
from itertools import accumulate, zip_longest

from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format

from stories.drafting.agents import (
    MOST_FINDINGS,
    Finding,
    Handover,
    Item,
    Kind,
    OnText,
    Outline,
    Remark,
    Research,
    Review,
    Section,
    Task,
    Text,
    Verdict,
    cite,
)
from stories.llm import EXTRACTIVE
from stories.posts.duplicates import content_words
from stories.text.cleaning import clean_text, cut
from stories.text.sentences import sentences, word_count, word_set

MARGIN = 0.2  # of the ordered length
ALIKE = 0.6
_LONGEST = 400  # characters of a passage
_SURPLUS = 1.6  # The research collects this many times the ordered length.
_LEAST = 5  # words of a passage
# A sentence that opens with one of these refers to the sentence before it.
_BACK_REFERENCES = word_set("""
    this that these those it its he she they his her their them both such but and so or yet then
    still also however instead others nobody neither another meanwhile
""")
# A credit may begin with the day and the time, which has a colon.
_CREDIT = re.compile(r"(?m)^(?:\d[^:\n]{8,20}\d\d:\d\d[^:\n]{1,90}|[^:\n]{1,80}): ?")
_QUOTATION = re.compile(r"[\"“”„«»「」]")
TIMELINE, QUOTES, OPEN_QUESTIONS = "Timeline", "Quotes", "Open questions"
HEADINGS = (TIMELINE, QUOTES, OPEN_QUESTIONS)
LABEL = (
    "Assembled without a model: passages of the sources in their own words, in the order of time."
)
_WORD_CHARACTER = re.compile(r"\w")


class OfflineAgent:
    """Takes each turn by rule."""

    model = EXTRACTIVE

    def take(self, task: Task, on_text: OnText) -> Handover:
        match task.kind:
            case Kind.RESEARCH:
                return research(task)
            case Kind.OUTLINE:
                return outline(task)
            case Kind.TEXT:
                return write(task, on_text)
            case Kind.REVIEW:
                return review(task)
            case Kind.VERDICT:
                return decide(task, on_text)
        raise ValueError(f"unknown kind of turn: {task.kind}")


def research(task: Task) -> Research:
    """Selects the passages that name most of the keywords, in the order of the material."""
    keywords = content_words(" ".join(task.order.keywords))
    ranked: list[tuple[float, int, int, str, Item]] = []
    for number, item in enumerate(task.material):
        in_title = len(content_words(item.title) & keywords)
        for position, passage in enumerate(passages(item.text) or [item.title]):
            # The first sentences of a report matter most.
            score = 2 * len(content_words(passage) & keywords) + in_title + 1 / (position + 1)
            ranked.append((-score, number, position, passage, item))
    ranked.sort(key=lambda row: row[:3])
    # A dossier is about one thread: that of the passage which fits best.
    if ranked and (thread := ranked[0][4].thread):
        ranked = [row for row in ranked if row[4].thread == thread]
    chosen: list[tuple[int, int, Finding]] = []
    words_left = task.order.words * _SURPLUS
    for _, number, position, passage, item in ranked:
        # More than the ordered length, so that the writer can choose and the reader object.
        if words_left > 0 and len(chosen) < MOST_FINDINGS:
            words_left -= word_count(passage)
            chosen.append((number, position, Finding(text=passage, sources=[item.ref])))
    # In the order of time; reports without one keep the order of the material, after the others.
    at = [item.at or "9999" for item in task.material]
    chosen.sort(key=lambda row: (at[row[0]], row[0], row[1]))
    findings = [finding for *_, finding in chosen]
    refs = [ref for finding in findings for ref in finding.sources]
    texts = [finding.text for finding in findings] + [item.title for item in task.material]
    covered = content_words(" ".join(texts))
    return Research(
        angle=ranked[0][4].title if ranked else "",
        findings=findings,
        gaps=[word for word in task.order.keywords if not content_words(word) & covered],
        sources=cite(task.material, refs),
    )


def passages(text: str) -> list[str]:
    """Splits a text into sentences, keeping one that refers back together with its predecessor."""
    result: list[str] = []
    for sentence in sentences(text):
        first_word = re.sub(r"\W", "", sentence.split(maxsplit=1)[0]).lower()
        joined = f"{result[-1]} {sentence}" if result else sentence
        if result and first_word in _BACK_REFERENCES and len(joined) <= _LONGEST:
            result[-1] = joined
        elif len(sentence) <= _LONGEST:
            result.append(sentence)
    return [passage for passage in result if word_count(passage) >= _LEAST]


def outline(task: Task) -> Outline:
    """Plans one section for each source, in the order of the research."""
    titles = {source.ref: source.title for source in task.sources}
    by_source: dict[str, list[int]] = {}
    for number, finding in enumerate(task.findings, 1):
        by_source.setdefault(finding.sources[0], []).append(number)
    sections = [
        Section(heading=titles.get(ref, ref), findings=numbers)
        for ref, numbers in by_source.items()
    ]
    angle = task.research.angle if task.research else ""
    return Outline(title=angle or ", ".join(task.order.keywords), sections=sections)


def write(task: Task, on_text: OnText) -> Text:
    """Assembles the first text, or revises it after a review."""
    if not task.text:
        text, reason = _first_text(task), "First dossier"
    else:
        text = _revised(task) if task.remarks else task.text
        topics = ", ".join(dict.fromkeys(remark.about for remark in task.remarks))
        reason = f"After review: {topics}".rstrip(": ")
    for shown in accumulate(text.split("\n\n"), "{}\n\n{}".format):
        on_text(partial(str, shown))
    if not task.order.language.lower().startswith("en"):
        reason += "; in the language of the sources: without a model nothing is translated"
    if task.order.wishes:
        reason += "; without a model, wishes are stored but not followed"
    cites = [ref for number in _used(task, text) for ref in task.findings[number - 1].sources]
    return Text(
        text=text,
        title=task.title or (task.outline.title if task.outline else ""),
        reason=reason,
        cites=list(dict.fromkeys(cites)),
    )


def _first_text(task: Task) -> str:
    """Returns the dossier of the findings; all sections get a share of the ordered length."""
    sections = task.outline.sections if task.outline else []
    words_left, chosen = task.order.words, set[int]()
    for row in zip_longest(*(section.findings for section in sections)):
        for number in (number for number in row if number is not None):
            if words_left > 0:
                words_left -= word_count(task.findings[number - 1].text)
                chosen.add(number)
    return _dossier(task, sorted(chosen))


def _dossier(task: Task, numbers: Sequence[int]) -> str:
    """Returns the findings with these numbers, which are in the order of time."""
    quotes = [number for number in numbers if _QUOTATION.search(task.findings[number - 1].text)]
    events = [number for number in numbers if number not in quotes]
    english = _is_english(task)
    parts = [LABEL] if english else []
    for heading, section in ((TIMELINE, events), (QUOTES, quotes)):
        if section and english:
            parts.append(heading)
        by_source: dict[str, list[int]] = {}
        for number in section:
            by_source.setdefault(task.findings[number - 1].sources[0], []).append(number)
        parts += [_paragraph(task, rows) for rows in by_source.values()]
    if english and (questions := _open_questions(task)):
        parts += [OPEN_QUESTIONS, *questions]
    if english:
        parts.append(_sources(task))
    return "\n\n".join(parts)


def _is_english(task: Task) -> bool:
    return task.order.language.lower().startswith("en")


def _open_questions(task: Task) -> list[str]:
    """Returns what the material leaves open: keywords that it does not name, a single source."""
    gaps = task.research.gaps if task.research else []
    questions = [f"No report mentions {', '.join(gaps)}."] if gaps else []
    credits_ = {source.credit for source in task.sources}
    if len(credits_) == 1:
        questions.append(
            f"Only one source reports this, {credits_.pop()}. Does another confirm it?"
        )
    return questions


def _sources(task: Task) -> str:
    counts = Counter(source.credit for source in task.sources)
    listed = (f"{credit} ({count})" if count > 1 else credit for credit, count in counts.items())
    return f"Sources: {', '.join(listed)}"


def _frame(task: Task) -> list[str]:
    """Returns the paragraphs of a dossier that come from no source."""
    return [LABEL, *HEADINGS, *_open_questions(task), _sources(task)] if _is_english(task) else []


def _length(task: Task, text: str) -> int:
    """Returns the words of a text that count for its ordered length."""
    frame = set(_frame(task))
    return sum(word_count(part) for part in text.split("\n\n") if part not in frame)


def _paragraph(task: Task, numbers: Sequence[int]) -> str:
    """Returns findings of one source after their time and their credit."""
    text = " ".join(task.findings[number - 1].text for number in numbers)
    ref = task.findings[numbers[0] - 1].sources[0]
    source = next((source for source in task.sources if source.ref == ref), None)
    at = parse_datetime(source.at) if source and source.at else None
    style = "j F Y, H:i" if _is_english(task) else "Y-m-d H:i"
    when = date_format(at.astimezone(UTC), style) if at else ""
    credit = ", ".join(filter(None, (when, source.credit if source else "")))
    return f"{credit}: {text}" if credit else text


def _used(task: Task, text: str) -> list[int]:
    """Returns the numbers of the findings that the text contains word for word."""
    return [number for number, finding in enumerate(task.findings, 1) if finding.text in text]


def _unused(task: Task, text: str) -> list[int]:
    """Returns the findings that the text does not contain, not even in similar words."""
    used = _used(task, text)
    used_texts = [task.findings[number - 1].text for number in used]
    return [
        number
        for number, finding in enumerate(task.findings, 1)
        if number not in used and not any(_alike(finding.text, other) for other in used_texts)
    ]


def _alike(one: str, other: str) -> bool:
    """Returns whether two passages share most of their significant words."""
    ours, theirs = content_words(one), content_words(other)
    return bool(ours) and len(ours & theirs) >= ALIKE * min(len(ours), len(theirs))


def _short(task: Task, text: str) -> bool:
    return _length(task, text) < task.order.words * (1 - MARGIN)


def _long(task: Task, text: str) -> bool:
    return _length(task, text) > task.order.words * (1 + MARGIN)


def _without(text: str, passage: str) -> str:
    """Removes a passage, and a paragraph of which only the credit or the heading remains."""
    parts: list[str] = []
    for part in text.split("\n\n"):
        rest = " ".join(part.replace(passage, "").split()) if passage in part else part
        if rest == part or _WORD_CHARACTER.search(_CREDIT.sub("", rest, count=1)):
            # Of two headings in succession the first one has no paragraph any more.
            if rest in HEADINGS and parts and parts[-1] in HEADINGS:
                parts.pop()
            parts.append(rest)
    return "\n\n".join(parts[:-1] if parts and parts[-1] in HEADINGS else parts)


def _revised(task: Task) -> str:
    """Returns the text without what the review objected to, in the ordered length."""
    text = task.text
    for remark in task.remarks:
        if remark.about in ("repetition", "facts") and remark.where:
            # A remark quotes only the beginning of the passage or sentence it is about.
            opening = remark.where.rstrip("…").rstrip()
            used = [task.findings[number - 1].text for number in _used(task, text)]
            candidates = (part for part in [*used, *sentences(text)] if part.startswith(opening))
            if passage := next(candidates, ""):
                text = _without(text, passage)
    if any(remark.about == "length" for remark in task.remarks):
        if _short(task, text):
            for number in _unused(task, text):
                if _short(task, text):
                    text = _with(task, text, number)
        else:
            text = _shortened(task, text)
    return clean_text(text, len(text) + 1) or task.text


def _with(task: Task, text: str, number: int) -> str:
    """Adds a finding: at its time, or at the end of a text that a person has edited."""
    used = _used(task, text)
    if text == _dossier(task, used):
        return _dossier(task, sorted({*used, number}))
    return f"{text}\n\n{_paragraph(task, [number])}"


def _shortened(task: Task, text: str) -> str:
    """Removes passages from the end until the length fits; the first one always remains."""
    # The later findings matter less, as the material is sorted by its relevance.
    for number in reversed(_used(task, text)[1:]):
        if not _long(task, text):
            break
        text = _without(text, task.findings[number - 1].text)
    return text


def review(task: Task) -> Review:
    """Judges the text, or the outline when there is no text yet."""
    if task.text:
        remarks = _remarks_on_text(task)
    else:
        sections = task.outline.sections if task.outline else []
        planned = sum(len(section.findings) for section in sections)
        remarks = []
        # An outline that uses less than half of the findings wastes the research.
        if planned * 2 < len(task.findings):
            remarks = [Remark(about="structure", where="", wish="Use more of the findings.")]
    return Review(decision="changes" if remarks else "approve", remarks=remarks)


def _remarks_on_text(task: Task) -> list[Remark]:
    remarks: list[Remark] = []
    used = [task.findings[number - 1].text for number in _used(task, task.text)]
    for index, passage in enumerate(used):
        if any(_alike(passage, earlier) for earlier in used[:index]):
            wish = "This repeats an earlier passage; leave it out."
            remarks.append(Remark(about="repetition", where=cut(passage, 200), wish=wish))
    # A sentence that no source supports may be invented.
    for sentence in unsupported(task):
        wish = "No source supports this; leave it out, or name the source."
        remarks.append(Remark(about="facts", where=cut(sentence, 200), wish=wish))
    length = f"{_length(task, task.text)} words instead of {task.order.words}."
    if _long(task, task.text) and len(used) > 1:
        remarks.append(Remark(about="length", where="", wish=f"Shorter: {length}"))
    elif _short(task, task.text) and _unused(task, task.text):
        remarks.append(Remark(about="length", where="", wish=f"Longer: {length}"))
    return remarks


def unsupported(task: Task) -> list[str]:
    """Returns the sentences that are in no finding and were not written by a person."""
    supported = [finding.text for finding in task.findings]
    supported += [part for part in _frame(task) if part in task.text.split("\n\n")]
    supported += [sentence for text in task.by_hand for sentence in sentences(text)]
    rest = task.text
    # Longest first: a short passage may be part of a longer one.
    for passage in sorted(supported, key=len, reverse=True):
        rest = rest.replace(passage, "")
    lines = (_CREDIT.sub("", line, count=1) for line in rest.split("\n"))
    remaining = (sentence for line in lines for sentence in sentences(line))
    return [sentence for sentence in remaining if _WORD_CHARACTER.search(sentence)]


def decide(task: Task, on_text: OnText) -> Verdict:
    """Removes unsupported sentences, shortens the text to its length, and approves it."""
    text = task.text
    removed = unsupported(task)
    for sentence in removed:
        text = _without(text, sentence)
    if _long(task, text):
        text = _shortened(task, text)
    # If no sentence is supported, the text stays as it is.
    text = text or task.text
    on_text(partial(str, text))
    refs = {ref for number in _used(task, text) for ref in task.findings[number - 1].sources}
    sources = f"{len(refs)} source{'s' if len(refs) > 1 else ''}"
    reason = f"{_length(task, text)} of {task.order.words} words, from {sources}"
    if removed:
        reason += f"; {len(removed)} statements without a source left out"
    if _short(task, text):
        reason += "; the material has no more"
    return Verdict(
        text="" if text == task.text else text,
        title=task.title,
        decision="approve",
        reason=f"{reason}.",
        remarks=[],
    )
