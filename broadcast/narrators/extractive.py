"""The narrator that needs no key: it reads a post's own sentences and invents nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256

from broadcast.narrators.base import (
    RULE_SENTIMENT,
    kicker_of,
    spoken,
    title_of,
    tone_of,
    topics_of,
)
from stories.text import cut, sentences, word_count, word_set
from stories.types import Brief, Narration, OnText, Tone

WORDS = {"concise": 40, "detailed": 80, "comprehensive": 130}
_MAX_SUMMARY = 300
_OPENING_WORDS = 8

_OPENINGS: dict[str, tuple[str, ...]] = {
    "formal": (
        "The following is {item} from {source}.",
        "We turn to {item} from {source}.",
        "{source} brings us {item}.",
        "Next, {item} from {source}.",
        "Our next item is {item} from {source}.",
    ),
    "conversational": (
        "Here's {item} from {source}.",
        "And now {item} from {source}.",
        "This is {item} from {source}.",
        "Next up, {item} from {source}.",
        "Let's hear {item} from {source}.",
    ),
    "analytical": (
        "A closer look at {item} from {source}.",
        "Let us examine {item} from {source}.",
        "The details of {item} from {source}.",
        "To be read with care: {item} from {source}.",
        "Point by point, {item} from {source}.",
    ),
    "energetic": (
        "Straight to it, {item} from {source}!",
        "Listen to this, {item} from {source}!",
        "Here we go with {item} from {source}!",
        "Coming right up, {item} from {source}!",
        "Don't go away, here's {item} from {source}!",
    ),
}
_ITEMS: dict[Tone, str] = {
    "breaking": "a report",
    "developing": "a report",
    "analysis": "an analysis",
    "opinion": "an opinion piece",
    "human-interest": "a story",
}
_KICKER_ITEMS = {"correction": "a correction", "update": "an update"}
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I've|my|we|our)\b")
_QUOTED = re.compile(r"[\"\u201c][^\"\u201c\u201d]*[\"\u201d]")
_TAG = re.compile(r"\[[^\[\]]{1,20}\]")
_FURNITURE = re.compile(
    r"^(?:edit(?: \d+)?:|tl;?dr|read more|continue reading|submitted by|the post .* appeared first"
    r"|click here|sign up|subscribe|share this|\[?link\]?$|\[?comments\]?$)",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?…:;\u3002\uff01\uff1f][\"'\u201d\u2019»)\]\u300d\u300f]*$")


class ExtractiveNarrator:
    """Lead sentence first, then the most central ones, in the post's order and language."""

    origin = "extractive"

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        """Choose, credit and read; ``on_text`` hears the text after each sentence."""
        kicker, headline = _headline(brief.title)
        tone = tone_of(brief.title, brief.body)
        body = _readable(brief.body)
        told = [] if _repeated(headline, body) else [headline]
        known = word_count(" ".join([*_goes_on(brief), *told]))
        room = _budget(brief) - _OPENING_WORDS - known
        told += choose(body, room, wishes_of(brief.instructions))
        opening = _opening(brief, _item(brief, kicker, tone, told))
        narrative = _speak([*_goes_on(brief), opening, *told], on_text)
        return Narration(
            title=title_of(headline) or brief.title,
            narrative=narrative,
            tone=tone,
            sentiment=RULE_SENTIMENT,
            topics=topics_of(brief.title, brief.body),
            summary=cut(next(iter(body), headline), _MAX_SUMMARY),
            note=_note(brief, word_count(narrative)),
        )


def _budget(brief: Brief) -> int:
    return WORDS.get(brief.verbosity, WORDS["detailed"])


def _speak(said: list[str], on_text: OnText) -> str:
    text = ""
    for sentence in said:
        text = f"{text} {sentence}".lstrip()
        on_text(text)
    return text


def _headline(title: str) -> tuple[str, str]:
    """The label of a title, and the rest of it as a sentence to be read out."""
    kicker, rest = kicker_of(title)
    rest = " ".join(_TAG.sub("", spoken(rest)).split()) or rest
    return kicker, _closed(rest.rstrip(" -:|,"))


def _closed(sentence: str) -> str:
    return sentence if _ENDED.search(sentence[-8:]) else f"{sentence}."


def _readable(body: str) -> list[str]:
    """The sentences of a body that can be read out, without the furniture of web pages."""
    parts = (part for part in sentences(spoken(body)) if not _FURNITURE.match(part))
    return [_closed(part) for part in parts if any(char.isalpha() for char in part)]


def _repeated(headline: str, body: list[str]) -> bool:
    """Whether the lead says all of the headline, so that reading both would be saying it twice."""
    wanted = content_words(headline)
    return bool(body) and len(wanted & content_words(body[0])) >= 0.75 * len(wanted)


def _item(brief: Brief, kicker: str, tone: Tone, told: list[str]) -> str:
    """What kind of thing is read: opinions and first-person posts are never the host's own."""
    if kicker in _KICKER_ITEMS:
        return _KICKER_ITEMS[kicker]
    own_words = _FIRST_PERSON.search(_QUOTED.sub("", " ".join(told)))
    if tone in ("opinion", "analysis") and kicker and brief.author:
        return f"{_ITEMS[tone]} by {brief.author}"
    if tone != "opinion" and own_words:
        return "a post in its author's own words"
    return _ITEMS[tone] if kicker or tone != "analysis" else "a report"


def _opening(brief: Brief, item: str) -> str:
    source = brief.source or "our sources"
    if not _english(brief.language):
        return _closed(source)
    openings = _OPENINGS.get(brief.personality, _OPENINGS["conversational"])
    variant = sha256(brief.title.encode("utf-8", "replace")).digest()[0] % len(openings)
    opening = openings[variant].format(item=item, source=source)
    return opening[0].upper() + opening[1:] if opening.startswith("the ") else opening


_GOES_ON = {
    "correction": "We have to correct what we reported earlier, “{title}”.",
    "clarification": "More light on what we reported earlier, “{title}”.",
    "new-development": "There is news about what we reported earlier, “{title}”.",
    "follow-up": "We come back to what we reported earlier, “{title}”.",
}


def _goes_on(brief: Brief) -> list[str]:
    """The sentence that ties a story to the earlier one of its thread."""
    sentence = _GOES_ON.get(brief.relation, "")
    if not (sentence and brief.earlier and _english(brief.language)):
        return []
    return [sentence.format(title=brief.earlier[-1][0].rstrip(".!?"))]


def _english(language: str) -> bool:
    return not language or language.lower().startswith("en")


def _note(brief: Brief, words: int) -> str:
    """How the narration deviates from what was asked, in sentences for the owner."""
    notes = []
    if not _english(brief.language):
        notes.append("Spoken in the language of the post: without a model nothing is translated.")
    if brief.instructions.strip():
        notes.append("Without a model, instructions only steer which sentences are read.")
    if words < _budget(brief) * 0.6:
        notes.append("Shorter than asked: the post says no more.")
    return " ".join(notes)


_COMMON = word_set("""
    a an the and or but of in on at to for from by with as is are was were be been has have had it
    its this that these those he she they his her their i you we our not no so if than then there
    which who what when where will would can could may about after before over into out up said says
""")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
# A sentence that begins like this leans on the one before it and is never read without it.
_LEANS = re.compile(
    r"[\"'\u201c\u2018]|(?:this|that|these|those|it|its|he|she|they|his|her|their|them|both|such"
    r"|but|and|so|or|yet|then|still|also|however|instead|one of|others?|of these|the reason"
    r"|nobody|neither|another|(?:[\w-]+,? ){1,2}(?:he|she|they|it))\b",
    re.IGNORECASE,
)
_MOST_SENTENCES = 80
_OVERRUN = 8
_DAMPING = 0.85
_FOCUS = 20.0
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the owner wants to hear of, and what not; words in lower case."""

    focus: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()


def wishes_of(instructions: str) -> Wishes:
    """Read "focus on …" and "avoid …" from free instructions; everything else needs a model."""
    focus = re.findall(r"\b(?:focus on|prefer|stress)\b([^.;,\n]*)", instructions, re.IGNORECASE)
    avoid = re.findall(r"\b(?:avoid|skip|leave out)\b([^.;,\n]*)", instructions, re.IGNORECASE)
    return Wishes(content_words(" ".join(focus)), content_words(" ".join(avoid)))


def content_words(text: str) -> frozenset[str]:
    """The words that carry the meaning, in lower case."""
    return frozenset(_WORD.findall(text.lower())) - _COMMON


def choose(body: list[str], room: int, wishes: Wishes) -> list[str]:
    """Sentences of ``body`` in their order, some ``room`` words in all: the lead, then by rank."""
    words = [content_words(sentence) for sentence in body[:_MOST_SENTENCES]]
    allowed = [index for index, told in enumerate(words) if not told & wishes.avoid]
    rank = {
        index: central * (_FOCUS if words[index] & wishes.focus else 1.0) / (index + 2)
        for index, central in enumerate(_centrality(words))
    }
    chosen: set[int] = set()
    full = False
    for index in allowed[:1] + sorted(allowed[1:], key=lambda at: -rank[at]):
        needed = _with_support(index, body, chosen)
        cost = sum(word_count(body[at]) for at in needed)
        fits = needed <= set(allowed) and (not chosen or cost <= room + _OVERRUN)
        # What is squeezed in at the end has to follow from something that was said.
        if fits and (not full or min(needed) - 1 in chosen):
            chosen |= needed
            room -= cost
        full = full or not fits
    return [body[index] for index in sorted(chosen)]


def _with_support(index: int, body: list[str], chosen: set[int]) -> set[int]:
    """The sentence and those before it that it leans on, as far as they are not chosen yet."""
    needed = {index}
    while index > 0 and _LEANS.match(body[index]):
        index -= 1
        needed.add(index)
    return needed - chosen


def _centrality(words: list[frozenset[str]]) -> list[float]:
    """LexRank: a sentence matters when it is like others that matter."""
    count = len(words)
    seen_in = Counter(word for told in words for word in told)
    weight = {word: math.log(1 + count / times) for word, times in seen_in.items()}
    like = [[_alike(one, other, weight) for other in words] for one in words]
    totals = [sum(row) or 1.0 for row in like]
    scores = [1.0 / max(count, 1)] * count
    for _ in range(_ROUNDS):
        scores = [
            (1 - _DAMPING) / count
            + _DAMPING * sum(scores[j] * like[j][i] / totals[j] for j in range(count))
            for i in range(count)
        ]
    return scores


def _alike(one: frozenset[str], other: frozenset[str], weight: dict[str, float]) -> float:
    """The cosine of two sentences, each word weighed by how rare it is here."""
    shared = sum(weight[word] ** 2 for word in one & other)
    size = math.sqrt(_squares(one, weight) * _squares(other, weight))
    return shared / size if size else 0.0


def _squares(words: frozenset[str], weight: dict[str, float]) -> float:
    return sum(weight[word] ** 2 for word in words)
