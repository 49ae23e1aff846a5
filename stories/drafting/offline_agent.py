"""Agents that need no key: they pick, order and check passages of the material, and invent nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import zip_longest

from stories.drafting.agents import (
    MOST_FINDINGS,
    Finding,
    Handover,
    Item,
    OnText,
    Order,
    Outline,
    Remark,
    Research,
    Review,
    Section,
    Task,
    Text,
    Verdict,
    cited,
)
from stories.llm import EXTRACTIVE
from stories.posts.duplicates import telling_words
from stories.text import clean_text, cut, sentences, word_count, word_set

MARGIN = 0.2  # of the ordered length
ALIKE = 0.6
_LONGEST = 400  # characters of a passage
_PLENTY = 1.6  # times the ordered length is looked for
_LEAST = 5  # words of a passage
_LEANS = word_set("""
    this that these those it its he she they his her their them both such but and so or yet then
    still also however instead others nobody neither another meanwhile
""")
_FROM = re.compile(r"(?m)^(?:From )?[^:\n]{1,80}: ?")
_LEFT = re.compile(r"\w")


class OfflineAgent:
    """All four agents, by rule."""

    model = EXTRACTIVE

    def take(self, task: Task, on_text: OnText) -> Handover:
        return _WORK[task.kind](task, on_text)


def _passages(text: str) -> list[str]:
    """The sentences of a text; one that leans on the one before it stays with it."""
    found: list[str] = []
    for sentence in sentences(text):
        first = re.sub(r"\W", "", sentence.split(maxsplit=1)[0]).lower()
        joined = f"{found[-1]} {sentence}" if found else sentence
        if found and first in _LEANS and len(joined) <= _LONGEST:
            found[-1] = joined
        elif len(sentence) <= _LONGEST:
            found.append(sentence)
    return [each for each in found if word_count(each) >= _LEAST]


def _alike(one: str, other: str) -> bool:
    """Whether two passages say the same in nearly the same words."""
    ours, theirs = telling_words(one), telling_words(other)
    return bool(ours) and len(ours & theirs) >= ALIKE * min(len(ours), len(theirs))


def _research(task: Task, _on_text: OnText) -> Research:
    wanted = telling_words(" ".join(task.order.keywords))
    ranked = sorted(
        (
            (-_worth(passage, item, wanted, at), number, at, passage, item)
            for number, item in enumerate(task.material)
            for at, passage in enumerate(_passages(item.text) or [item.title])
        ),
        key=lambda each: each[:3],
    )
    chosen: list[tuple[int, int, Finding]] = []
    room = task.order.words * _PLENTY
    for _, number, at, passage, item in ranked:
        if room > 0 and len(chosen) < MOST_FINDINGS:
            room -= word_count(passage)
            chosen.append((number, at, Finding(text=passage, sources=[item.ref])))
    findings = [each for *_, each in sorted(chosen, key=lambda each: each[:2])]
    refs = [ref for each in findings for ref in each.sources]
    angle = ranked[0][4].title if ranked else ""
    said = telling_words(
        " ".join([each.text for each in findings] + [i.title for i in task.material])
    )
    gaps = [each for each in task.order.keywords if not telling_words(each) & said]
    return Research(angle=angle, findings=findings, gaps=gaps, sources=cited(task.material, refs))


def _worth(passage: str, item: Item, wanted: frozenset[str], at: int) -> float:
    """How much a passage is about what is wanted; leads are worth more."""
    return (
        2 * len(telling_words(passage) & wanted)
        + len(telling_words(item.title) & wanted)
        + 1 / (at + 1)
    )


def _outline(task: Task, _on_text: OnText) -> Outline:
    """A section for each source, in the order in which the researcher ranked them."""
    titles = {each.ref: each.title for each in task.found.sources}
    by_source: dict[str, list[int]] = {}
    for number, finding in enumerate(task.found.findings, 1):
        by_source.setdefault(finding.sources[0], []).append(number)
    sections = [
        Section(heading=titles.get(ref, ref), findings=numbers)
        for ref, numbers in by_source.items()
    ]
    return Outline(title=task.found.angle or ", ".join(task.order.keywords), sections=sections)


def _text(task: Task, on_text: OnText) -> Text:
    text = _revised(task) if task.text and task.remarks else task.text or _composed(task)
    shown = ""
    for paragraph in text.split("\n\n"):
        shown = f"{shown}\n\n{paragraph}".lstrip()
        on_text(shown)
    used = _used(task, text)
    cites = [ref for number in used for ref in task.found.findings[number - 1].sources]
    return Text(
        text=text, title=task.title or (task.outline.title if task.outline else ""),
        reason=_reason(task), cites=list(dict.fromkeys(cites)),
    )  # fmt: skip


def _reason(task: Task) -> str:
    if not task.text:
        reason = "First text"
    else:
        reason = f"After review: {', '.join(dict.fromkeys(each.about for each in task.remarks))}"
    notes = []
    if not task.order.language.lower().startswith("en"):
        notes.append("in the language of the sources: without a model nothing is translated")
    if task.order.wishes:
        notes.append("without a model, wishes are kept but not understood")
    return "; ".join([reason.rstrip(": "), *notes])


def _composed(task: Task) -> str:
    """Passages of each section in turn until the length is reached, told section by section."""
    sections = task.outline.sections if task.outline else []
    room, taken = task.order.words, set[int]()
    for row in zip_longest(*(each.findings for each in sections)):
        for number in (at for at in row if at is not None):
            if room > 0:
                room -= word_count(task.found.findings[number - 1].text)
                taken.add(number)
    parts: list[str] = []
    said = ""
    for section in sections:
        numbers = [at for at in section.findings if at in taken]
        if numbers and task.order.style == "explainer" and len(sections) > 1:
            parts.append(section.heading)
        if numbers:
            # Who was named last goes on speaking.
            credit = _credit(task, numbers)
            parts.append(_paragraph(task, numbers, named=credit == said))
            said = credit
    return "\n\n".join(parts)


def _paragraph(task: Task, numbers: Sequence[int], *, named: bool = False) -> str:
    text = " ".join(task.found.findings[number - 1].text for number in numbers)
    credit = _credit(task, numbers)
    if named or not credit:
        return text
    english = task.order.language.lower().startswith("en")
    return f"From {credit}: {text}" if english else f"{credit}: {text}"


def _credit(task: Task, numbers: Sequence[int]) -> str:
    first = task.found.findings[numbers[0] - 1].sources[0]
    return next((each.credit for each in task.found.sources if each.ref == first), "")


def _used(task: Task, text: str) -> list[int]:
    return [at for at, each in enumerate(task.found.findings, 1) if each.text in text]


def _without(text: str, passage: str) -> str:
    """The text without a passage, and without a credit that is left with nothing."""
    parts = [" ".join(part.replace(passage, "").split()) for part in text.split("\n\n")]
    return "\n\n".join(part for part in parts if _LEFT.search(_FROM.sub("", part, count=1)))


def _revised(task: Task) -> str:
    """The text with the remarks met: what is said twice goes, and its length is put right."""
    text = task.text
    for remark in task.remarks:
        if remark.about in ("repetition", "facts") and remark.where:
            place = _place(task, text, remark.where)
            text = _without(text, place) if place else text
    if any(remark.about == "length" for remark in task.remarks):
        text = _lengthened(task, text) if _short(task.order, text) else _shortened(task, text)
    return clean_text(text, len(text) + 1) or task.text


def _place(task: Task, text: str, where: str) -> str:
    """The passage or sentence that begins as the remark quotes it."""
    begins = where.rstrip("…").rstrip()
    whole = [task.found.findings[at - 1].text for at in _used(task, text)]
    return next((each for each in [*whole, *sentences(text)] if each.startswith(begins)), "")


def _short(order: Order, text: str) -> bool:
    return word_count(text) < order.words * (1 - MARGIN)


def _long(order: Order, text: str) -> bool:
    return word_count(text) > order.words * (1 + MARGIN)


def _lengthened(task: Task, text: str) -> str:
    for number in _unused(task, text):
        if not _short(task.order, text):
            break
        text = f"{text}\n\n{_paragraph(task, [number])}"
    return text


def _unused(task: Task, text: str) -> list[int]:
    """Findings that the text does not tell yet, in other words neither."""
    used = _used(task, text)
    told = [task.found.findings[at - 1].text for at in used]
    return [
        at
        for at, each in enumerate(task.found.findings, 1)
        if at not in used and not any(_alike(each.text, said) for said in told)
    ]


def _shortened(task: Task, text: str) -> str:
    """Without its last passages, as many as it takes; one always stays."""
    for number in reversed(_used(task, text)[1:]):
        if not _long(task.order, text):
            break
        text = _without(text, task.found.findings[number - 1].text)
    return text


def _review(task: Task, _on_text: OnText) -> Review:
    remarks = _of_text(task) if task.text else _of_outline(task)
    return Review(decision="changes" if remarks else "approve", remarks=remarks)


def _of_outline(task: Task) -> list[Remark]:
    """An outline that leaves out half of what was found wastes it."""
    planned = [
        at for each in (task.outline.sections if task.outline else []) for at in each.findings
    ]
    if len(planned) * 2 >= len(task.found.findings):
        return []
    return [Remark(about="structure", where="", wish="Use more of what was found.")]


def _of_text(task: Task) -> list[Remark]:
    remarks = []
    used = [task.found.findings[at - 1].text for at in _used(task, task.text)]
    for at, passage in enumerate(used):
        if any(_alike(passage, before) for before in used[:at]):
            wish = "This was said before; leave it out."
            remarks.append(Remark(about="repetition", where=cut(passage, 200), wish=wish))
    for sentence in unsupported(task):
        wish = "No source says this; leave it out, or name the source."
        remarks.append(Remark(about="facts", where=cut(sentence, 200), wish=wish))
    length = f"{word_count(task.text)} words instead of {task.order.words}."
    if _long(task.order, task.text) and len(used) > 1:
        remarks.append(Remark(about="length", where="", wish=f"Shorter: {length}"))
    elif _short(task.order, task.text) and _unused(task, task.text):
        remarks.append(Remark(about="length", where="", wish=f"Longer: {length}"))
    return remarks


def unsupported(task: Task) -> list[str]:
    """Sentences that no finding holds and no person wrote."""
    rest = task.text
    headings = [each.heading for each in task.outline.sections] if task.outline else []
    written = [said for text in task.by_hand for said in sentences(text)]
    for passage in sorted(
        [*(each.text for each in task.found.findings), *headings, *written], key=len, reverse=True
    ):
        rest = rest.replace(passage, "")
    left = (part for line in rest.split("\n") for part in sentences(_FROM.sub("", line, count=1)))
    return [each for each in left if _LEFT.search(each)]


def _verdict(task: Task, on_text: OnText) -> Verdict:
    """What no source holds goes, the length is put right, and the text stands."""
    text = task.text
    wrong = unsupported(task)
    for sentence in wrong:
        text = _without(text, sentence)
    if _long(task.order, text):
        text = _shortened(task, text)
    text = text or task.text
    on_text(text)
    return Verdict(
        text="" if text == task.text else text, title=task.title, decision="approve",
        reason=_judged(task, text, len(wrong)), remarks=[],
    )  # fmt: skip


def _judged(task: Task, text: str, dropped: int) -> str:
    sources = {ref for at in _used(task, text) for ref in task.found.findings[at - 1].sources}
    reason = f"{word_count(text)} of {task.order.words} words, from {len(sources)} sources"
    if dropped:
        reason += f"; {dropped} statements without a source left out"
    if _short(task.order, text):
        reason += "; the material says no more"
    return f"{reason}."


_WORK: dict[str, Callable[[Task, OnText], Handover]] = {
    "research": _research, "outline": _outline, "text": _text, "review": _review,
    "verdict": _verdict,
}  # fmt: skip
