"""Numbers, times and dates in a text, in digits or in words, as values that compare."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from stories.text.sentences import spelled, word_set

_LISTS: dict[str, Any] = json.loads(Path(__file__).with_name("english.json").read_text("utf-8"))
_FIRST = {"first": 1, "second": 2, "third": 3}  # the other ordinals are read as digits
_PARTS = ("quarter", "half", "round", "stage", "phase", "floor", "term", "set")
_CURRENCIES = ("£", "$", "€", "¥")
_SCALES: dict[str, int] = _LISTS["scales"]
_MONTHS = {name: at for at, names in enumerate(_LISTS["months"], 1) for name in names.split()}
_DAYS: list[str] = _LISTS["weekdays"].split()
# The words for a unit, with the name under which it is compared.
UNIT_OF = {word: unit for unit, words in _LISTS["units"].items() for word in words.split()}
# How many of one unit another has: what is converted are times, and metric lengths and weights.
_SPANS = {
    (one, other): units[other] / units[one]
    for units in _LISTS["convertible"]
    for one in units
    for other in units
}
_SPAN_UNITS = {one for one, _ in _SPANS}
HEDGES = word_set(_LISTS["hedges"])
_ABOVE, _BELOW = word_set("over above than"), word_set("nearly almost under below")

_DIGITS = (
    r"\d{1,3}(?:[\u00a0\u202f \u2019']\d{3})+(?!\d)(?:[.,]\d+)?|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"
    r"|\d{1,3}(?:\.\d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?"
)
_TOKEN = re.compile(
    rf"[£$€¥]|%|°[cf]|km/h|\d{{1,2}}:\d{{2}}|(?:{_DIGITS})(?=st\b|nd\b|rd\b|th\b)|{_DIGITS}"
    r"|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[^\w\s]",
    re.IGNORECASE,
)
_WRITTEN_AS = [(re.compile(r, re.IGNORECASE), words) for r, words in _LISTS["written_as"].items()]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, if that is known; ``values`` are all that it can mean."""

    text: str
    values: tuple[float, ...]
    unit: str = ""
    hedge: str = ""
    noun: str = ""

    def agrees(self, source: Quantity) -> bool:
        """Whether ``source`` says this: the same number, or one that this rounds with a hedge."""
        alike = not self.unit or not source.unit or self.unit == source.unit
        scale = 1.0 if alike else _SPANS.get((self.unit, source.unit), 0.0)
        return bool(scale) and any(
            self._rounds(own, scale * value) for own in self.values for value in source.values
        )

    @property
    def is_span(self) -> bool:
        """Whether it is a span of time."""
        return self.unit in _SPAN_UNITS

    def is_share(self, value: float) -> bool:
        """Whether it says this share in per cent: "almost a fifth" for 18, "two thirds" for 66.7."""
        own = self.values[0]
        more = 0.101 * own if self.hedge and self.hedge not in _BELOW else 0.6
        less = 0.101 * own if self.hedge and self.hedge not in _ABOVE else 0.6
        return own - max(less, 0.6) < value < own + max(more, 0.6)

    def _rounds(self, own: float, value: float) -> bool:
        if abs(own - value) <= 1e-9 * max(abs(value), 1):
            return True
        # "About 5,000" rounds 4,987, but "about 5,100" does not.
        unit = _last_place(own)
        # "Almost two million" for 1.9 million: such numbers are the roundest.
        rounded = own < 10 * unit or own / unit in (25, 75)
        sided = 0.15 if self.hedge in _ABOVE else 0.101 if self.hedge in _BELOW else 0.05
        tolerance = (sided if rounded else 0.05) * max(abs(own), abs(value))
        if not self.hedge or value == 0 or abs(own - value) > tolerance:
            return False
        if self.hedge in _ABOVE:
            return own <= value <= own + max(unit, tolerance if rounded else 0)
        if self.hedge in _BELOW:
            return own - unit <= value <= own
        return abs(own - value) <= unit / 2


@dataclass(frozen=True, slots=True)
class Found:
    """What a text says in numbers."""

    quantities: tuple[Quantity, ...]
    times: tuple[tuple[int, str], ...]  # minute of half a day; "am", "pm" or ""
    dates: tuple[tuple[int, int], ...]  # month and day
    months: frozenset[int]
    weekdays: frozenset[int]
    words: frozenset[str]
    parts: tuple[float, ...]  # in per cent: 75 for "six of the eight"


def _last_place(value: float) -> float:
    """Returns the value of the last digit that is not zero: 1000 for 5,000, 0.1 for 2.4."""
    whole, _, part = f"{value:.6f}".rstrip("0").partition(".")
    return 10.0 ** -len(part) if part else 10.0 ** (len(whole) - len(whole.rstrip("0")))


def _values(text: str) -> tuple[float, ...]:
    """Returns what digits can mean: "1.234" is a thousand or one and a bit."""
    bare = re.sub(r"[\u00a0\u202f \u2019']", "", text)
    grouped = re.fullmatch(r"\d{1,3}([.,]\d{3})+", bare)
    if grouped:
        whole = float(re.sub(r"[.,]", "", bare))
        # English groups by a comma, so that only one point is in doubt.
        return (whole, float(bare)) if bare.count(".") == 1 and "," not in bare else (whole,)
    last = max(bare.rfind("."), bare.rfind(","))
    if last < 0:
        return (float(bare),)
    return (float(re.sub(r"[.,]", "", bare[:last]) + "." + bare[last + 1 :]),)


class Reader:
    """Reads the quantities, times and dates of one text."""

    def __init__(self, text: str) -> None:
        for pattern, words in _WRITTEN_AS:
            text = pattern.sub(words, text)
        self._tokens = [match[0] for match in _TOKEN.finditer(text)]
        self._lower = [token.lower() for token in self._tokens]
        self._merge()
        self._at = 0
        self._quantities: list[Quantity] = []
        self._parts: list[float] = []
        self._ended = 0  # the token after the last quantity
        self._times: list[tuple[int, str]] = []
        self._dates: list[tuple[int, int]] = []
        self._months: set[int] = set()
        self._weekdays: set[int] = set()

    def read(self) -> Found:
        while self._at < len(self._lower):
            if not (self._time() or self._date() or self._quantity()):
                self._weekday()
                self._at += 1
        return Found(
            tuple(self._quantities),
            tuple(self._times),
            tuple(self._dates),
            frozenset(self._months),
            frozenset(self._weekdays),
            frozenset(self._lower),
            tuple(self._parts),
        )

    def _merge(self) -> None:
        """Makes one token of each number written in words, with its digits for its lower case."""
        numbers = [one for one in spelled(self._lower, "en") if self._lower[one[0]] not in _FIRST]
        for start, end, digits, _ in reversed(numbers):
            year = (
                self._lower[end] if digits in ("18", "19", "20") and end < len(self._lower) else ""
            )
            # "Nineteen eighty-four", of which the second part is one token by now
            joined = year.isdecimal() and 9 < int(year) < 100 and self._tokens[end][0].isalpha()
            joined = joined and self._lower[end + 1 : end + 2] != ["-"]
            till = end + joined
            self._tokens[start:till] = [" ".join(self._tokens[start:till]).replace(" - ", "-")]
            self._lower[start:till] = [f"{digits}{year}" if joined else digits]

    def _next(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._lower[at] if 0 <= at < len(self._lower) else ""

    def _weekday(self) -> None:
        word = re.sub(r"(?<=day)['\u2019]?s$", "", self._next())
        if word in _DAYS and self._tokens[self._at][0].isupper():
            self._weekdays.add(_DAYS.index(word) % 7)

    def _time(self) -> bool:
        word = self._next()
        clock = re.fullmatch(r"(\d{1,2}):(\d{2})", word)
        if clock and int(clock[1]) < 24:
            half = self._half_of_day(1) or ("pm" if int(clock[1]) >= 12 else "am")
            self._times.append((int(clock[1]) % 12 * 60 + int(clock[2]), half))
            self._at += 1
            return True
        number, length = self._small(self._at)
        # "18 minutes to ten in the morning"
        in_minutes = self._next(length) in ("minute", "minutes")
        length += in_minutes
        if number is not None and self._next(length) in ("past", "to"):
            hour, more = self._small(self._at + length + 1)
            # "Five to four" may be a result as well.
            is_time = (
                (self._next(length) == "past" and not in_minutes)
                or {"at", "quarter"} & {self._next(), self._next(1), self._next(-1)}
                or self._half_of_day(length + 1 + more)
            )
            if is_time and hour is not None and 1 <= hour <= 12 and number < 60:
                minutes = hour * 60 + (number if self._next(length) == "past" else -number)
                self._times.append((minutes % 720, self._half_of_day(length + 1 + more)))
                self._at += length + 1 + more
                return True
        if number is not None and in_minutes:
            after = self._next(length) in ("after", "past")
            noon = {"midnight": 0, "noon": 720}.get(self._next(length + 1))
            if noon is not None and (after or self._next(length) in ("before", "to")):
                minutes = (noon + (number if after else -number)) % 1440
                self._times.append((minutes % 720, "am" if minutes < 720 else "pm"))
                self._at += length + 2
                return True
        on_the_hour = self._next(length) == "o'clock"
        length += on_the_hour
        half = self._half_of_day(length)
        if number is not None and 1 <= number <= 12 and (half or on_the_hour):
            self._times.append((number % 12 * 60, half))
            self._at += length
            return True
        return False

    def _half_of_day(self, ahead: int) -> str:
        words = [self._next(ahead + number) for number in range(3)]
        if words[0] in ("am", "pm"):
            return words[0]
        named = {"morning": "am", "evening": "pm", "afternoon": "pm"}
        if words[:2] == ["in", "the"]:
            return named.get(words[2], "")
        return named.get(words[1], "") if words[0] in ("this", "yesterday", "tomorrow") else ""

    def _small(self, at: int) -> tuple[int | None, int]:
        """Returns the number below 100 that begins there, and how many tokens it takes."""
        word = self._lower[at] if at < len(self._lower) else ""
        after = self._lower[at + 1] if at + 1 < len(self._lower) else ""
        if word == "a" and after == "quarter":
            return 15, 2
        if word in ("quarter", "half"):
            return (15 if word == "quarter" else 30), 1
        if word.isdecimal() and len(word) <= 2:
            return int(word), 1
        return (1, 1) if word == "one" else (None, 0)

    def _date(self) -> bool:
        word = self._next()
        month = _MONTHS.get(word) if self._tokens[self._at][0].isupper() else None
        if month is not None:
            self._months.add(month)
            the = self._next(1) == "the"  # "January the twenty-second", not "in May the second bus"
            self._at += 1 + the
            day, length = self._day()
            if self._next().isdecimal() or (the and not self._next(length)[:1].isalpha()):
                self._dates += [(month, day)] if day else []
                self._at += length
            return True
        day_number, length = self._day()
        if not day_number:
            return False
        ahead = length + (1 if self._next(length) == "of" else 0)
        month = _MONTHS.get(self._next(ahead))
        if month is None or not self._tokens[self._at + ahead][0].isupper():
            return False
        self._months.add(month)
        self._dates.append((month, day_number))
        self._at += ahead + 1
        return True

    def _day(self) -> tuple[int, int]:
        word = self._next()
        if word.isdecimal() and len(word) <= 2:
            return int(word), 2 if self._next(1) in ("st", "nd", "rd", "th") else 1
        return (_FIRST[word], 1) if word in _FIRST else (0, 0)

    def _quantity(self) -> bool:
        start = self._at
        number = self._number(start)
        if number is None:
            return False
        values, end = number
        ranged = self._next(end - start) in ("to", "-", "or", "and") and end + 1 < len(self._lower)
        following = self._number(end + 1 + (self._lower[end + 1] == "a")) if ranged else None
        if following and values[0] < 1000 <= following[0][0]:
            # "Ninety-five to a hundred and ten million"
            values += (values[0] * 1000.0 ** ((len(f"{following[0][0]:.0f}") - 1) // 3),)
        unit = UNIT_OF[self._next(-1)] if self._next(-1) in _CURRENCIES else ""
        self._at = end
        # "2 hours", "27-year-old", "12.5 million crowns", "480 more euros"
        ahead = 1 if self._next() in ("-", "more", "further", "extra", "full", "whole") else 0
        of = self._next() == "of"
        if not unit and self._next(ahead) in UNIT_OF:
            unit = UNIT_OF[self._next(ahead)]
        elif not unit and of and (self._next(1) == "a" or self._next(1) == "pp"):
            unit = UNIT_OF.get(self._next(1 + (self._next(1) == "a")), "")
        before = [self._lower[at] for at in range(max(start - 3, 0), start)]
        hedge = next((word for word in reversed(before) if word in HEDGES), "")
        hedge = "under" if hedge == "than" and {"less", "fewer"} & {*before} else hedge
        text = " ".join(self._tokens[start:end])
        found = Quantity(text, values, unit, hedge, self._noun(end))
        self._quantities.append(self._joined(found, start))
        self._ended = end
        return True

    def _joined(self, found: Quantity, start: int) -> Quantity:
        """Returns a quantity with the one before it: "two hours and 49 minutes" is one span."""
        between = self._lower[self._ended : start]
        if not self._quantities or len(between) > 5:
            return found
        before = self._quantities[-1]
        scale = _SPANS.get((found.unit, before.unit), 0.0)
        if scale > 1 and between[1:] in ([], ["and"], [","]):
            self._quantities.pop()
            value = scale * before.values[0] + found.values[0]
            return replace(found, values=(value,), hedge=before.hedge)
        part, whole = before.values[0], found.values[0]
        # "Forty-one dollars and 75 cents", "3 euros 50"
        cents = found.unit == "cent" or (between[:-1] == [] and not found.unit and whole % 1 == 0)
        if before.unit in _CURRENCIES and cents and len(between) < 3 and 0 < whole < 100:
            self._quantities.pop()
            return replace(before, text=f"{before.text} {found.text}", values=(part + whole / 100,))
        if "of" in between[:3] and between[-1] not in (",", ".") and 0 < part < whole:
            self._parts.append(100 * part / whole)
        return found

    def _noun(self, end: int) -> str:
        """Returns the plural right after a number: "men" in "two young men"."""
        for word in self._lower[end : end + 3]:
            if not word[0].isalpha() or word in ("of", "in", "to", "and", "from", "more", "by"):
                return ""
            if word.endswith("s") or word in ("men", "women", "people", "children"):
                return "" if word in UNIT_OF or word in ("years", "is", "was", "has") else word
        return ""

    def _number(self, at: int) -> tuple[tuple[float, ...], int] | None:
        word = self._lower[at]
        if word[0].isdecimal():
            return self._scaled(_values(word), at + 1)
        following, behind = (*self._lower[at + 1 : at + 3], "", "")[:2]
        # The first three are numbers only of a part of a whole: "the second quarter".
        if word in _FIRST and following in _PARTS:
            return ((float(_FIRST[word]),), at + 1)
        share = {"half": 0.5, "quarter": 0.25, "quarters": 0.75}.get(word, 0.0)
        # "Half a million", "a quarter of an hour"
        article = at + 1 + (following == "of")
        scale = "".join(self._lower[article + 1 : article + 2])
        if share and scale and self._lower[article] in ("a", "an"):
            if scale in _SCALES:
                return (share * _SCALES[scale],), article + 2
            if UNIT_OF.get(scale) in _SPAN_UNITS:
                return (share,), article + 1
        if word == "a" and following in _SCALES and len(following) > 4:
            return (float(_SCALES[following]),), at + 2
        # "An hour and 52 minutes"
        is_one = word in ("one", "an", "a") and behind == "and"
        if is_one and UNIT_OF.get(following) in _SPAN_UNITS and self._small(at + 3)[0] is not None:
            return (1.0,), at + 1
        half_more = self._lower[at : at + 4] == ["one", "and", "a", "half"]
        return self._scaled((1.0,), at + 1) if half_more else None

    def _scaled(self, values: tuple[float, ...], end: int) -> tuple[tuple[float, ...], int]:
        if self._lower[end : end + 3] == ["and", "a", "half"]:  # "twelve and a half million"
            values, end = tuple(value + 0.5 for value in values), end + 3
        while end < len(self._lower) and self._lower[end] in _SCALES:
            scale = self._lower[end]
            # A single letter is a scale only right after an amount of money: "£2.4m".
            if scale in ("m", "k") and not (end >= 2 and self._lower[end - 2] in _CURRENCIES):
                break
            values = tuple(value * _SCALES[scale] for value in values)
            end += 1
        if end < len(self._lower) and self._lower[end] in ("st", "nd", "rd", "th"):
            end += 1
        return values, end


@lru_cache(maxsize=128)
def read(text: str) -> Found:
    return Reader(text).read()


_CLEAR_UNITS = {"%", "pp", "$", "£", "€", "crown", "yen", "km", "kmh", "mile", "kg", "ha", "acre"}


def units_in(found: Found) -> set[str]:
    """Returns the units of a text that are no other words as well."""
    return {UNIT_OF.get(word, "") for word in found.words} & _CLEAR_UNITS


def weekday_of(year: int, month: int, day: int) -> int:
    try:
        return date(year, month, day).weekday()
    except ValueError:
        return -1
