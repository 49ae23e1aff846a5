"""Checks each sentence of a narration against the passages of its sources that it rests on.

The check is made of rules. What a sentence says in numbers, units, times, dates, names, quotations,
negations and attributions must be in its passages; similarity is no proof. Decided as follows:

- Numbers compare by value: "1.2bn", "1.2 billion", "twelve". A rounder number passes with a hedge
  ("about 5,000" for 4,987), within 5 % and on the right side ("more than", "nearly").
- Units must agree where both sides name one; nothing is converted. A percentage point is no per cent.
- A name may come from the passages, the title, the credits, or, where a passage has a pronoun, from
  the passages before it. A surname alone is enough, and so are the initials of a name.
- Quotations are verbatim but for quotation marks, capitals and punctuation.
- Negations compare by parity, clause by clause: "did not rule out" is no "ruled out".
- Who does something to whom must not be the other way round, for the verbs in ``english.json``.
- Of the words that carry meaning, no three in a row, and not most of a clause, may be new.
- Other languages: names in Latin script (of two words and more where nouns have capitals), numbers,
  units and dates with the words that Django has for them, and quotations. Of a narration that
  translates its source, names of two words and more are checked; it must quote only what is quoted.
"""

from __future__ import annotations

import re
from calendar import day_name, month_name
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from broadcast.narrators.claims import attributions, inventions, negations, reversals
from broadcast.narrators.quantities import IN_TEN, Found, fractions, read, units_in
from broadcast.narrators.wording import (
    ENGLISH,
    PRONOUNS,
    ROLES,
    SPEECH,
    WORD,
    Text,
    compared,
    squeezed,
    stem,
)
from stories.text.sentences import word_set
from stories.types import Passage

_COMMON_FIRST = word_set(ENGLISH["common_openers"])
_NATIONALITIES = word_set(ENGLISH["nationalities"])
_TITLES = word_set(ENGLISH["forms_of_address"])
_CALENDAR = word_set(ENGLISH["calendar"])
_QUOTE = re.compile(
    r"[\u201c\u201e\u201f\"]([^\u201c\u201d\u201e\u201f\"]{2,})[\u201d\u201c\"]|\u00ab\s?([^\u00ab\u00bb]{2,})\s?\u00bb"
    r"|(?<!\w)[\u2018']([^\u2018\u2019']{2,}(?:\w['\u2019]\w[^\u2018\u2019']*)*)[\u2019'](?!\w)"
)
_QUOTED = re.compile(f"{_QUOTE.pattern}|[\u300c\u300e][^\u300c-\u300f]+[\u300d\u300f]")
_DEFINITE = re.compile(r"\bthe ([^\W\d_]{3,})", re.IGNORECASE)
_INTRODUCED = re.compile(
    r"\b(?i:an?|the) (?:[^\W\d_-]+ ){0,2}?([^\W\d_]{3,})(?= (?:called|named)|,? [A-Z])"
)
_FOLLOWING = re.compile(rf"[ -]*+({WORD.pattern})")
_MOST_INITIALS = 7
_PLACE = re.compile(r"\b(first|second|third|last)[ -]([^\W\d_]{3,})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Context:
    """What a sentence may name besides its passages: the credits, and what was on air before."""

    title: str = ""
    credits: str = ""  # source, author, address
    before: str = ""  # the passages before those that it rests on
    published: datetime | None = None
    report: str | None = ""  # all passages of the story; None for a sentence that rests on none
    language: str = ""  # of the narration


def problem(sentence: str, passages: Sequence[Passage], context: Context) -> str:
    """Returns what of a sentence is not in its passages, as a phrase; "" when all of it is."""
    spoken = Text(sentence, context.language)
    source = Text(" ".join(passage["text"] for passage in passages))
    if _verbatim(sentence) in _verbatim(source.text):
        return ""
    around = Text(f"{context.title}. {context.credits}")
    leans = any(_leans(passage["text"]) for passage in passages)
    referred = context.before if leans else _referred(source, context.before)
    around = Text(f"{around.text}. {referred}")
    # A sentence without function words is taken to be in the language of its passages.
    unclear = not any(spoken.function_words) and context.language[:2] in ("", "en")
    english = source.is_english if unclear else spoken.is_english
    same_language = english == source.is_english and spoken.is_latin == source.is_latin
    problems = [
        *_numbers(spoken, source, around),
        *_places(spoken, source),
        *_moments(spoken, source, context),
        *_names(spoken, source, around, translated=not same_language),
    ]
    quoted = Text(f"{source.text} {context.title}")
    problems += _quotations(spoken, quoted, translated=not same_language)
    if same_language and english:
        problems += [
            *attributions(spoken, source, around, f"{context.title} {context.credits}"),
            *negations(spoken, source),
        ]
        if context.report is not None:
            everything = Text(f"{source.text} {around.text} {context.report}")
            problems += [*reversals(spoken, source), *inventions(spoken, everything)]
    return "; ".join(dict.fromkeys(problems))


def _verbatim(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!?\u2026")


def _leans(passage: str) -> bool:
    """Whether a passage has a pronoun for a person whom only the passages before it name."""
    text = Text(passage)
    first = text.words[0].lower() if text.words else ""
    return first in PRONOUNS or (text.has_pronoun and not any(len(run) > 1 for run in _runs(text)))


def _referred(source: Text, before: str) -> str:
    """Returns the sentences before that introduce what passages refer to: "the dog", "the bank"."""
    nouns = {stem(match[1]) for match in _DEFINITE.finditer(source.text)}
    parts = re.split(r"(?<=[.!?])\s", before)
    return " ".join(
        part for part in parts if nouns & {stem(match[1]) for match in _INTRODUCED.finditer(part)}
    )


def _numbers(spoken: Text, source: Text, around: Text) -> Iterator[str]:
    years = {
        quantity.values[0]
        for quantity in around.found.quantities
        if 1900 <= quantity.values[0] <= 2100
    }
    for quantity in read(IN_TEN.sub(" ", spoken.in_numbers)).quantities:
        agreeing = [
            one
            for one in source.found.quantities
            if quantity.agrees(one) and not (quantity.unit == "%" and one.noun == "points")
        ]
        same_noun = [
            one
            for one in source.found.quantities
            if quantity.noun and stem(one.noun) == stem(quantity.noun)
        ]
        # "Three men" does not rest on "two men" and "three paintings".
        fits = [one for one in agreeing if not one.noun or one in same_noun]
        if agreeing and (fits or not same_noun):
            continue
        shares = [share for _, share in fractions(source.text)]
        if quantity.unit == "%" and any(abs(quantity.values[0] - one) < 0.5 for one in shares):
            continue
        if not quantity.unit and quantity.values[0] in years:
            continue
        if quantity.values[0] == 2 and source.lower & {"twice", "both", "pair", "couple"}:
            continue
        yield f"the number “{quantity.text}”"
    for unit in units_in(spoken.in_numbers) - units_in(source.in_numbers):
        yield f"the unit “{unit}”"
    per_cent = [one.values[0] for one in source.found.quantities if one.unit == "%"]
    for text, share in fractions(spoken.text):
        known = [*per_cent, *(value for _, value in fractions(source.text))]
        if any(abs(share - one) < 0.6 for one in known):
            continue
        if share in (200.0, 300.0) and _has_ratio(source.found, share / 100):
            continue
        if share == 50.0 and "half" in source.lower | {w[:4] for w in source.lower}:
            continue
        yield f"the share “{text}”"


def _places(spoken: Text, source: Text) -> Iterator[str]:
    """The first prize must not be the second one."""
    own, known = (
        {(match[1].lower(), stem(match[2])) for match in _PLACE.finditer(text.text)}
        for text in (spoken, source)
    )
    nouns = {noun for _, noun in known}
    yield from (f"the {place} place" for place, noun in own - known if noun in nouns)


def _has_ratio(found: Found, ratio: float) -> bool:
    values = [quantity.values[0] for quantity in found.quantities if quantity.values[0]]
    return any(abs(one / other - ratio) < 0.1 for one in values for other in values)


_RELATIVE = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1}


def _moments(spoken: Text, source: Text, context: Context) -> Iterator[str]:
    for minute, half in spoken.found.times:
        known = [other for at, other in source.found.times if at == minute]
        if not known or (half and half not in known and "" not in known):
            yield f"the time {minute // 60 or 12}:{minute % 60:02d} {half}".rstrip()
    published = _days_of(context.published)
    for month, day in spoken.found.dates:
        if (month, day) not in (*source.found.dates, *published.values()):
            yield f"the date {day} {month_name[month]}"
    months = source.found.months | {month for month, _ in published.values()}
    for month in spoken.found.months - months:
        yield f"the month {month_name[month]}"
    days = source.found.weekdays
    for weekday in spoken.found.weekdays - days:
        relative = {word for word in source.lower if word in _RELATIVE}
        named = (
            {(context.published + timedelta(days=_RELATIVE[word])).weekday() for word in relative}
            if context.published
            else set()
        )
        dated = context.published is not None and any(
            _weekday(context.published.year, *one) == weekday for one in source.found.dates
        )
        if weekday not in named and not dated:
            yield f"the day {day_name[weekday]}"
    for word in spoken.lower & _RELATIVE.keys() - source.lower:
        dated_so = published.get(word)
        at = context.published + timedelta(days=_RELATIVE[word]) if context.published else None
        now = word == "today" and source.lower & {"now", "currently", "nowadays"}
        if now:
            continue
        if at is None or (at.weekday() not in days and dated_so not in source.found.dates):
            yield f"“{word}”"


def _weekday(year: int, month: int, day: int) -> int:
    try:
        return date(year, month, day).weekday()
    except ValueError:
        return -1


def _days_of(published: datetime | None) -> dict[str, tuple[int, int]]:
    if published is None:
        return {}
    days = {word: published + timedelta(days=days) for word, days in _RELATIVE.items()}
    return {word: (day.month, day.day) for word, day in days.items()}


def _names(spoken: Text, source: Text, around: Text, *, translated: bool) -> Iterator[str]:
    if not source.is_latin and translated:
        return
    allowed, names = source.lower | around.lower, source.names | around.names
    initials = _initials(source) | _initials(around)

    def known(word: str) -> bool:
        plain = compared(word)
        # Roles are compared with the attributions: "Professor" is "Prof" there.
        if plain in ROLES or plain in _TITLES or plain in initials:
            return True
        if plain in allowed or plain.rstrip("s") in allowed or f"{plain}s" in allowed:
            return True
        # Two words may be one name in two languages when both begin alike.
        length = max(3, len(plain) - 2)
        return translated and any(plain[:length] == name[:length] for name in names)

    for run in _runs(spoken):
        if len(run) < 2 and (translated or spoken.capitalises_nouns):
            continue
        if "".join(compared(one)[:1] for one in run) in allowed:
            continue
        unknown = [word for word in run if not known(word)]
        # In another language, what is in front of a name is often a role.
        if translated and len(run) > 2 and unknown == run[:1]:
            continue
        if translated and spoken.capitalises_nouns:
            # Of nouns only those that follow a part of a name are surely names.
            pairs = pairwise(run)
            unknown = [
                last for first, last in pairs if last in unknown and compared(first) in names
            ]
        if unknown:
            yield f"the name “{' '.join(run)}”"


def _initials(text: Text) -> set[str]:
    """Returns the initials of the runs of capitalised words: "who" for World Health Organization."""
    found: set[str] = set()
    letters, end = "", 0
    for match in WORD.finditer(text.text):
        word, gap = match[0], text.text[end : match.start()]
        end = match.end()
        letters = "" if gap.strip(" -&") else letters
        if word in ("of", "for", "and", "the"):
            continue
        letters = (letters + word[0])[-_MOST_INITIALS:] if word[0].isupper() else ""
        found.update(letters[start:].casefold() for start in range(len(letters) - 1))
    return found


def _runs(spoken: Text) -> Iterator[list[str]]:
    """Yields the names of a sentence, each as its capitalised words.

    Its first word counts if it is surely no common word that is capitalised for its place.
    """
    run: list[str] = []
    end = 0
    for number, match in enumerate(WORD.finditer(spoken.text)):
        word, gap = match[0], spoken.text[end : match.start()]
        starts = number == 0 or bool(re.search(r"[.!?:]\s|[\"\u201c\u2018]$", gap))
        capital = word[0].isupper() and word not in ("I", "I'm", "I've", "I'll", "I'd", "I\u2019m")
        if run and (not capital or gap.strip(" ") not in ("", "-", "&", ".")):
            yield from _named(run)
            run = []
        if capital and not (starts and not _surely_a_name(spoken, match)):
            run.append(word)
        end = match.end()
    yield from _named(run)


def _named(run: list[str]) -> Iterator[list[str]]:
    names = [word for word in run if compared(word) not in _CALENDAR]
    if names and any(len(word) > 1 for word in names):
        yield names


def _surely_a_name(spoken: Text, match: re.Match[str]) -> bool:
    word = match[0]
    plain = compared(word)
    if plain in _COMMON_FIRST:
        return False
    if word.isupper() and len(word) > 1:
        return True
    following = _FOLLOWING.match(spoken.text, match.end())
    if plain in _NATIONALITIES or word.endswith(("'s", "\u2019s")):
        return True
    if following is None:
        return False
    word = following[1]
    if word[0].isupper() and word != "I":
        # "Inspector Ferri", "Opposition leader": its role may be a common word.
        return plain not in ROLES
    return word.lower() in SPEECH and word.lower() not in ("sees", "saw", "put")


def _quotations(spoken: Text, source: Text, *, translated: bool) -> Iterator[str]:
    """A quotation must be in the sources word by word; if it is translated, they must quote."""
    for match in _QUOTE.finditer(spoken.text):
        quote = next(part for part in match.groups() if part is not None)
        parts = [squeezed(part) for part in re.split(r"\.\.\.|\u2026|\[[^\[\]]*\]", quote)]
        known = (f" {part} " in f" {source.squeezed} " for part in parts if part)
        if not (_QUOTED.search(source.text) if translated else all(known)):
            yield f"the quotation “{quote.strip()}”"
