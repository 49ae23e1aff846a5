"""The interface of narrators, and the rules that label a text without a model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Protocol

from stories.text.addresses import without_addresses
from stories.text.cleaning import clean_text, cut
from stories.text.markup import from_markdown
from stories.text.sentences import (
    MAX_NAME,
    NO_NAME,
    in_title_case,
    is_complete,
    names_in,
    sentences,
)
from stories.types import Brief, Narration, OnText, Sentiment, Tone

MAX_TOPICS = 5
MAX_TOPIC = MAX_NAME
MAX_TITLE = 120
# Word lists call layoffs and verdicts neutral and jokes sad, so no rule claims a sentiment.
RULE_SENTIMENT: Sentiment = "neutral"


class Narrator(Protocol):
    """Turns a brief into a narration and passes the whole text so far to ``on_text``.

    Raises Retry, WaitUntil or NeedsHuman, and does not catch StaleClaim from ``on_text``.
    """

    origin: str  # "model" or "extractive"

    def narrate(self, brief: Brief, on_text: OnText) -> Narration: ...


_LABEL = (
    r"(breaking(?: news)?|just in|opinion|op-ed|editorial|comment|column|analysis|explainer"
    r"|correction|update)"
)
_KICKER = re.compile(
    rf"\s*+(?:\[{_LABEL}\]\s*+[:|\u2013\u2014-]?|{_LABEL}(?:\s*+[:|\u2013\u2014]|\s++-))\s*+(?=\S)",
    re.IGNORECASE,
)
BREAKING_KICKERS = ("breaking", "breaking news", "just in")
_TONE_OF_KICKER: dict[str, Tone] = {
    "breaking": "breaking",
    "breaking news": "breaking",
    "just in": "breaking",
    "opinion": "opinion",
    "op-ed": "opinion",
    "editorial": "opinion",
    "comment": "opinion",
    "column": "opinion",
    "analysis": "analysis",
    "explainer": "analysis",
}
# Searched for in the headline, in this order; the first match decides.
_TONE_RULES: tuple[tuple[Tone, re.Pattern[str]], ...] = (
    ("opinion", re.compile(r"\b(?:unpopular opinion|in my view|in praise of|change my view)\b")),
    (
        "analysis",
        re.compile(r"^(?:why|how|what)\b(?!.*\?)|\b(?:explained|in depth|what .{1,100} means)\b"),
    ),
    (
        "human-interest",
        re.compile(
            r"\b(?:retires?|retired|grand(?:mother|father)|birthday|wedding|volunteers?|reunited"
            r"|rescue dog|neighbou?rs?|heartwarming|found safe|good news|lost:|harbour master)\b"
            r"|\bvillage\b.{0,100}\b(?:shop|school|pub)\b|\ba letter\b|\byears on\b"
        ),
    ),
    (
        "breaking",
        re.compile(
            r"\b(?:earthquake|explosion|explodes|landslide|shooting|evacuat\w+|tsunami|outage"
            r"|suspended after|cuts? power|collapses?|crash(?:es)?|emergency|wildfire|resigns)\b"
        ),
    ),
)


def kicker_of(title: str) -> tuple[str, str]:
    """Splits a label such as "Opinion:" from a headline: (label in lower case or "", the rest)."""
    match = _KICKER.match(title)
    if match is None:
        return "", title.strip()
    return (match[1] or match[2]).lower(), title[match.end() :]


def tone_of(title: str, body: str) -> Tone:
    """Returns the tone by label, then by words of the headline, then by the body's first person."""
    kicker, headline = kicker_of(title)
    if kicker in _TONE_OF_KICKER:
        return _TONE_OF_KICKER[kicker]
    for tone, rule in _TONE_RULES:
        if rule.search(headline.lower()):
            return tone
    return "opinion" if re.search(r"\bI (?:believe|would argue)\b", body[:2000]) else "developing"


_PLAIN_WORD = re.compile(r"[^\W\d_]{6,20}+")


def topics_of(title: str, body: str) -> list[str]:
    """Returns up to five names in a text, most frequent first; else long words of the headline."""
    headline = kicker_of(title)[1]
    counted: Counter[str] = Counter()
    known: set[str] = set()
    # In a headline in title case every word looks like a name.
    weighted = [(headline, 2)] if not in_title_case(headline) else []
    for text, weight in [*weighted, *((part, 1) for part in sentences(body[:6000]))]:
        for name, proven in names_in(text):
            counted[name] += weight
            known |= {name} if proven else set()
    ranked = [name for name, _ in counted.most_common() if name in known]
    names = [name for name in ranked if not any(name != more and name in more for more in ranked)]
    if names:
        return names[:MAX_TOPICS]
    words = dict.fromkeys(_PLAIN_WORD.findall(headline.lower()))
    return sorted((word for word in words if word not in NO_NAME), key=len, reverse=True)[:3]


_ADDRESS = re.compile(
    r"(?:\b(?:see|source|via|link|at|here):? )?\(?\b(?:https?://|www\.)\S+", re.IGNORECASE
)
# What no Markdown has a meaning for, and no one reads out: bullets, and marks that are not closed.
_LEFT_OVER = re.compile(
    r"^[ \t]*[\u2022\u25aa\u25e6\u00b7]\s|\*{2,}|(?<!\S)[_~`=#>|-]{2,}(?!\S)", re.MULTILINE
)


def spoken(text: str) -> str:
    """Returns ``text`` as it is read aloud: without Markdown, addresses and emoji."""
    plain = _ADDRESS.sub("", from_markdown(text, line_breaks=True))
    text = _LEFT_OVER.sub("", without_addresses(plain))
    # Signs that are read aloud (5 °C, №) lie below the arrows, emoji above; cleaning then removes
    # the joiners and selectors that are left of an emoji.
    text = "".join(
        char for char in text if char < "\u2190" or unicodedata.category(char) not in ("So", "Sk")
    )
    return clean_text(text, len(text) + 1).strip()


def title_of(text: str) -> str:
    """Makes a headline of prose: its first sentence, without final stop and enclosing quotes."""
    first = next(iter(sentences(spoken(text))), "")
    bare = first[1:-1] if first[:1] in '"“' and first[-1:] in '"”' and len(first) > 2 else first
    return cut(bare.rstrip(".").strip(), MAX_TITLE)


def whole_sentences(text: str) -> str:
    """Returns ``text`` without an unfinished last sentence; "" when no sentence is complete."""
    text = text.rstrip()
    parts = sentences(text)
    if not parts or is_complete(parts[-1]):
        return text
    return text[: text.rfind(parts[-1])].rstrip()
