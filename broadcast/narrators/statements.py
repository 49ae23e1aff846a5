"""Checks each sentence of a narration against the passages of its sources that it rests on.

The check is made of rules. What a sentence says in numbers, units, times, dates, names, quotations,
negations and attributions must be in its passages; similarity is no proof. Decided as follows:

- Numbers compare by value: "1.2bn", "1.2 billion", "twelve". A rounder number passes with a hedge
  ("about 5,000" for 4,987), within 5 to 15 % and on the right side ("more than", "nearly").
- Units must agree where both sides name one; only times, metric lengths and weights are converted.
  Spans follow from two years or times, shares from "six of nine", and sums and differences count where
  the sentence says that it adds or compares.
- A name may come from the passages, the title, the credits, or, where a passage has a pronoun, from
  the passages before it. A surname alone is enough, and so are the initials of a name.
- Quotations are verbatim but for quotation marks, capitals and punctuation.
- Negations compare by parity, clause by clause, and with ``antonyms.txt``: "stay open" is "not close".
- Who does something to whom must not be the other way round, for the verbs in ``english.json``.
- Of the words that carry meaning, no three in a row, and not most of a clause, may be new.
- Other languages: numbers, units, dates, quotations, denials, and names in Latin script, of two words
  and more where nouns have capitals or the source is translated.
"""

from __future__ import annotations

import re
from calendar import day_name, month_name, monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, pairwise, permutations

from broadcast.narrators.claims import attributions, reversals, translations
from broadcast.narrators.polarity import denied_abroad, in_other_words, negations, with_stances
from broadcast.narrators.prompts import referred
from broadcast.narrators.quantities import Found, Quantity, read, units_in, weekday_of
from broadcast.narrators.relations import counted, relations
from broadcast.narrators.wording import (
    ENGLISH,
    FOREIGN,
    PRONOUNS,
    ROLES,
    SPEECH,
    WITHOUT_MEANING,
    WORD,
    Text,
    compared,
    initials,
    inventions,
    shares,
    squeezed,
    stem,
    without_shares,
)
from stories.text.sentences import has_sentence, word_set
from stories.types import Passage

_COMMON_FIRST = word_set(ENGLISH["common_openers"])
_NATIONALITIES = word_set(ENGLISH["nationalities"])  # "Irish" for "from Ireland"
_COUNTRIES = {word: word_set(row) for row in ENGLISH["countries"] for word in row.split()}
_TITLES = word_set(ENGLISH["forms_of_address"])
_CALENDAR = word_set(ENGLISH["calendar"])
_DIFFERENCES, _SUMS = word_set(ENGLISH["differences"]), word_set(ENGLISH["sums"])
_COUNTED_SO = {(at, unit): word_set(words) for at, unit, words in ENGLISH["counted_so"]}
_VOTES = word_set("majority vote votes voted split")
_LAST_YEAR = re.compile(r"\blast (?:year|spring|summer|autumn|winter)\b", re.IGNORECASE)
_MOST_COMPARED = 8  # numbers of a passage, because each is compared with each
_QUOTE = re.compile(ENGLISH["patterns"]["quotation"])
_QUOTED_TITLE = re.compile(ENGLISH["patterns"]["quoted_title"])
_QUOTED = re.compile(f"{_QUOTE.pattern}|[\u300c\u300e][^\u300c-\u300f]+[\u300d\u300f]")
_MONTHS_OF_PARTS: dict[str, list[int]] = ENGLISH["months_of_parts"]
_MONTHS_AHEAD = {"last month": -1, "this month": 0, "the month": 0, "next month": 1}
_FOLLOWING = re.compile(rf"[ -]*+({WORD.pattern})")
_BEFORE_END = re.compile(r"(?i)\bminutes? (?:from|before) (?:time|the end|full[ -]time)\b")
_REFERS = re.compile(r"\b(?:the same|the former|the latter|there)\b", re.IGNORECASE)
_SEASONS: dict[str, list[int]] = ENGLISH["seasons"]
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
    source = Text(" ".join(passage["text"] for passage in passages), near=context.language)
    if has_sentence(source.text, sentence):
        return ""
    leans = any(_leans(passage["text"]) for passage in passages)
    named = context.before if leans else referred(source, context.before)
    titles = " ".join(_QUOTED_TITLE.findall(context.report or ""))
    around = Text(f"{context.title}. {context.credits}. {named} {titles}")
    # A sentence without function words is taken to be in the language of its passages.
    unclear = not any(spoken.function_words) and context.language[:2] in ("", "en")
    report = source if any(source.function_words) else Text(context.report or source.text)
    english = report.is_english if unclear else spoken.is_english
    same_language = english == report.is_english and spoken.is_latin == source.is_latin
    problems = [
        *_numbers(spoken, source, context, around),
        *_places(spoken, source),
        *_moments(spoken, source, context),
        *_seasons(spoken, source, context),
        *_names(spoken, source, around, translated=not same_language),
    ]
    quoted = Text(f"{source.text} {context.title} {titles}")
    problems += _quotations(spoken, quoted, translated=not same_language)
    problems += [] if english else denied_abroad(spoken, source, context.language * same_language)
    if not same_language and english:
        problems += [*translations(spoken, source, len(passages)), *counted(spoken, source)]
    if same_language and english:
        problems += [
            *attributions(spoken, source, around, f"{context.title} {context.credits}"),
            *negations(spoken, source),
            *relations(spoken, source, context.report or ""),
        ]
        if context.report is not None:
            known = f"{source.text} {around.text} {context.report} {in_other_words(spoken, source)}"
            problems += [*reversals(spoken, source), *inventions(spoken, Text(known))]
        problems = with_stances(problems, spoken, source)
    return "; ".join(dict.fromkeys(problems))


def _leans(passage: str) -> bool:
    """Whether a passage has a pronoun for a person whom only the passages before it name."""
    if _REFERS.search(passage):
        return True
    text = Text(passage)
    first = text.words[0].lower() if text.words else ""
    return first in PRONOUNS or (text.has_pronoun and not any(len(run) > 1 for run in _runs(text)))


def _numbers(spoken: Text, source: Text, context: Context, around: Text) -> Iterator[str]:
    known_shares = [*source.found.parts, *(one.values[0] for one in shares(source.text))]
    units, abroad = units_in(spoken.found) - units_in(source.found), not source.is_english
    for quantity in read(without_shares(spoken.in_numbers)).quantities:
        agreeing = [
            one
            for one in source.found.quantities
            if quantity.agrees(one) and not (quantity.unit == "%" and one.noun == "points")
        ]
        named = stem(quantity.noun) if quantity.noun else None
        same_noun = [one for one in source.found.quantities if stem(one.noun) == named]
        # "Three men" does not rest on "two men" and "three paintings".
        fits = [one for one in agreeing if not one.noun or one in same_noun]
        # "Eight days" does not rest on "eight miners" and "two days".
        counted_else = all(not one.unit and (one.noun or abroad) for one in agreeing)
        another = counted_else and quantity.unit in {one.unit for one in source.found.quantities}
        if agreeing and not (quantity.unit and another) and (fits or not same_noun):
            # "Half a kilometre" for 500 metres
            units -= {quantity.unit} if any(one.unit for one in agreeing) else set()
            continue
        if quantity.unit == "%" and any(map(quantity.is_share, known_shares)):
            continue
        # "Until ten on Friday night" for "until 10 p.m."
        hours = {at // 60 or 12 for at, _ in source.found.times if at % 60 == 0}
        if not (quantity.unit or quantity.noun) and quantity.values[0] in hours:
            continue
        if not _follows(quantity, spoken, source, context, around):
            yield f"the number “{quantity.text}”"
    units -= {"%"} if source.found.parts else set()
    yield from (f"the unit “{unit}”" for unit in units)
    counted_there = source.found.quantities
    known_shares += [one.values[0] for one in counted_there if one.unit == "%"]
    known_shares += [100 * one for one in _ratios(source.found)]
    for share in shares(spoken.text):
        halves = share.values[0] == 50 and any(word.startswith("half") for word in source.lower)
        halves = halves or (share.text == "twice" and any(q.values[0] == 2 for q in counted_there))
        if not (halves or any(map(share.is_share, known_shares))):
            yield f"the share “{share.text}”"


def _follows(
    quantity: Quantity, spoken: Text, source: Text, context: Context, around: Text
) -> bool:
    """Whether a number follows from the passages: a year, a span, a sum or a difference."""
    value, year = quantity.values[0], context.published.year if context.published else 0
    years = {one.values[0] for one in source.found.quantities if _is_year(one)}
    if not quantity.unit and (
        value in {one.values[0] for one in around.found.quantities if _is_year(one)}
        or (value == year and (not years or "this year" in source.text.lower()))
        or (value == year - 1 and _LAST_YEAR.search(source.text))
    ):
        return True
    if source.lower & _COUNTED_SO.get((value, quantity.unit * (value > 3)), frozenset()):
        return True
    results: list[tuple[float, str]] = []
    if quantity.is_span and year:
        spanned = sorted({*[*years][:_MOST_COMPARED], float(year)})
        results += [(last - first, "year") for first, last in combinations(spanned, 2)]
        minutes = [at + 720 * (half == "pm") for at, half in source.found.times[:_MOST_COMPARED]]
        results += [(abs(one - other), "minute") for one, other in combinations(minutes, 2)]
    if quantity.unit == "minute" and _BEFORE_END.search(spoken.text):
        # "Two minutes from time" for "in the 88th minute"
        results += [(90 - one.values[0], "minute") for one in source.found.quantities]
    alike = [one for one in source.found.quantities if one.unit == (quantity.unit or one.unit)]
    values = [one.values[0] for one in alike[:_MOST_COMPARED]]
    if spoken.lower & _DIFFERENCES:
        results += [(abs(a - b), quantity.unit) for a, b in combinations(values, 2)]
    if (spoken.lower & _SUMS or source.lower & _VOTES) and len(values) > 1:
        results += [(sum(values), quantity.unit)]
        results += [(a + b, quantity.unit) for a, b in combinations(values, 2)]
    return any(quantity.agrees(Quantity("", (float(one),), unit)) for one, unit in results)


def _is_year(one: Quantity) -> bool:
    return not one.unit and 1500 <= one.values[0] <= 2100


def _ratios(found: Found) -> Iterator[float]:
    """Yields the ratios of the numbers that count the same."""
    for one, other in permutations(
        [one for one in found.quantities if one.values[0]][:_MOST_COMPARED], 2
    ):
        alike = one.unit == other.unit or not (one.unit and other.unit)
        if alike and not (_is_year(one) or _is_year(other)) and (one.unit or not one.noun):
            yield one.values[0] / other.values[0]


def _places(spoken: Text, source: Text) -> Iterator[str]:
    """The first prize must not be the second one."""
    own, known = (
        {(match[1].lower(), stem(match[2])) for match in _PLACE.finditer(text.text)}
        for text in (spoken, source)
    )
    nouns = {noun for _, noun in known}
    yield from (f"the {place} place" for place, noun in own - known if noun in nouns)


_RELATIVE = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1}


def _moments(spoken: Text, source: Text, context: Context) -> Iterator[str]:
    for minute, half in spoken.found.times:
        known = [other for at, other in source.found.times if at == minute]
        hour = minute // 60 or 12
        # "Eight o'clock" for "before eight"
        if minute % 60 == 0 and not source.found.times:
            known = ["" for one in source.found.quantities if one.values[0] == hour]
        if not known or (half and half not in known and "" not in known):
            yield f"the time {hour}:{minute % 60:02d} {half}".rstrip()
    published = _days_of(source, context.published)
    for month, day in spoken.found.dates:
        if (month, day) not in (*source.found.dates, *published.values()):
            yield f"the date {day} {month_name[month]}"
    # "In the second half" is "from July to December", but not "in December".
    meant = {
        at
        for name, (at, _) in published.items()
        if len(spoken.found.months) > 1 or not name[-1].isdigit()
    }
    months = source.found.months | meant
    for month in spoken.found.months - months:
        yield f"the month {month_name[month]}"
    days = source.found.weekdays
    for weekday in spoken.found.weekdays - days:
        relative = [_RELATIVE[word] for word in source.lower if word in _RELATIVE]
        at = context.published
        named = {(at + timedelta(days=days)).weekday() for days in relative} if at else set()
        dated = context.published is not None and any(
            weekday_of(context.published.year, *one) == weekday for one in source.found.dates
        )
        if weekday not in named and not dated:
            yield f"the day {day_name[weekday]}"
    for word in spoken.lower & _RELATIVE.keys() - source.lower:
        dated_so = published.get(word)
        at = context.published + timedelta(days=_RELATIVE[word]) if context.published else None
        if word == "today" and source.lower & {"now", "currently", "nowadays"}:
            continue
        if at is None or (at.weekday() not in days and dated_so not in source.found.dates):
            yield f"“{word}”"


def _seasons(spoken: Text, source: Text, context: Context) -> Iterator[str]:
    dated = {month for month, _ in _days_of(source, context.published).values()}
    for season in _SEASONS.keys() & spoken.lower - Text(source.in_numbers).lower:
        if not (source.found.months | dated).intersection(_SEASONS[season]):
            yield f"the season “{season}”"


def _days_of(source: Text, published: datetime | None) -> dict[str, tuple[int, int]]:
    """Returns what words for times may mean, as month and day; the day is 0 for a month."""
    lower = source.text.lower()
    # "From January to June" for "in the first half of the year"
    parts = {part: months for part, months in _MONTHS_OF_PARTS.items() if part in lower}
    found = {f"{part} {month}": (month, 0) for part in parts for month in parts[part]}
    if published is None:
        return found
    days = {word: published + timedelta(days=days) for word, days in _RELATIVE.items()}
    found |= {word: (day.month, day.day) for word, day in days.items()}
    for word, ahead in _MONTHS_AHEAD.items():
        if word in lower:
            found[word] = ((published.month - 1 + ahead) % 12 + 1, 0)
    if re.search(r"\bend of (?:the|this) month\b", lower):
        found["end"] = (published.month, monthrange(published.year, published.month)[1])
    return found


def _names(spoken: Text, source: Text, around: Text, *, translated: bool) -> Iterator[str]:
    if not source.is_latin and translated:
        return
    allowed, names = source.lower | around.lower, source.names | around.names
    letters = initials(source) | initials(around)

    def known(word: str) -> bool:
        plain = compared(word)
        # Roles are compared with the attributions: "Professor" is "Prof" there.
        if plain in ROLES or plain in _TITLES or allowed & _COUNTRIES.get(plain, frozenset()):
            return True
        if {plain, plain.rstrip("s"), f"{plain}s"} & (allowed | letters):
            return True
        # "Verein" for "Naturschutzverein"
        if spoken.capitalises_nouns and len(plain) > 4 and any(n.endswith(plain) for n in names):
            return True
        # Two words may be one name in two languages when both begin alike.
        length = max(3, len(plain) - 2)
        return translated and any(plain[:length] == name[:length] for name in names)

    for run in _runs(spoken):
        short = len(run) < 2 and (translated or spoken.capitalises_nouns)
        if short or "".join(compared(one)[:1] for one in run) in allowed:
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
    if plain in _COMMON_FIRST | WITHOUT_MEANING | (FOREIGN if spoken.capitalises_nouns else set()):
        return False
    following = _FOLLOWING.match(spoken.text, match.end())
    written = len(word) > 1 and (word.isupper() or word.endswith(("'s", "\u2019s")))
    if written or plain in _NATIONALITIES:
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
