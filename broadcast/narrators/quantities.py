"""Numbers, times and dates in a text, in digits or in English words, as values that compare."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stories.text.sentences import word_set

_LISTS: dict[str, Any] = json.loads(Path(__file__).with_name("english.json").read_text("utf-8"))
_UNITS = {name: number for number, name in enumerate(_LISTS["units_to_nineteen"].split())}
_TENS = {name: 10 * number for number, name in enumerate(_LISTS["tens"].split(), 2)}
_ORDINALS = {name: number for number, name in enumerate(_LISTS["ordinals"].split())}
_SMALL = [[name] for name in (*_UNITS, *_TENS)]
_PARTS = ("quarter", "half", "round", "stage", "phase", "floor", "term", "set")
_CURRENCIES = ("£", "$", "€", "¥")
_SCALES: dict[str, int] = _LISTS["scales"]
_MONTHS = {name: at for at, names in enumerate(_LISTS["months"], 1) for name in names.split()}
_DAYS: list[str] = _LISTS["weekdays"].split()
# The words for a unit, with the name under which it is compared.
_UNIT_OF = {word: unit for unit, words in _LISTS["units"].items() for word in words.split()}
_HEDGES = word_set(_LISTS["hedges"])
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
# "5.20pm", "at 5.20 on Friday"
_POINTED_TIME = re.compile(
    r"\b(\d{1,2})\.([0-5]\d)(?=\s?[ap]\.?m\b| (?:on|this|yesterday|today|tomorrow|local)\b| in the \w+ing\b)"
)


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
        if self.unit and source.unit and self.unit != source.unit:
            return False
        return any(self._rounds(own, value) for own in self.values for value in source.values)

    def _rounds(self, own: float, value: float) -> bool:
        if abs(own - value) <= 1e-9 * max(abs(value), 1):
            return True
        if not self.hedge or value == 0 or abs(own - value) > 0.05 * abs(value):
            return False
        # "About 5,000" rounds 4,987, but "about 5,100" does not.
        unit = _last_place(own)
        if self.hedge in _ABOVE:
            return own <= value <= own + unit
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


def _last_place(value: float) -> float:
    """Returns the value of the last digit that is not zero: 1000 for 5,000, 0.1 for 2.4."""
    whole, _, part = f"{value:.6f}".rstrip("0").partition(".")
    return 10.0 ** -len(part) if part else 10.0 ** (len(whole) - len(whole.rstrip("0")))


def _values(text: str) -> tuple[float, ...]:
    """Returns what digits can mean: "1.234" is a thousand or one and a bit."""
    bare = re.sub(r"[\u00a0\u202f \u2019']", "", text)
    grouped = re.fullmatch(r"\d{1,3}([.,]\d{3})+", bare)
    if grouped and len(bare.split(grouped[1][0])) == 2:
        whole = float(re.sub(r"[.,]", "", bare))
        # English groups by a comma, so that only a point is in doubt.
        return (whole,) if "," in bare else (whole, float(bare))
    if grouped:
        return (float(re.sub(r"[.,]", "", bare)),)
    last = max(bare.rfind("."), bare.rfind(","))
    if last < 0:
        return (float(bare),)
    return (float(re.sub(r"[.,]", "", bare[:last]) + "." + bare[last + 1 :]),)


class Reader:
    """Reads the quantities, times and dates of one text."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"\bper cent\b", "percent", text, flags=re.IGNORECASE)
        text = re.sub(r"\bquarter-point\b", "quarter pp", text, flags=re.IGNORECASE)
        text = re.sub(r"\b(?:a )?percentage[ -]points?\b", "pp", text, flags=re.IGNORECASE)
        text = re.sub(r"\bkilomet(?:re|er)s (?:an|per) hour\b", "km/h", text, flags=re.IGNORECASE)
        text = _POINTED_TIME.sub(r"\1:\2", text)
        self._tokens = [match[0] for match in _TOKEN.finditer(text)]
        self._lower = [token.lower() for token in self._tokens]
        self._at = 0
        self._quantities: list[Quantity] = []
        self._times: list[tuple[int, str]] = []
        self._dates: list[tuple[int, int]] = []
        self._months: set[int] = set()
        self._weekdays: set[int] = set()

    @property
    def words(self) -> list[str]:
        return self._lower

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
        )

    def _next(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._lower[at] if 0 <= at < len(self._lower) else ""

    def _weekday(self) -> None:
        # "Mondays", "Monday's price"
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
        if number is not None and self._next(length) in ("past", "to"):
            hour, more = self._small(self._at + length + 1)
            # "Five to four" may be a result as well.
            is_time = (
                self._next(length) == "past"
                or "quarter" in (self._next(), self._next(1))
                or self._half_of_day(length + 1 + more)
            )
            if is_time and hour is not None and 1 <= hour <= 12 and number < 60:
                minutes = hour * 60 + (number if self._next(length) == "past" else -number)
                self._times.append((minutes % 720, self._half_of_day(length + 1 + more)))
                self._at += length + 1 + more
                return True
        if number is not None and self._next(length) in ("minute", "minutes"):
            after = self._next(length + 1) in ("after", "past")
            noon = {"midnight": 0, "noon": 720}.get(self._next(length + 2))
            if noon is not None and (after or self._next(length + 1) in ("before", "to")):
                minutes = (noon + (number if after else -number)) % 1440
                self._times.append((minutes % 720, "am" if minutes < 720 else "pm"))
                self._at += length + 3
                return True
        half = self._half_of_day(length) if number is not None and 1 <= number <= 12 else ""
        if number is not None and half:
            self._times.append((number % 12 * 60, half))
            self._at += length + (1 if self._next(length) in ("am", "pm") else 3)
            return True
        return False

    def _half_of_day(self, ahead: int) -> str:
        words = [self._next(ahead + number) for number in range(3)]
        if words[0] in ("am", "pm"):
            return words[0]
        if words[:2] == ["in", "the"]:
            return {"morning": "am", "evening": "pm", "afternoon": "pm"}.get(words[2], "")
        return ""

    def _small(self, at: int) -> tuple[int | None, int]:
        """Returns the number below 100 that begins there, and how many tokens it takes."""
        word = self._lower[at] if at < len(self._lower) else ""
        after = self._lower[at + 1] if at + 1 < len(self._lower) else ""
        if word == "a" and after == "quarter":
            return 15, 2
        if word in ("quarter", "half"):
            return (15 if word == "quarter" else 30), 1
        if word.isdigit() and len(word) <= 2:
            return int(word), 1
        if word in _UNITS:
            return _UNITS[word], 1
        if word in _TENS:
            behind = self._lower[at + 2] if at + 2 < len(self._lower) else ""
            if after == "-" and behind in _UNITS:
                return _TENS[word] + _UNITS[behind], 3
            return _TENS[word], 1
        return None, 0

    def _date(self) -> bool:
        word = self._next()
        month = _MONTHS.get(word) if self._tokens[self._at][0].isupper() else None
        if month is not None:
            self._months.add(month)
            day = self._next(1)
            if day.isdigit() and len(day) <= 2:
                self._dates.append((month, int(day)))
                self._at += 1
            self._at += 1
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
        if word.isdigit() and len(word) <= 2:
            return int(word), 2 if self._next(1) in ("st", "nd", "rd", "th") else 1
        return (_ORDINALS[word], 1) if word in _ORDINALS else (0, 0)

    def _quantity(self) -> bool:
        start = self._at
        number = self._number(start)
        if number is None:
            return False
        values, end = number
        currency = self._next(-1)
        unit = _UNIT_OF.get(currency, "") if currency in ("£", "$", "€", "¥") else ""
        self._at = end
        # "2 hours", "27-year-old", "12.5 million crowns", "480 more euros"
        ahead = 1 if self._next() == "-" else 0
        if not unit and self._next(ahead) in (*_UNIT_OF, "pp"):
            unit = _UNIT_OF.get(self._next(ahead), "pp")
        elif not unit and [self._next(), self._next(1)] == ["of", "a"]:
            unit = _UNIT_OF.get(self._next(2), "pp" if self._next(2) == "pp" else "")
        elif not unit and [self._next(), self._next(1)] == ["of", "pp"]:
            unit = "pp"
        before = [self._lower[at] for at in range(max(start - 3, 0), start)]
        hedge = next((word for word in reversed(before) if word in _HEDGES), "")
        text = " ".join(self._tokens[start:end])
        self._quantities.append(Quantity(text, values, unit, hedge, self._noun(end)))
        return True

    def _noun(self, end: int) -> str:
        """Returns the plural right after a number: "men" in "two young men"."""
        for word in self._lower[end : end + 3]:
            if not word[0].isalpha() or word in ("of", "in", "to", "and", "from", "more", "by"):
                return ""
            if word.endswith("s") or word in ("men", "women", "people", "children"):
                return "" if word in _UNIT_OF or word in ("years", "is", "was", "has") else word
        return ""

    def _number(self, at: int) -> tuple[tuple[float, ...], int] | None:
        word = self._lower[at]
        if word[0].isdigit():
            return self._scaled(_values(word), at + 1)
        if word in _ORDINALS and word not in ("first", "second", "third"):
            return ((float(_ORDINALS[word]),), at + 1)
        # They number a part of a whole: "the second quarter".
        following = self._lower[at + 1] if at + 1 < len(self._lower) else ""
        if word in ("first", "second", "third") and following in _PARTS:
            return ((float(_ORDINALS[word]),), at + 1)
        if word in _TENS and self._lower[at + 1 : at + 2] == ["-"]:
            last = self._lower[at + 2] if at + 2 < len(self._lower) else ""
            if last in _ORDINALS:
                return ((float(_TENS[word] + _ORDINALS[last]),), at + 3)
        return self._in_words(at)

    def _scaled(self, values: tuple[float, ...], end: int) -> tuple[tuple[float, ...], int]:
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

    def _in_words(self, at: int) -> tuple[tuple[float, ...], int] | None:
        """Reads "two hundred and twelve", "twelve and a half million", "half a million"."""
        if self._lower[at] == "half" and self._lower[at + 1 : at + 2] in (["a"], ["an"]):
            scale = self._lower[at + 2] if at + 2 < len(self._lower) else ""
            if scale in _SCALES:
                return (0.5 * _SCALES[scale],), at + 3
        if (
            self._lower[at] == "a"
            and self._lower[at + 1 : at + 2]
            and (self._lower[at + 1] in ("hundred", "thousand", "million", "billion", "dozen"))
        ):
            return (float(_SCALES[self._lower[at + 1]]),), at + 2
        total, current, end, seen = 0.0, 0.0, at, False
        while end < len(self._lower):
            word = self._lower[end]
            small, length = self._small(end) if word in _UNITS or word in _TENS else (None, 0)
            if small is not None:
                current += small
                end += length
            elif seen and word == "hundred":
                current, end = current * 100, end + 1
            elif seen and word in _SCALES and word not in ("m", "k", "hundred"):
                total, current, end = total + current * _SCALES[word], 0.0, end + 1
            elif seen and word == "and" and self._lower[end + 1 : end + 3] == ["a", "half"]:
                current, end = current + 0.5, end + 3
            elif seen and current >= 100 and word == "and" and self._small(end + 1)[0] is not None:
                end += 1
                continue
            else:
                break
            seen = True
            # "two three" are two numbers, "two hundred three" is one.
            if current < 100 and small is not None and self._lower[end : end + 1] in _SMALL:
                break
        value = total + current
        # "One" is mostly a pronoun, or an article.
        if not seen or (value == 1 and end == at + 1):
            return None
        return (value,), end


def read(text: str) -> Found:
    return Reader(text).read()


_FRACTIONS = {
    "half": 50.0,
    "halved": 50.0,
    "halves": 50.0,
    "double": 200.0,
    "doubled": 200.0,
    "twice": 200.0,
    "tripled": 300.0,
    "quarter": 25.0,
    "quarters": 75.0,
    "thirds": 66.7,
}
IN_TEN = re.compile(
    r"\b(\d+|one|two|three|four|five|six|seven|eight|nine) (?:in|out of) (ten|four|five|three|10|100)\b",
    re.IGNORECASE,
)


def fractions(text: str) -> Iterator[tuple[str, float]]:
    """Yields the shares that a text names in words, in per cent: "half", "nine in ten"."""
    lower = text.lower()
    for match in re.finditer(r"[^\W\d_]+", lower):
        if match[0] not in _FRACTIONS:
            continue
        before = lower[max(0, match.start() - 20) : match.start()]
        behind = lower[match.end() : match.end() + 20].lstrip()
        of_time = behind.startswith(("past", "an hour", "to "))
        # "Twelve and a half million" and "half a million" are read as numbers.
        of_number = before.endswith(" and a ") or re.match(
            r"an? (?:hundred|thousand|million|billion|dozen)", behind
        )
        if before.rstrip().rsplit(" ", 1)[-1] not in _ORDINALS and not (of_time or of_number):
            yield match[0], _FRACTIONS[match[0]]
    for match in IN_TEN.finditer(text):
        part, whole = read(f"{match[1]} x").quantities, read(f"{match[2]} x").quantities
        if part and whole:
            yield match[0], 100 * part[0].values[0] / whole[0].values[0]


_CLEAR_UNITS = {"%", "pp", "$", "£", "€", "crown", "yen", "km", "kmh", "mile", "kg", "ha", "acre"}


def units_in(text: str) -> set[str]:
    """Returns the units of a text that are no other words as well."""
    lower = Reader(text).words
    found = {_UNIT_OF.get(word, "pp" if word == "pp" else "") for word in lower}
    return found & _CLEAR_UNITS
