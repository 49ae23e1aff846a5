"""Features of a report for comparison: its words, names, numbers, and the words for what happened."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from stories.posts.vocabulary import (
    APPROXIMATE,
    CARDINALS,
    EMPTY,
    EVENT_WORDS,
    MAGNITUDES,
    NEGATIONS,
    SAME,
    TIME_WORDS,
)
from stories.text.urls import canonical_url

TITLE_CHARACTERS = 300
TEXT_CHARACTERS = 1_200
_SHINGLE = 4
# A common beginning of this length makes two names one: Brazil, Brazilian.
PREFIX = 5

# A number (with groups, decimals or a score), a run of a script without spaces, or a word.
_TOKEN = re.compile(
    r"(?P<score>(?<![\d.,])\d{1,3}[-\u2013]\d{1,3}(?![\d.,-]\d))"
    r"|(?P<number>\d+(?:[.,:]\d+)*)"
    r"|(?P<dense>[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)*)"
)
_SENTENCE_END = re.compile(r"[.!?:;\u2026\u3002\uff01\uff1f\u0964\u06d4\n\"\u201c\u2018(\[|]\s*$")
_ENDINGS = ("ing", "ed", "es", "s")
# What agencies and outlets put before or after a headline.
_PREFIX = re.compile(
    r"^\W{0,3}(?:(?:update|wrapup|refile|rpt|recast|breaking|live|video|watch|exclusive|just in|alert"
    r"|news alert|urgent|updated)(?:\s?\d{1,2})?(?:\s?news)?\s?[-:\u2013\u2014|\]]\s?)+",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"\s(?:[-\u2013\u2014|\u00b7]|::)\s((?:[^\W\d_][\w.'&]*)(?:\s[\w.'&]+){0,3})$")


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a post for comparison; empty strings and None where unknown."""

    title: str
    text: str = ""
    url: str = ""
    published_at: datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a report, the words that it counts, and whether it is an estimate."""

    value: str
    units: frozenset[str]
    about: bool
    in_title: bool


@dataclass(frozen=True, slots=True)
class Features:
    """A report in comparable form; words are stems, with one stem for words of one meaning."""

    headline: str  # normalised, without what outlets put around it
    title: frozenset[str]
    text: frozenset[str]
    words: frozenset[str]  # of title and text
    names: frozenset[str]
    title_names: frozenset[str]
    prefixes: frozenset[str]
    numbers: tuple[Number, ...]
    events: frozenset[str]  # words of the headline for what happened
    negated: bool
    days: frozenset[str]  # days and months of the headline
    shingles: frozenset[tuple[str, ...]]
    title_case: bool
    link: str


@dataclass(slots=True)
class _Token:
    kind: str
    raw: str
    key: str
    begins: bool  # whether it begins a sentence


def headline(title: str) -> str:
    """Returns a headline without "UPDATE 1-" before it and " - BBC News" after it."""
    line = unicodedata.normalize("NFKC", title[:TITLE_CHARACTERS]).strip()
    line = _PREFIX.sub("", line) or line
    suffix = _SUFFIX.search(line)
    # The name of an outlet is capitalised, and what is left is a whole headline.
    if suffix and len(line[: suffix.start()].split()) >= 4:
        words = suffix[1].split()
        if all(word[0].isupper() or word in {"of", "the", "and", "&"} for word in words):
            line = line[: suffix.start()].rstrip()
    return line


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Returns the one form of a casefolded word and its synonyms; crude, enough for headlines."""
    if word in SAME:
        return SAME[word]
    root = word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            root = word[: -len(ending)]
            if ending in {"es", "s"} and root.endswith("i"):
                root = root[:-1] + "y"
            if ending in {"ing", "ed"} and len(root) > 3 and root[-1] == root[-2]:
                root = root[:-1]
            break
    root = root.rstrip("e") if len(root) > 3 else root
    return SAME.get(root, root)


def _tokens(text: str) -> Iterator[_Token]:
    begins = True
    at = 0
    for match in _TOKEN.finditer(text):
        gap = text[at : match.start()]
        begins = begins or bool(_SENTENCE_END.search(gap))
        at = match.end()
        kind, raw = str(match.lastgroup), match[0]
        if kind == "dense":
            # Scripts without spaces are compared by pairs of characters.
            pairs = [raw[i : i + 2] for i in range(len(raw) - 1)] or [raw]
            yield from (_Token("dense", pair, pair, False) for pair in pairs)
        elif kind == "word":
            word = raw.replace("\u2019", "'").casefold().removesuffix("'s")
            key = "not" if word in NEGATIONS or word.endswith("n't") else word
            yield _Token(kind, raw, key, begins)
        else:
            yield _Token(kind, raw, raw, begins)
        begins = False


def _is_title_case(tokens: list[_Token]) -> bool:
    """Whether most words are capitalised, so that capitals mark no names."""
    words = [token.raw for token in tokens[1:] if token.kind == "word" and len(token.raw) > 3]
    return len(words) > 2 and sum(word[0].isupper() for word in words) > 0.7 * len(words)


def _names(tokens: list[_Token]) -> set[str]:
    """Returns the stems of words that are capitalised inside a sentence."""
    return {
        stem(token.key)
        for token in tokens
        if token.kind == "word"
        and token.raw[0].isupper()
        and (not token.begins or (len(token.raw) > 1 and token.raw.isupper()))
        and len(token.raw) > 1
        and token.key not in EMPTY
        and token.key not in TIME_WORDS
    }


def _value(raw: str) -> str:
    """Returns a number without groups: 1,000 is 1000."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", raw):
        raw = raw.replace(",", "")
    return raw.replace(",", ".")


def _numbers(tokens: list[_Token], in_title: bool) -> Iterator[Number]:
    for at, token in enumerate(tokens):
        following = tokens[at + 1 : at + 5]
        if token.kind == "score":
            left, right = re.split(r"[-\u2013]", token.raw)
            # Seen from either side: 1-2 is 2-1.
            pair = sorted((int(left), int(right)), reverse=True)
            yield Number(f"{pair[0]}-{pair[1]}", frozenset({"score"}), False, in_title)
            continue
        if token.kind == "number":
            value = _value(token.raw)
        elif token.key in CARDINALS and not (following and following[0].key in {"time", "ever"}):
            value = CARDINALS[token.key]
        else:
            continue
        if following and following[0].key in MAGNITUDES and value.replace(".", "", 1).isdigit():
            value = f"{float(value) * MAGNITUDES[following[0].key]:.10g}"
            following = following[1:]
        units = [stem(other.key) for other in following[:3] if other.key not in EMPTY][:2]
        about = any(other.key in APPROXIMATE for other in tokens[max(0, at - 2) : at])
        yield Number(value, frozenset(units), about, in_title)


def _content(tokens: list[_Token]) -> list[str]:
    return [
        token.key if token.kind == "dense" else stem(token.key)
        for token in tokens
        if token.kind == "dense"
        or (token.kind == "word" and token.key not in EMPTY and token.key not in CARDINALS)
    ]


@lru_cache(maxsize=4096)
def features(report: Report) -> Features:
    """Returns the features of a report. Linear in its length, which is cut to a limit."""
    line = headline(report.title)
    top = list(_tokens(line))
    lead = list(_tokens(unicodedata.normalize("NFKC", report.text[:TEXT_CHARACTERS])))
    title_case = _is_title_case(top)
    names = _names(lead)
    words = _content(top)
    if not title_case:
        names |= _names(top)
    in_text = _content(lead)
    every = frozenset(words) | frozenset(in_text)
    run = [token.key for token in lead]
    return Features(
        headline=" ".join(token.key for token in top),
        title=frozenset(words),
        text=frozenset(in_text),
        words=every,
        names=frozenset(names),
        title_names=frozenset(names & set(words)),
        prefixes=frozenset(word[:PREFIX] for word in every if len(word) >= PREFIX),
        numbers=tuple(dict.fromkeys([*_numbers(top, True), *_numbers(lead, False)])),
        events=frozenset(words) & EVENT_WORDS,
        negated="not" in words,
        days=frozenset(token.key for token in top if token.key in TIME_WORDS),
        shingles=frozenset(tuple(run[at : at + _SHINGLE]) for at in range(len(run) - _SHINGLE + 1)),
        title_case=title_case,
        link=canonical_url(report.url) if report.url else "",
    )
