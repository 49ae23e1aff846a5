"""What two reports share, and where they differ: words, names, numbers and turns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

from stories.posts.features import (
    COMMON,
    CRIMES,
    DECISIVE_EVENTS,
    PREFIX,
    SUSPECTS,
    Features,
    Number,
    stem,
)
from stories.posts.vocabulary import CARDINALS, DENIALS, MARKS, OPPOSED, ORDINALS, PERIODS

Weigh = Callable[[str], float]

_IN_HEADLINES = (0.4, 0.7, 1.0)
_LEAST_SHINGLES = 8
_RESULTS = frozenset(map(stem, ("win", "lose", "draw")))
_YEAR = re.compile(r"(?:19|20)\d\d")
SAYS_LITTLE = re.compile(r"[0-2]|(?:19|20)\d\d")  # alone, and years
_LEAST_NAME = 3  # letters; shorter ones are abbreviations of offices
_REPEATED = frozenset({"again", *ORDINALS}) & MARKS
_AGAIN = frozenset(map(stem, ("return", "resume", "reopen", "back", "restore")))
_OPPOSED = [(frozenset(map(stem, one)), frozenset(map(stem, other))) for one, other in OPPOSED]
SAME_EVENT = 1.0
SUBJECT = 2.6
SUBJECT_OF_HEADLINE = 1.2
ALIKE = 0.75  # of the weight of two headlines
MARKED = "Only one of the headlines"
PRIOR = 400  # reports of an imagined session, so that few real ones do not decide what is rare
PRIOR_FREQUENT = 24


def plain_weight(word: str) -> float:
    return math.log(PRIOR / (PRIOR_FREQUENT if word in COMMON else 1))


def _sum(words: Iterable[str], weigh: Weigh) -> float:
    return math.fsum(sorted(weigh(word) for word in words))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two reports share and where they differ; shares are parts of a weight, 0..1."""

    title: float  # what the headlines share
    coverage: float  # of each headline in the whole other report
    cosine: float
    copied: float  # of the shorter text, word by word in the other
    contained: float  # of the new report in the earlier one
    covered: float  # of the new headline in the earlier report
    contains: float  # of the earlier report in the new one
    subject: float  # number of names and other rare words in both, less where not in a headline
    names: frozenset[str]
    numbers: frozenset[str]
    figures: frozenset[str]  # of the numbers those that tell events apart
    words: frozenset[str]
    other_names: tuple[frozenset[str], frozenset[str]]
    other_numbers: list[tuple[str, str]]
    new_events: frozenset[str]
    new_figure: bool  # the new headline has a number that the earlier report lacks
    new_name: bool  # the new report has a name that the earlier one lacks in any form
    clash: bool  # no number agrees, and one counts the same in both
    turn: str
    opposed: bool  # each headline has a word for the opposite of one in the other


def _absent_names(one: Features, other: Features) -> frozenset[str]:
    """Returns the names of a headline that the other report does not mention in any form."""
    return frozenset(
        name
        for name in one.title_names - other.words
        if len(name) < PREFIX or name[:PREFIX] not in other.prefixes
    )


def _equal(one: Number, other: Number) -> bool:
    # Day two and two days are two things.
    if one.units & other.units & PERIODS or not (one.units | other.units) & PERIODS:
        if one.value == other.value:
            return True
    elif one.value == other.value:
        return not (one.in_title and other.in_title)
    try:
        first, second = float(one.value), float(other.value)
    except ValueError:
        return False
    # "Nearly 12,000" and "11,850" are one figure.
    tolerance = 0.05 if one.about or other.about else 0.0
    return abs(first - second) <= tolerance * max(first, second) and min(first, second) >= 20


def differing_numbers(one: Features, other: Features) -> list[tuple[str, str]]:
    """Returns pairs of numbers of which each occurs in one report only, though they count the same."""
    mine = [n for n in one.numbers if not any(_equal(n, m) for m in other.numbers)]
    theirs = [n for n in other.numbers if not any(_equal(n, m) for m in one.numbers)]
    pairs = [
        (n.value, m.value)
        for n in mine
        for m in theirs
        if (n.in_title or m.in_title)
        and (n.units & m.units or (n.in_title and m.in_title and not (n.units and m.units)))
    ]
    # One headline has a figure that the other report lacks, where that one counts something else.
    pairs += [
        (n.value, m.value)
        for n in mine
        for m in other.numbers
        if n.in_title and m.in_title and n.units & m.units
    ]
    pairs += [
        (n.value, m.value)
        for n in one.numbers
        for m in theirs
        if n.in_title and m.in_title and n.units & m.units
    ]
    return pairs


def _now(new: Features, earlier: Features, now: str, before: str) -> str:
    return f"“{new.written.get(now, now)}” now, “{earlier.written.get(before, before)}” before."


def new_numbers(new: Features, earlier: Features) -> bool:
    return any(not has_number(earlier, n) for n in new.numbers)


def has_number(report: Features, number: Number) -> bool:
    """Whether a report has a number, or two years that many years apart."""
    years = [int(m.value) for m in report.numbers if _YEAR.fullmatch(m.value)]
    spans = (str(abs(first - last)) for first, last in combinations(years, 2))
    return any(_equal(number, m) for m in report.numbers) or (
        "year" in number.units and number.value in spans
    )


def _ordinals(report: Features) -> set[str]:
    values = {number.value for number in report.numbers}
    return {word for word, value in ORDINALS.items() if value in values}


def turn_of(
    new: Features, earlier: Features, title: float, contained: float, numbers: frozenset[str]
) -> str:
    """Returns what the new headline says that turns the earlier one, in words, or an empty string."""
    # "After five defeats" and "after the fifth defeat" are one.
    changed = (new.marks - earlier.raw - _ordinals(earlier)) | (
        earlier.marks - new.raw - _ordinals(new)
    )
    # The same facts under another tense: "to host", "hosts".
    agree = bool(new.text and earlier.text) and contained >= 0.8 and not new_numbers(new, earlier)
    if agree:
        changed -= {"expected", "again"}
    if changed <= _REPEATED and new.raw & _REPEATED and earlier.raw & _REPEATED:
        changed = frozenset()
    if "again" in changed and (new if "again" in earlier.marks else earlier).words & _AGAIN:
        changed -= {"again"}
    if changed:
        return f"{MARKED} says “{min(changed)}”."
    plain, other = (earlier, new) if new.negated else (new, earlier)
    denied = new.negated != earlier.negated and not (plain.title - other.title) & DENIALS
    if denied and title >= 0.55 and len(numbers) < 2 and not agree:
        return f"{MARKED} is negated."
    first, second = new.title - earlier.title, earlier.title - new.title
    for side, opposite in _OPPOSED:
        for left, right in ((side, opposite), (opposite, side)):
            # One side's victory is the other side's defeat, where the figures are the same.
            same_result = (
                len(numbers) >= 2 if "win" in left | right else numbers and "buy" in left | right
            )
            if first & left and second & right and not same_result:
                return _now(new, earlier, min(first & left), min(second & right))
    now, before = new.events - earlier.words, earlier.events - new.words
    headlines = not (new.text or earlier.text)
    same = agree or (len(numbers) >= 2 and (contained >= 0.6 or headlines))
    if now and before and not new.events & earlier.events and not same:
        return _now(new, earlier, min(now), min(before))
    return ""


def _cosine(one: Features, other: Features, weigh: Weigh) -> float:
    names = one.names | other.names

    def bag(report: Features) -> dict[str, float]:
        return {
            word: weigh(word)
            * (2.0 if word in report.title else 1.0)
            * (1.4 if word in names else 1.0)
            for word in sorted(report.words)
        }

    mine, theirs = bag(one), bag(other)
    dot = math.fsum(weight * theirs.get(word, 0.0) for word, weight in mine.items())
    norm = math.fsum(v * v for v in mine.values()) * math.fsum(v * v for v in theirs.values())
    return dot / math.sqrt(norm) if norm else 0.0


def _subject(new: Features, earlier: Features, weigh: Weigh) -> float:
    """Returns how many names and other rare words two reports share.

    "Port Elowen" counts once; a word counts 1 in both headlines, 0.7 in one, and 0.4 in the texts.
    """
    counted: dict[str, float] = {}
    for word in new.subject & earlier.subject:
        name = min(new.name_of.get(word, word), earlier.name_of.get(word, word))
        weight = _IN_HEADLINES[(word in new.title) + (word in earlier.title)] * weigh(word)
        counted[name] = max(counted.get(name, 0.0), weight)
    return math.fsum(sorted(counted.values())) / weigh("")


def part_of(words: frozenset[str], whole: frozenset[str], weigh: Weigh) -> float:
    """Returns the part of the weight of ``whole`` that ``words`` make up, 0..1."""
    total = _sum(whole, weigh)
    return _sum(words & whole, weigh) / total if total else 0.0


def compare(new: Features, earlier: Features, weigh: Weigh) -> Comparison:
    shared = new.words & earlier.words
    titles = _sum(new.title, weigh) + _sum(earlier.title, weigh)
    title = 2 * _sum(new.title & earlier.title, weigh) / titles if titles else 0.0
    contained = part_of(shared, new.words, weigh)
    numbers = frozenset(n.value for n in new.numbers) & {n.value for n in earlier.numbers}
    shorter = min(len(new.shingles), len(earlier.shingles))
    return Comparison(
        title=title,
        coverage=(
            part_of(earlier.words, new.title, weigh) + part_of(new.words, earlier.title, weigh)
        )
        / 2,
        cosine=_cosine(new, earlier, weigh),
        copied=len(new.shingles & earlier.shingles) / shorter
        if shorter >= _LEAST_SHINGLES
        else 0.0,
        contained=contained,
        covered=part_of(earlier.words, new.title, weigh),
        contains=part_of(shared, earlier.words, weigh),
        subject=_subject(new, earlier, weigh),
        names=shared & (new.names | earlier.names),
        numbers=numbers,
        figures=frozenset(
            n.value
            for n in new.numbers
            for m in earlier.numbers
            if n.value == m.value
            and not SAYS_LITTLE.fullmatch(n.value)
            and (n.units & m.units or len(n.value) > 2 or n.in_title or m.in_title)
        ),
        words=shared,
        other_names=(_absent_names(new, earlier), _absent_names(earlier, new)),
        other_numbers=differing_numbers(new, earlier),
        new_events=new.events - earlier.words,
        new_figure=bool(headline_numbers(new, earlier)),
        new_name=any(
            len(name) >= _LEAST_NAME and name[:PREFIX] not in earlier.prefixes
            for name in new.names - earlier.words
        ),
        clash=not numbers and any(n.units & m.units for n in new.numbers for m in earlier.numbers),
        turn=turn_of(new, earlier, title, contained, numbers),
        opposed=any(
            (new.title - earlier.title) & left and (earlier.title - new.title) & right
            for sides in _OPPOSED
            for left, right in (sides, sides[::-1])
        ),
    )


def same_subject(both: Comparison, weigh: Weigh) -> bool:
    """Whether two reports of different events belong to one story."""
    changed = both.turn or both.other_numbers
    if both.title >= (0.42 if changed else 0.5) and both.subject >= SUBJECT_OF_HEADLINE:
        return True
    # A place that half of the reports are about does not make them one story.
    rare = any(weigh(name) >= 0.75 * weigh("") for name in both.names)
    return (
        rare
        and both.title > 0
        and both.subject >= SUBJECT
        and max(both.contained, both.contains) >= 0.2
    )


def headline_numbers(one: Features, other: Features) -> frozenset[str]:
    """Returns the numbers of a headline that the other report lacks."""
    return frozenset(n.value for n in one.numbers if n.in_title and not has_number(other, n))


def names_suspects(one: Features, other: Features, both: Comparison) -> bool:
    """Whether one report tells who is held for the crime that the other one reports."""
    held, held_before = (bool(report.title & SUSPECTS) for report in (one, other))
    crimes = one.title & CRIMES and other.title & CRIMES
    place = both.names & one.title & other.title
    counted = any(
        n.value == m.value and n.units & m.units for n in one.numbers for m in other.numbers
    )
    return bool(held != held_before and crimes and place and counted)


def brings_news(one: Features, other: Features) -> bool:
    """Whether a headline has several words that its text repeats and the earlier report lacks.

    What is only put in other words is seldom put so in headline and text alike.
    """
    if one.language != other.language:
        return False
    own = (one.title & one.text) - other.words - CARDINALS.keys() - PERIODS - {"one", "down"}
    return sum(len(word) > 1 and word[:PREFIX] not in other.prefixes for word in own) > 1


def brings_nothing(one: Features, other: Features, both: Comparison) -> bool:
    """Whether a report of the same event has no number, name, day or event that the earlier lacks."""
    scores = [{n.value for n in report.numbers if "score" in n.units} for report in (one, other)]
    same_score = scores[0] == scores[1] != set()
    sure = len(both.figures) > 1 or same_score or (both.figures and len(both.numbers) > 2)
    # "Loses 40 hives" for "thieves steal 40 hives", "beat them 3-2" for "won 3-2"
    told = both.contained >= 0.6 and len(both.figures) > 1 and not both.new_events & DECISIVE_EVENTS
    new_events = both.new_events - (_RESULTS if same_score else frozenset())
    new = (
        new_numbers(one, other)
        or both.new_name
        or both.other_names[0]
        or (other.days and one.days - other.days)
        or (new_events and not told)
        or brings_news(one, other)
    )
    least = 0.45 if sure else 0.5 if both.title >= ALIKE else 0.7
    return bool(one.text and other.text and both.names and not new and both.contained >= least)


# How much each observation counts, fitted by logistic regression to the development halves of
# tests/data/matching.
_BASE = -5.10
_TITLE = -3.59  # one form of words for two events is frequent
_MOST_SHARED, _LEAST_SHARED = 0.68, 9.67
_NAMES_IN_HEADLINES, _NAMES, _NAMES_COVERED = 1.22, 0.30, 0.78
_FIGURES, _SHARE_OF_FIGURES = 1.30, 1.36
_OTHER_NUMBERS, _CLASH, _NEW_FIGURE = -2.28, -3.11, -2.59
_OTHER_NAMES, _BOTH_OTHER_NAMES = -0.23, -0.49
_OPPOSITE, _NEW_EVENTS, _OLD_EVENTS = -2.0, -0.60, -0.51
_SAME_DAYS, _OTHER_DAYS = 1.03, -0.71


def same_event_score(one: Features, other: Features, both: Comparison) -> float:
    """Returns the log-odds that two reports, also of a reaction, are about one event."""

    def group(name: str) -> str:
        return min(one.name_of.get(name, name), other.name_of.get(name, name))

    names = {group(name) for name in both.names}
    in_headlines = {group(name) for name in both.names & one.title & other.title}
    values = [{number.value for number in report.numbers} for report in (one, other)]
    covered = [
        1 - len(absent) / len(report.title_names) if report.title_names else 0.5
        for report, absent in zip((one, other), both.other_names, strict=True)
    ]
    shared = sorted((both.contained, both.contains))
    return math.fsum(
        (
            _BASE,
            _TITLE * both.title,
            _LEAST_SHARED * shared[0],
            _MOST_SHARED * shared[1],
            _NAMES_IN_HEADLINES * min(2, len(in_headlines)),
            _NAMES * min(4, len(names)),
            _NAMES_COVERED * sum(covered) / 2,
            _FIGURES * min(3, len(both.figures)),
            _SHARE_OF_FIGURES * len(both.figures) / max(1, min(map(len, values))),
            _OTHER_NUMBERS * bool(both.other_numbers),
            _CLASH * both.clash,
            _NEW_FIGURE * both.new_figure,
            _OTHER_NAMES * sum(map(bool, both.other_names)),
            _BOTH_OTHER_NAMES * all(both.other_names),
            _OPPOSITE * both.opposed,
            _NEW_EVENTS * min(2, len(both.new_events)),
            _OLD_EVENTS * min(2, len(other.events - one.words)),
            _SAME_DAYS * bool(one.days & other.days),
            _OTHER_DAYS * bool(one.days and other.days and not one.days & other.days),
        )
    )
