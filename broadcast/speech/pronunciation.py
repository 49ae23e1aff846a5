"""The words of a text as a voice says them: a session's own rules, then those of English.

Speech engines read plain numbers rightly in every language, so there are rules only for what they
get wrong in English: currencies, units, ranges, dates, abbreviations and signs. num2words was looked
at; it spells numbers, which is the part that needs no help, and is LGPL. Text from outside is read
with bounded patterns.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from stories.text.sentences import word_set

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]\u200d?")

AMOUNT = r"(?:\d{1,3}(?:,\d{3}){1,5}|\d{1,15})(?:\.\d{1,9})?"
_SCALES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "mln": "million",
    "b": "billion",
    "bn": "billion",
    "tn": "trillion",
    "tr": "trillion",
}
_SCALE = r"(?:[ -]?(?:thousand|million|billion|trillion)\b|(?:k|mn|mln|m|bn|b|tn|tr)\b)"
# The name of one, of several, and of the hundredth part.
_CURRENCIES = {
    "$": ("dollar", "dollars", "cents"),
    "US$": ("US dollar", "US dollars", "cents"),
    "A$": ("Australian dollar", "Australian dollars", "cents"),
    "C$": ("Canadian dollar", "Canadian dollars", "cents"),
    "CA$": ("Canadian dollar", "Canadian dollars", "cents"),
    "NZ$": ("New Zealand dollar", "New Zealand dollars", "cents"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cents"),
    "£": ("pound", "pounds", "pence"),
    "€": ("euro", "euros", "cents"),
    "¥": ("yen", "yen", ""),
    "₹": ("rupee", "rupees", "paise"),
    "₩": ("won", "won", ""),
    "₽": ("rouble", "roubles", "kopecks"),
    "USD": ("US dollar", "US dollars", "cents"),
    "EUR": ("euro", "euros", "cents"),
    "GBP": ("pound", "pounds", "pence"),
    "CHF": ("Swiss franc", "Swiss francs", "centimes"),
    "JPY": ("yen", "yen", ""),
    "CAD": ("Canadian dollar", "Canadian dollars", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cents"),
    "INR": ("rupee", "rupees", "paise"),
    "CNY": ("yuan", "yuan", ""),
    "SEK": ("Swedish krona", "Swedish kronor", "öre"),
}
_MARK = "|".join(re.escape(mark) for mark in sorted(_CURRENCIES, key=len, reverse=True))
# Before these words an amount is an adjective: a three billion dollar deal.
_OF_AN_AMOUNT = re.compile(
    r"[ -](?:deal|bill|fund|plan|project|contract|investment|loan|fine|grant|package|prize|budget"
    r"|bid|takeover|lawsuit|note|coin|house|home|mansion|bridge|settlement|programme|program|scheme"
    r"|company|industry|market|business|mark|man|woman|question|bailout|rescue|aid|acquisition)\b"
)
_UNITS = {
    "km/h": ("kilometre per hour", "kilometres per hour"),
    "kph": ("kilometre per hour", "kilometres per hour"),
    "km²": ("square kilometre", "square kilometres"),
    "km2": ("square kilometre", "square kilometres"),
    "m²": ("square metre", "square metres"),
    "m3": ("cubic metre", "cubic metres"),
    "m³": ("cubic metre", "cubic metres"),
    "m/s": ("metre per second", "metres per second"),
    "mph": ("mile per hour", "miles per hour"),
    "km": ("kilometre", "kilometres"),
    "cm": ("centimetre", "centimetres"),
    "mm": ("millimetre", "millimetres"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"),
    "sq ft": ("square foot", "square feet"),
    "ha": ("hectare", "hectares"),
    "kW": ("kilowatt", "kilowatts"),
    "MW": ("megawatt", "megawatts"),
    "GW": ("gigawatt", "gigawatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "MWh": ("megawatt hour", "megawatt hours"),
    "GWh": ("gigawatt hour", "gigawatt hours"),
    "TWh": ("terawatt hour", "terawatt hours"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "ppm": ("part per million", "parts per million"),
    "hrs": ("hour", "hours"),
    "mins": ("minute", "minutes"),
    "secs": ("second", "seconds"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "° C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "° F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "pct": ("per cent", "per cent"),
}
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_MONTHS = tuple(calendar.month_name)[1:]
_SHORT_MONTH = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
_DECADES = {
    "2": "twenties",
    "3": "thirties",
    "4": "forties",
    "5": "fifties",
    "6": "sixties",
    "7": "seventies",
    "8": "eighties",
    "9": "nineties",
}
# Before a name, and their full stop ends no sentence.
_TITLES = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Prof": "Professor",
    "St": "Saint",
    "Mt": "Mount",
    "Sen": "Senator",
    "Rep": "Representative",
    "Gov": "Governor",
    "Gen": "General",
    "Col": "Colonel",
    "Lt": "Lieutenant",
    "Capt": "Captain",
    "Sgt": "Sergeant",
    "Rev": "Reverend",
}
_SHORTENED = {
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Jr": "Junior",
    "Sr": "Senior",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "approx": "approximately",
    "e.g": "for example",
    "i.e": "that is",
    "ca": "about",
    "govt": "government",
    "dept": "department",
    "Dept": "Department",
}
_REGNAL = word_set("""
    Charles Elizabeth Henry William George Edward Richard James Louis Philip Felipe Carlos Pius Paul
    Benedict Gregory Leo John Francis Clement Alexander Nicholas Catherine Peter Frederick Ramses
    Harald Olav Gustaf Christian Rama Napoleon Mary
""")
_ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_ROMAN = {
    ten + one: 10 * at + _ONES.index(one) for at, ten in enumerate(("", "X", "XX")) for one in _ONES
}
_ORDINALS = {
    1: "First",
    2: "Second",
    3: "Third",
    4: "Fourth",
    5: "Fifth",
    6: "Sixth",
    7: "Seventh",
    8: "Eighth",
    9: "Ninth",
    10: "Tenth",
    11: "Eleventh",
    12: "Twelfth",
    13: "Thirteenth",
    14: "Fourteenth",
    15: "Fifteenth",
    16: "Sixteenth",
    18: "Eighteenth",
    23: "Twenty-third",
}
_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "2/3": "two thirds",
    "1/4": "one quarter",
    "3/4": "three quarters",
    "½": "one half",
    "⅓": "one third",
    "⅔": "two thirds",
    "¼": "one quarter",
    "¾": "three quarters",
}
# After these words a number of four digits is a year.
_BEFORE_A_YEAR = "|".join(
    rf"(?<=\b{word} )"
    for word in (
        "in",
        "In",
        "since",
        "Since",
        "by",
        "By",
        "until",
        "before",
        "after",
        "year",
        *_MONTHS,
    )
)
_COUNTED = (
    r"(?= (?:people|users|viewers|listeners|followers|subscribers|customers|jobs|homes|households"
    r"|tonnes|tons|barrels|copies|views|downloads|children|adults|voters|passengers|visitors|workers"
    r"|doses|votes|more|fewer|of them)\b)"
)
_MEASURED = (
    r"(?=[ -](?:tall|high|long|deep|wide|above|below|sprint|race|freestyle|hurdles|relay|final)\b)"
)


def spoken_form(text: str, language: str, rules: Mapping[str, str]) -> str:
    """Returns the text as a voice should read it; ``rules`` are the session's own words."""
    text = _EMOJI.sub("", text)
    if rules:
        text = _own_rules(tuple(rules.items()))(text)
    if re.match(r"en\b", language, re.IGNORECASE):
        for pattern, replacement in ENGLISH:
            text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=64)
def _own_rules(rules: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    """Returns a function that replaces whole words; a word in small letters in any case."""
    exact = dict(rules)
    # Longer words first: of "New York" and "York" the first one that fits is taken.
    words = sorted(exact, key=len, reverse=True)
    parts = (
        rf"(?i:{re.escape(word)})" if word == word.lower() else re.escape(word) for word in words
    )
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")

    def spoken(match: re.Match[str]) -> str:
        return exact.get(match[0]) or exact.get(match[0].lower(), match[0])

    return lambda text: pattern.sub(spoken, text)


def _money(match: re.Match[str]) -> str:
    """Returns the amount and then its currency, as it is spoken."""
    if match["mark"] not in _CURRENCIES:
        return match[0]
    one, many, hundredth = _CURRENCIES[match["mark"]]
    scales = [(match[name] or "").strip(" -") for name in ("first", "scale")]
    first, scale = (_SCALES.get(scale, scale) for scale in scales)
    if match["high"] is None:
        amount, scale = match["low"], first
    elif first in ("", scale):
        amount = f"{match['low']} to {match['high']}"
    else:
        amount = f"{match['low']} {first} to {match['high']}"
    whole, _, cents = amount.partition(".")
    if not scale and match["high"] is None and len(cents) == 2 and hundredth:
        small = "" if cents == "00" else f"{cents.lstrip('0')} {hundredth}"
        large = "" if whole == "0" else f"{whole} {one if whole == '1' else many}"
        return " and ".join(filter(None, (large, small))) or f"0 {many}"
    words = f"{amount} {scale}".strip()
    adjective = _OF_AN_AMOUNT.match(match.string, match.end())
    return f"{words} {one if adjective or words == '1' else many}"


def _unit(match: re.Match[str]) -> str:
    one, many = _UNITS[match["unit"]]
    # "6-ft" is an adjective: a six foot wall.
    return f"{match['number']} {one if match['number'] == '1' or match['dash'] == '-' else many}"


def _date(match: re.Match[str]) -> str:
    year, month, day = match.groups()
    return f"{int(day)} {_MONTHS[int(month) - 1]} {year}"


def _month(match: re.Match[str]) -> str:
    return next(month for month in _MONTHS if month.startswith(match[1][:3]))


def _year(match: re.Match[str]) -> str:
    century, rest = match["century"], match["rest"]
    if rest == "00":
        return f"{century} hundred"
    return f"{century} oh {rest[1]}" if rest[0] == "0" else f"{century} {rest}"


def _decade(match: re.Match[str]) -> str:
    return f"{match[1] or ''} {_DECADES[match[2]]}".strip()


def _time(match: re.Match[str]) -> str:
    hour, minute = str(int(match[1])), match[2]
    if minute == "00":
        return hour if match[3] else f"{hour} o'clock" if int(hour) <= 12 else f"{hour} hundred"
    return f"{hour} oh {minute[1]}" if minute[0] == "0" else f"{hour} {minute}"


def _roman(match: re.Match[str]) -> str:
    name, number = match["name"], _ROMAN.get(match["roman"], 0)
    if name in _REGNAL and number in _ORDINALS:
        return f"{name} the {_ORDINALS[number]}"
    # A single letter is a numeral only in the name of a ruler, and "IV" is not in "an IV".
    known = number and len(match["roman"]) > 1 and name not in ("An", "The")
    return f"{name} {number}" if known else match[0]


def _shortened(match: re.Match[str]) -> str:
    """Returns the whole word; the full stop stays where it ends the sentence."""
    return _SHORTENED[match[1]] + ("." if match.end() == len(match.string) else "")


def _rule(pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Rule:
    return re.compile(pattern), replacement


_RANGE = rf"(?: ?[-\u2013] ?| to )(?:{_MARK})?(?P<high>{AMOUNT})(?P<scale>{_SCALE})?"

# In this order: a rule reads what those before it have made.
ENGLISH: tuple[Rule, ...] = (
    # Of an address only the host is read.
    _rule(r"\bhttps?://", ""),
    _rule(r"\bwww\.(?=\w)", ""),
    _rule(
        r"\b((?:[\w-]{1,63}\.){1,3}(?:com|org|net|gov|edu|int|io|eu|co\.uk|gov\.uk))\b(?:/\S{0,500})?",
        lambda match: match[1].replace(".", " dot "),
    ),
    _rule(r"(?<!\w)r/(?=\w)", "the subreddit "),
    _rule(r"(?<!\w)u/(?=\w)", "the user "),
    _rule(r"\b(19\d\d|20\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b(?!-)", _date),
    _rule(
        rf"(?<![\w.])(?P<mark>{_MARK}) ?(?P<low>{AMOUNT})(?P<first>{_SCALE})?(?:{_RANGE})?(?![\d.]\d)",
        _money,
    ),
    _rule(
        rf"(?<![\w.])(?P<low>{AMOUNT})(?P<first>{_SCALE})?(?:{_RANGE})? ?(?P<mark>[A-Z]{{3}}|€)(?!\w)",
        _money,
    ),
    _rule(rf"(?<=\d)-(?={AMOUNT} ?(?:{_UNIT})(?!\w))", " to "),
    _rule(r"(?<=\d) ?\u2013 ?(?=\d)", " to "),
    _rule(r"(?<![\w-])(\d{1,2})-(\d{1,2})(?![\w-])", r"\1 to \2"),
    _rule(rf"(?<![\w.])(?P<number>{AMOUNT})(?P<dash>[ -]?)(?P<unit>{_UNIT})(?!\w)", _unit),
    _rule(r"(?<![\w.])(\d{1,2}(?:\.\d)?)C\b", r"\1 degrees Celsius"),
    _rule(r"(?<=\d)(bn|tn)\b", lambda match: f" {_SCALES[match[1]]}"),
    _rule(rf"(?<=\d)(m|k)\b{_COUNTED}", lambda match: f" {_SCALES[match[1]]}"),
    _rule(rf"(?<=\d)(?:m\b{_MEASURED}| m\b)", " metres"),
    _rule(r"\ban M(?=\d\.\d)", "a magnitude "),
    _rule(r"(?<!\w)M(?=\d\.\d)", "magnitude "),
    _rule(rf"\b({_SHORT_MONTH})\b\.?(?= \d{{1,2}}\b| \d{{4}}\b)", _month),
    _rule(rf"(?<=\d )({_SHORT_MONTH})\b\.?", _month),
    _rule(r"(?:['\u2019]|\b(1[1-9]|20)|(?<![\w'\u2019]))([2-9])0s\b", _decade),
    _rule(
        rf"(?:{_BEFORE_A_YEAR})(?P<century>1[1-9]|20(?=[1-9]))(?P<rest>\d\d)\b"
        r"(?![,.:]?\d|%| (?:people|years|metres|kilometres|miles|feet|per|points)\b)",
        _year,
    ),
    _rule(r"(?<![\w:.])([01]?\d|2[0-3]):([0-5]\d)\b(?!:)(?= ?([ap]\.?m\b)?)", _time),
    _rule(
        r"(?<![\w/])(?:1/2|1/3|2/3|1/4|3/4|[½⅓⅔¼¾])(?![\w/])", lambda match: _FRACTIONS[match[0]]
    ),
    _rule(r"(?<=\d)/(?=\d)", " "),
    _rule(rf"\b({'|'.join(_TITLES)})\.(?= [A-Z])", lambda match: _TITLES[match[1]]),
    _rule(r"\bvs\b\.?", "versus"),
    _rule(
        rf"(?<![\w.])({'|'.join(re.escape(word) for word in _SHORTENED)})\.(?!\w)",
        _shortened,
    ),
    _rule(r"\bNos?\.? (?=\d)", "number "),
    _rule(r"(?<=[a-z] )St\.(?= ?(?:$|[,;]))", "Street"),
    _rule(r"\b(?P<name>[A-Z][a-z]{1,20}) (?P<roman>[IVX]{2,5}|[VX])\b(?!\.\w)", _roman),
    _rule(r"(?<!\w)#(?=\d)", "number "),
    _rule(r"(?<!\w)#(?=\w)", "hashtag "),
    _rule(r"(?<!\w)@(?=\w)", ""),
    _rule(r"(?<!\w)~ ?(?=\d)", "about "),
    _rule(r" ?± ?", " plus or minus "),
    _rule(r"(?<=\d) ?[x\u00d7] ?(?=\d)", " by "),
    _rule(r"\*+", ""),
    _rule(r"\bw/o\b", "without"),
    _rule(r"\bw/(?= )", "with"),
    _rule(r"\band/or\b", "and or"),
    _rule(r"(?<=[a-z])/(?=[a-z])", " or "),
)
