"""The narrator that needs no key: it reads a post's own sentences, with a host's links between."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from broadcast.narrators import presentation
from broadcast.narrators.base import (
    RULE_SENTIMENT,
    kicker_of,
    spoken,
    title_of,
    tone_of,
    topics_of,
)
from broadcast.narrators.quantities import read
from stories.text.cleaning import cut
from stories.text.furniture import is_unspoken, without_furniture
from stories.text.sentences import full_stop, is_complete, sentences, word_count, word_set
from stories.types import Brief, Narration, OnText, OtherReport, Passage, SpokenSentence

WORDS = {"concise": 40, "detailed": 80, "comprehensive": 130}
_MAX_SUMMARY = 300
_OPENING_WORDS = 8
# Sentences that other reports of the event add, and new content words that each must have.
_MOST_ADDED, _FEWEST_NEW = {"concise": 0, "detailed": 1, "comprehensive": 2}, 4
_READ_OF_BODY = 6000  # characters
# A lead that shares fewer content words with the headline reports something else.
_SAME_NEWS = 2

_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I've|my|we|our)\b")
_QUOTED = re.compile(r"[\"\u201c][^\"\u201c\u201d]*[\"\u201d]")
_TAG = re.compile(r"\[[^\[\]]{1,20}\]")
_SCORE = re.compile(r"(?<![\w-])\d{1,3}[-:\u2013]\d{1,3}(?![\w-])")
# Code, and what points to things that a listener does not get.
_NOT_ALOUD = re.compile(
    r"</\w+>|=>|\w\(\)|[{};]$|^here (?:is|are) (?:what|how|why|the list|a list)\b|^below (?:is|are)\b"
    r"|\b(?:as follows|see (?:below|above)|pictured (?:above|below|left|right|here)"
    r"|in the (?:photo|picture|video|map|chart|table|graph) (?:above|below))\b",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[:;][\"'\u201d\u2019»)\]\u300d\u300f]*$")


class ExtractiveNarrator:
    """Reads the lead sentence and the most central ones, in the post's order and language."""

    origin = "extractive"

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        """Chooses sentences, credits the source, and calls ``on_text`` after each sentence."""
        kicker, rest = kicker_of(brief.title)
        rest = " ".join(_TAG.sub("", spoken(rest)).split()) or rest
        headline = as_sentence(rest.rstrip(" -:|,"))
        tone = tone_of(brief.title, brief.body)
        body = readable_sentences(brief.body)
        budget = WORDS.get(brief.verbosity, WORDS["detailed"])
        wishes = wishes_of(brief.instructions)
        chosen = choose(body, budget - _OPENING_WORDS, wishes)
        beginning = chosen[: 1 if tone in ("opinion", "analysis") else 2]
        # The headline of a comment reports nothing, and its text says what it is about.
        comment = tone in ("opinion", "analysis") and len(chosen) > 2
        if not comment and needs_headline(headline, beginning, body):
            room = budget - _OPENING_WORDS - word_count(headline)
            chosen = [headline, *choose(body, room, wishes)]
        first_person = _FIRST_PERSON.search(_QUOTED.sub("", " ".join(chosen))) is not None
        flows_on = len(chosen) > 1 and _LEANS.match(chosen[1]) is not None
        introduction = presentation.introduction(
            brief, tone, kicker, chosen[0], first_person=first_person, flows_on=flows_on
        )
        ending = presentation.closing(brief, tone, kicker, first_person=first_person)
        ending = ending or presentation.coming_up(brief)
        lead, *others = [SpokenSentence(text, ({"text": text, "report": 0},)) for text in chosen]
        read_aloud = [
            *(SpokenSentence(text, link=True) for text in introduction.before),
            lead,
            *(SpokenSentence(text, link=True) for text in introduction.after),
            *changed_figures(brief, chosen),
            *others,
            *other_reports(brief, chosen),
            *(SpokenSentence(text, link=True) for text in ending),
        ]
        narrative = ""
        for sentence in read_aloud:
            narrative = f"{narrative} {sentence.text}".lstrip()
            on_text(narrative)
        return Narration(
            title=title_of(headline) or brief.title,
            narrative=narrative,
            tone=tone,
            sentiment=RULE_SENTIMENT,
            topics=topics_of(brief.title, brief.body),
            summary=cut(next(iter(body), headline), _MAX_SUMMARY),
            note=note_of(brief, word_count(narrative), budget),
            spoken=tuple(read_aloud),
        )


def changed_figures(brief: Brief, chosen: Sequence[str]) -> list[SpokenSentence]:
    """Says what is not as it was, unless the chosen sentences or the earlier headline say it."""
    spoken_changes = []
    read_out = " ".join(chosen)
    for change in brief.changes if presentation.is_english(brief.language) else ():
        before: Passage = {"text": change.before, "report": -1}
        figures = _FIGURE.findall(change.words)
        unsaid = not _CHANGED.search(chosen[0]) and change.before not in read_out
        if change.status and not brief.earlier and unsaid:
            report = as_sentence(change.before)
            spoken_changes.append(SpokenSentence(f"Earlier, the headline was: {report}", (before,)))
        if not change.status and not all(figure in read_out for figure in figures):
            # The new figure must not come twice in a row.
            repeated = len(figures) == 2 and figures[0] in _FIGURE.findall(chosen[0])
            text = f"It was {figures[1]} before." if repeated else f"That is {change.words} before."
            passages: tuple[Passage, ...] = ({"text": change.now, "report": 0}, before)
            spoken_changes.append(SpokenSentence(text, passages))
    return spoken_changes


def other_reports(brief: Brief, chosen: Sequence[str]) -> list[SpokenSentence]:
    """Tells what the other reports of the event add, where they differ, and credits each of them."""
    spoken_reports = []
    agreeing = []
    room = _MOST_ADDED.get(brief.verbosity, _MOST_ADDED["detailed"])
    known = _stems(" ".join([brief.title, *chosen, brief.body[:_READ_OF_BODY]]))
    for number, other in enumerate(brief.others, 1):
        added = "" if other.older or not room else _new_in(other, known)
        if added:
            room -= 1
            known |= _stems(added)
            link = presentation.of_another(brief, other.source, "adds", number)
            passage: Passage = {"text": added, "report": number, "source": other.source}
            spoken_reports += [SpokenSentence(link, link=True), SpokenSentence(added, (passage,))]
        if other.differs and not other.older:
            text = presentation.of_another(brief, other.source, other.differs, number)
            title: Passage = {"text": other.title, "report": number, "source": other.source}
            spoken_reports.append(SpokenSentence(text, (title,)))
        if not (added or other.differs or other.older):
            agreeing.append(other.source)
    if agreeing:
        spoken_reports.append(SpokenSentence(presentation.also_report(brief, agreeing), link=True))
    return spoken_reports


def _new_in(other: OtherReport, known: frozenset[str]) -> str:
    """Returns a sentence of another report that says something new and needs none before it."""
    for text in readable_sentences(other.body)[:_MOST_SENTENCES]:
        words = _stems(text)
        whole = is_complete(text) and not text.endswith("…")
        whole = whole and not (_LEANS.match(text) or _FIRST_PERSON.search(text))
        if whole and len(words - known) >= _FEWEST_NEW and 2 * len(words & known) <= len(words):
            return text
    return ""


def as_sentence(text: str) -> str:
    if is_complete(text) or _ENDED.search(text[-8:]):
        return text
    return text + full_stop(text)


def readable_sentences(body: str) -> list[str]:
    """Returns the sentences of a body that can be read aloud, without web page boilerplate."""
    # Posts of an import or of an older version may still have their furniture.
    lines = sentences(spoken(without_furniture(body)))
    parts = (part for part in lines if not (is_unspoken(part) or _NOT_ALOUD.search(part)))
    return [as_sentence(part) for part in parts if any(char.isalpha() for char in part)]


def needs_headline(headline: str, chosen: Sequence[str], body: Sequence[str]) -> bool:
    """Whether the headline has to be read because the sentences after it do not report it."""
    if not chosen or _LEANS.match(chosen[0]):
        return True
    words, lead, beginning = _stems(headline), _stems(chosen[0]), _stems(" ".join(chosen))
    figures, known = (
        {quantity.values[0] for quantity in read(text).quantities}
        for text in (headline, " ".join(body))
    )
    # A figure that only the headline has would be lost: a score always is news, any other if the
    # first sentences report something else.
    half = 2 * len(words & beginning) >= len(words)
    if not figures <= known and (_SCORE.search(headline) or not half):
        return True
    most = 3 * len(words & beginning) >= 2 * len(words)
    return len(words & lead) < min(_SAME_NEWS, len(words)) and not (most and len(words) > 2)


def _stems(text: str) -> frozenset[str]:
    """Returns the content words cut so that "council" and "councillors" are one."""
    return frozenset(word.rstrip("s")[:6] for word in content_words(text))


def note_of(brief: Brief, words: int, budget: int) -> str:
    """Describes to the owner how the narration differs from the settings."""
    notes = []
    if not presentation.is_english(brief.language):
        notes.append("Spoken in the language of the post: without a model nothing is translated.")
    if brief.instructions.strip():
        notes.append("Without a model, instructions only steer which sentences are read.")
    if words < budget * 0.6:
        notes.append("Shorter than asked: the post says no more.")
    return " ".join(notes)


_COMMON = word_set("""
    a an the and or but of in on at to for from by with as is are was were be been has have had it
    its this that these those he she they his her their i you we our not no so if than then there
    which who what when where will would can could may about after before over into out up said says
""")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
# A sentence that begins like this refers to the one before it and is never read without it.
_FIGURE = re.compile(r"\d[\d.,]*\d|\d")
_LEANS = re.compile(
    r"[\"'\u201c\u2018]|(?:this|that|these|those|it|its|he|she|they|his|her|their|them|both|such"
    r"|but|and|so|or|yet|then|still|also|however|instead|one of|others?|of these|the reason"
    r"|nobody|neither|another|(?:[\w-]+,? ){1,2}(?:he|she|they|it))\b",
    re.IGNORECASE,
)
# Says itself that something is not as it was.
_CHANGED = re.compile(r"\b(?:again|no longer|once more|back (?:in|on|at))\b", re.IGNORECASE)
_MOST_SENTENCES = 80
_OVERRUN = 8
_DAMPING = 0.85
_FOCUS = 20.0
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Wishes:
    """Subjects to prefer and to avoid; words in lower case."""

    focus: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()


def wishes_of(instructions: str) -> Wishes:
    """Reads "focus on …" and "avoid …" from free instructions; anything else needs a model."""
    focus = re.findall(r"\b(?:focus on|prefer|stress)\b([^.;,\n]*)", instructions, re.IGNORECASE)
    avoid = re.findall(r"\b(?:avoid|skip|leave out)\b([^.;,\n]*)", instructions, re.IGNORECASE)
    return Wishes(content_words(" ".join(focus)), content_words(" ".join(avoid)))


def content_words(text: str) -> frozenset[str]:
    """Returns the words that carry the meaning, in lower case."""
    return frozenset(_WORD.findall(text.lower())) - _COMMON


def choose(body: list[str], room: int, wishes: Wishes) -> list[str]:
    """Returns sentences of ``body`` in order, about ``room`` words in all: the lead, then by rank."""
    words = [content_words(sentence) for sentence in body[:_MOST_SENTENCES]]
    allowed = [index for index, carrying in enumerate(words) if not carrying & wishes.avoid]
    rank = {
        index: central * (_FOCUS if words[index] & wishes.focus else 1.0) / (index + 2)
        for index, central in enumerate(centrality(words))
    }
    chosen: set[int] = set()
    full = False
    for index in allowed[:1] + sorted(allowed[1:], key=lambda at: -rank[at]):
        # A sentence brings those before it that it refers to.
        first = index
        while first > 0 and _LEANS.match(body[first]):
            first -= 1
        needed = set(range(first, index + 1)) - chosen
        cost = sum(word_count(body[at]) for at in needed)
        fits = needed <= set(allowed) and (not chosen or cost <= room + _OVERRUN)
        # Once the room is used up, a sentence must continue one that is already chosen.
        if fits and (not full or min(needed) - 1 in chosen):
            chosen |= needed
            room -= cost
        full = full or not fits
    return [body[index] for index in sorted(chosen)]


def centrality(words: list[frozenset[str]]) -> list[float]:
    """Ranks sentences by LexRank: one is central when it resembles other central ones."""
    count = len(words)
    seen_in = Counter(word for sentence in words for word in sentence)
    weight = {word: math.log(1 + count / times) for word, times in seen_in.items()}
    like = [[similarity(one, other, weight) for other in words] for one in words]
    totals = [sum(row) or 1.0 for row in like]
    scores = [1.0 / max(count, 1)] * count
    for _ in range(_ROUNDS):
        scores = [
            (1 - _DAMPING) / count
            + _DAMPING * sum(scores[j] * like[j][i] / totals[j] for j in range(count))
            for i in range(count)
        ]
    return scores


def similarity(one: frozenset[str], other: frozenset[str], weight: dict[str, float]) -> float:
    """Returns the cosine of two sentences, each word weighted by how rare it is here."""

    def squares(words: frozenset[str]) -> float:
        return sum(weight[word] ** 2 for word in words)

    size = math.sqrt(squares(one) * squares(other))
    return squares(one & other) / size if size else 0.0
