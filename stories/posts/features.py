"""Features of a report for comparison: its words, names, numbers, and the words for what happened."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise, zip_longest

from stories.posts.vocabulary import (
    AMBIGUOUS,
    APPROXIMATE,
    CARDINALS,
    COMPARED,
    CRIME_WORDS,
    DECISIVE,
    EMPTY,
    EVENT_WORDS,
    FREQUENT,
    FUNCTION_WORDS,
    LESS,
    MAGNITUDES,
    MARKS,
    NEGATIONS,
    ORDINALS,
    PERIODS,
    PHRASE,
    PHRASES,
    PROSPECTS,
    REFUSALS,
    SAME,
    SUSPECT_WORDS,
    TAGS,
    TIME_WORDS,
)
from stories.text.addresses import canonical_url

TITLE_CHARACTERS = 300
TEXT_CHARACTERS = 1_200
_INDEXED_CHARACTERS = 600
_SHINGLE = 4
_MOST_NUMBERS = 30
_LEAST_TEXT = 3
_UNITS = {word: int(value) for word, value in CARDINALS.items() if len(value) == 1} | {"one": 1}
# A common beginning of this length makes two names one: Brazil, Brazilian.
PREFIX = 5

# A number (with groups, decimals or a score), a run of a script without spaces, or a word.
_TOKEN = re.compile(
    r"(?P<score>(?<![\d.,])\d{1,3}[-\u2013]\d{1,3}(?![\d.,-]\d))"
    r"|(?P<number>(?<![\d.,])\d{1,3}(?:[\u00a0\u202f ]\d{3}){1,5}(?![\d.,])|\d+(?:[.,:]\d+)*)"
    r"|(?P<dense>[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)*)"
)
_INDEXED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)"
    r"|([^\W\d_]+(?:['\u2019][^\W\d_]+)*)"
    r"|((?<![\d.,])\d{1,3}(?:[\u00a0\u202f ]\d{3}){1,5}(?![\d.,])|\d+(?:[.,]\d+)+|\d{3,})"
)
_BEFORE_SENTENCE = frozenset('.!?:;\u2026\u3002\uff01\uff1f\u0964\u06d4"\u201c\u2018([|')
_ENDINGS = ("ing", "ed", "es", "s")
# What agencies and outlets put before or after a headline.
_PREFIX = re.compile(
    r"^\W{0,3}(?:(?:update|wrapup|refile|rpt|recast|breaking|live|video|watch|exclusive|just in|alert"
    r"|news alert|urgent|updated)(?:\s?\d{1,2})?(?:\s?news)?\s?[-:\u2013\u2014|\]]\s?)+",
    re.IGNORECASE,
)
_TAG = re.compile(r"^(?:\s*\[[^\]]{1,20}\])+\s*")  # "[OC]", "[Serious]"
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
    text: frozenset[str]  # without the headline; empty if that leaves hardly a sentence
    words: frozenset[str]  # of title and text
    names: frozenset[str]
    title_names: frozenset[str]
    name_of: Mapping[str, str]  # of each name the first word of the longer name it is part of
    written: Mapping[str, str]  # of each word its first form in the report, of a name the whole
    subject: frozenset[str]  # words that are neither frequent nor for what happened
    prefixes: frozenset[str]
    numbers: tuple[Number, ...]
    events: frozenset[str]  # words of the headline for what happened
    marks: frozenset[str]  # of the headline: again, a correction, an expectation
    raw: frozenset[str]  # such words of the whole report
    negated: bool
    days: frozenset[str]  # days and months
    shingles: frozenset[tuple[str, ...]]
    title_case: bool
    link: str
    language: str  # by its function words or its script; "" if unclear


@dataclass(slots=True)
class _Token:
    kind: str
    raw: str
    key: str
    begins: bool  # whether it begins a sentence
    joined: bool = False  # nothing but a space is between it and the token before


_YEARS = _Token("word", "years", "years", False)


def _normal(text: str, most: int) -> str:
    # Cut again, because the normal form of one character may be eighteen.
    return unicodedata.normalize("NFKC", text[:most])[:most]


def headline(title: str) -> str:
    """Returns a headline without "UPDATE 1-" before it and " - BBC News" after it."""
    line = _normal(title, TITLE_CHARACTERS).strip()
    line = _TAG.sub("", line) or line
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


# The lists as stems, to compare with the words of a report.
COMMON = frozenset(map(stem, FREQUENT))
_EVENTS = frozenset(map(stem, EVENT_WORDS))
_ORDINARY, _NO_NAMES = COMMON | _EVENTS, EMPTY | TIME_WORDS | TAGS | NEGATIONS
DECISIVE_EVENTS = frozenset(map(stem, DECISIVE))
CRIMES, SUSPECTS = frozenset(map(stem, CRIME_WORDS)), frozenset(map(stem, SUSPECT_WORDS))


def _tokens(text: str) -> Iterator[_Token]:
    text = LESS.sub(r"without \1", PHRASE.sub(lambda match: PHRASES[match[0].lower()], text))
    begins = True
    at = 0
    for match in _TOKEN.finditer(text):
        gap = text[at : match.start()]
        marks = gap.rstrip()
        begins = begins or marks[-1:] in _BEFORE_SENTENCE or "\n" in gap[len(marks) :]
        at = match.end()
        kind, raw = str(match.lastgroup), match[0]
        if kind == "dense":
            # Scripts without spaces are compared by pairs of characters.
            pairs = [raw[i : i + 2] for i in range(len(raw) - 1)] or [raw]
            yield from (_Token("dense", pair, pair, False) for pair in pairs)
        elif kind == "word":
            word = raw.replace("\u2019", "'").casefold().removesuffix("'s")
            key = "not" if word in NEGATIONS or word.endswith("n't") else word
            yield _Token(kind, raw, key, begins, gap == " ")
        else:
            yield _Token(kind, raw, raw, begins)
        begins = False


def _names(tokens: list[_Token]) -> set[str]:
    """Returns the stems of words that are capitalised for what they are, not for their place."""
    names = set()
    for token, following in zip_longest(tokens, tokens[1:]):
        if (
            token.kind != "word"
            or len(token.raw) < 2
            or not token.raw[0].isupper()
            or token.key in _NO_NAMES
        ):
            continue
        # At the beginning of a sentence: "Helix Foods grows", "Ostria's bank".
        named = (
            not token.begins
            or token.raw.isupper()
            or (
                stem(token.key) not in _ORDINARY
                and (
                    token.raw.endswith(("'s", "\u2019s"))
                    or (
                        following is not None
                        and following.kind == "word"
                        and not following.begins
                        and following.raw[0].isupper()
                    )
                )
            )
        )
        if named:
            names.add(stem(token.key))
    return names


def _value(raw: str) -> str:
    """Returns a number without groups: 1,000 and 1.000 are 1000."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", raw):
        raw = raw.replace(",", "")
    elif re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", raw):
        raw = raw.replace(".", "")
    return re.sub(r"\s", "", raw).replace(",", ".")


def _numbers(tokens: list[_Token], in_title: bool) -> Iterator[Number]:
    for at, token in enumerate(tokens):
        following = tokens[at + 1 : at + 5]
        if token.kind == "score":
            # Two numbers, so that 1-2 and 2-1 are one result.
            for value in re.split(r"[-\u2013]", token.raw):
                yield Number(value, frozenset({"score"}), False, in_title)
            continue
        if token.kind == "number":
            value = _value(token.raw)
        elif token.key in CARDINALS:
            value = CARDINALS[token.key]
            unit = _UNITS.get(following[0].key, 0) if following else 0
            if unit and len(value) == 2 and value[0] > "1" and value[1] == "0":
                # "Thirty-one" is one number.
                value, following = str(int(value) + unit), following[1:]
        elif token.key in ORDINALS and following and following[0].key in PERIODS:
            value = ORDINALS[token.key]
        else:
            continue
        before = tokens[at - 1].key if at else ""
        if before in PERIODS:
            yield Number(value, frozenset({before}), False, in_title)
            continue
        if following and following[0].key in MAGNITUDES and value.replace(".", "", 1).isdigit():
            value = f"{float(value) * MAGNITUDES[following[0].key]:.15g}"
            following = following[1:]
        if following and following[0].key in ("decade", "decades") and value.isdigit():
            value, following = f"{value}0", [_YEARS, *following[1:]]
        units = [stem(other.key) for other in following[:3] if other.key not in EMPTY][:2]
        # An age counts no years of anything else.
        units = ["age"] if [other.key for other in following[:2]] == ["year", "old"] else units
        about = any(other.key in APPROXIMATE for other in tokens[max(0, at - 2) : at])
        yield Number(value, frozenset(units), about, in_title)


def _content(tokens: list[_Token]) -> list[str]:
    return [
        token.key if token.kind == "dense" else stem(token.key)
        for token in tokens
        if token.kind == "dense"
        or (token.kind == "word" and token.key not in EMPTY and token.key not in CARDINALS)
    ]


def _plain(token: _Token) -> str:
    return token.raw.replace("\u2019", "'").removesuffix("'s")


def _name_runs(tokens: list[_Token], names: set[str]) -> list[list[_Token]]:
    """Returns the runs of capitalised names: "Port Elowen" is one name."""
    runs: list[list[_Token]] = []
    joined = False
    for token in tokens:
        is_name = token.kind == "word" and token.raw[0].isupper() and stem(token.key) in names
        if is_name and joined and token.joined and not token.begins:
            runs[-1].append(token)
        elif is_name:
            runs.append([token])
        joined = is_name
    return runs


def language_of(words: list[str]) -> str:
    """Returns the language of casefolded words, or the script of the first one; "" if unclear."""
    counts = {name: sum(word in known for word in words) for name, known in FUNCTION_WORDS.items()}
    most = max(counts.values())
    if most:
        found = [name for name, count in counts.items() if count == most]
        return found[0] if len(found) == 1 else ""
    letter = next((word[0] for word in words if word[0].isalpha()), "A")
    script = unicodedata.name(letter, "").split(" ")[0]
    return "" if script == "LATIN" else script


# Of posts that wait, each round of the host compares the same ones.
@lru_cache(maxsize=1024)
def index_words(report: Report) -> tuple[str, ...]:
    """Returns the words of headline and lead as in the features, at a fraction of their cost."""
    text = unicodedata.normalize(
        "NFKC", f"{report.title[:TITLE_CHARACTERS]}\n{report.text[:_INDEXED_CHARACTERS]}"
    )
    words: set[str] = set()
    for dense, word, number in _INDEXED.findall(text.casefold()):
        if number:
            words.add(_value(number))
        elif dense:
            words.update(dense[at : at + 2] for at in range(len(dense) - 1))
        else:
            words.add(stem(word.replace("\u2019", "'").removesuffix("'s")))
    # A tuple is a tenth of the set.
    return tuple(words - EMPTY)


# A session's earlier reports are many; few of them are compared in full.
@lru_cache(maxsize=512)
def features(report: Report) -> Features:
    """Returns the features of a report. Linear in its length, which is cut to a limit."""
    line = headline(report.title)
    top, lead = (list(_tokens(text)) for text in (line, _normal(report.text, TEXT_CHARACTERS)))
    # Many texts begin with their headline.
    if [token.key for token in lead[: len(top)]] == [token.key for token in top]:
        lead = lead[len(top) :]
    # Where most words are capitalised, capitals mark no names.
    words = [token.raw for token in top[1:] if token.kind == "word" and len(token.raw) > 3]
    title_case = len(words) > 2 and sum(word[0].isupper() for word in words) > 0.7 * len(words)
    names = _names(lead)
    words = _content(top)
    if not title_case:
        names |= _names(top)
    in_text = _content(lead)
    every = frozenset(words) | frozenset(in_text)
    # "The fourth quarter" is a period, "a fourth climber" one more.
    counted = {token.key for token, following in pairwise(top) if following.key in PERIODS}
    marks = frozenset(token.key for token in top if token.key in MARKS - counted)
    if PROSPECTS.search(line):
        marks |= {"expected"}
    every_token = [*top, *lead]
    written = {stem(token.key): _plain(token) for token in every_token[::-1]}
    name_of: dict[str, str] = {}
    for name in _name_runs(every_token, names):
        for token in name:
            if stem(token.key) not in name_of:
                name_of[stem(token.key)] = name_of.get(stem(name[0].key), stem(name[0].key))
                written[stem(token.key)] = " ".join(map(_plain, name))
    run = [token.key for token in lead]
    return Features(
        headline=" ".join(token.key for token in top),
        title=frozenset(words),
        text=frozenset(in_text) if len(in_text) >= _LEAST_TEXT else frozenset(),
        words=every,
        names=frozenset(names),
        title_names=frozenset(names & set(words)),
        name_of=name_of,
        written=written,
        subject=every - COMMON - _EVENTS - {"not"},
        prefixes=frozenset(word[:PREFIX] for word in every if len(word) >= PREFIX),
        numbers=tuple(dict.fromkeys([*_numbers(top, True), *_numbers(lead, False)]))[
            :_MOST_NUMBERS
        ],
        events=frozenset(words) & _EVENTS,
        negated=("not" in words and not COMPARED.search(line)) or bool(REFUSALS.search(line)),
        marks=marks,
        raw=marks | {token.key for token in lead if token.key in MARKS},
        # "Villagers may go home" names no month.
        days=frozenset(
            token.key
            for token in every_token
            if token.key in TIME_WORDS and (token.key not in AMBIGUOUS or token.raw[0].isupper())
        ),
        shingles=frozenset(tuple(run[at : at + _SHINGLE]) for at in range(len(run) - _SHINGLE + 1)),
        title_case=title_case,
        link=canonical_url(report.url) if report.url else "",
        language=language_of([token.key for token in every_token]),
    )
