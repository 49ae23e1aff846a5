"""Words of a text as the check of sentences compares them, and its English word lists."""

from __future__ import annotations

import gettext
import json
import re
import unicodedata
from calendar import day_name, month_name
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import django

from broadcast.narrators.quantities import HEDGES, UNIT_OF, Found, Quantity, read
from stories.posts.features import language_of
from stories.posts.vocabulary import SAME
from stories.text.sentences import SPELLED_IN, in_digits, word_set

ENGLISH: dict[str, Any] = json.loads(Path(__file__).with_name("english.json").read_text("utf-8"))
PRONOUNS = word_set(ENGLISH["pronouns"])
SPEECH = word_set(ENGLISH["speech"])
WITHOUT_MEANING = word_set(ENGLISH["without_meaning"])
# Each role by the first of its names.
ROLES = {word: names.split()[0] for names in ENGLISH["roles"] for word in names.split()}
_GERMAN = re.compile(r"\b(?:der|die|das|den|dem|und|ist|nicht|ein|eine|einen|mit|auf|von|im|zu)\b")
_FUNCTION_WORDS = word_set(ENGLISH["function_words"])
FOREIGN = word_set(ENGLISH["foreign_function_words"])
# Those of which Django has the names of months and days.
_LANGUAGES: list[str] = ENGLISH["languages_with_dates"].split()
_MONTH_NAMES, _DAY_NAMES = list(month_name)[1:], list(day_name)
_ORDINALS = word_set(ENGLISH["ordinals"])
_DIGITS = dict(enumerate(ENGLISH["digits"].split(), 2))
_FOREIGN_WORD = re.compile(r"[^\W\d_]+(?:-feira)?")
_DAY_OF_MONTH = re.compile(
    rf"(\d{{1,2}})(?:\.|er|º)?\s+(?:de\s|di\s|d['\u2019])?\s?(?={'|'.join(_MONTH_NAMES)})"
)
_CASE_ENDINGS = "aouyieąęаяуюеиыіь"  # noqa: RUF001 - vowels of Slavic languages
_PARTS_OF_DAY = re.compile(r"\b(\w+tag|Mittwoch)(?:abend|morgen|(?:nach|vor)?mittag|nacht|früh)\b")
_PER_CENT = re.compile(r"(?i)\b(?:por ciento|por cento|pour cent|per cento)\b")  # "14 por ciento"
_CJK_DATE = re.compile(r"(\d{1,2})[月월]\s?(\d{1,2})[日일]")
_NAMED_DAYS: dict[str, str] = ENGLISH["named_days"]
_NAMED_DAY = re.compile(rf"\b(?:{'|'.join(_NAMED_DAYS)})\b", re.IGNORECASE)
_PHRASES: dict[str, str] = ENGLISH["phrases"]
_PHRASE = re.compile(rf"\b(?:{'|'.join(_PHRASES)})\b", re.IGNORECASE)
# "22 Uhr", "21h45", "a las 18.30 horas"
_CLOCK = re.compile(
    r"\b(\d{1,2})(?:[:.h](\d{2}))?(?:\s?uhr\b|(?<=h\d\d)\b|(?<=[:.]\d\d)\s?horas\b)", re.IGNORECASE
)
_HEDGED = re.compile(
    "|".join(
        rf"(?P<{hedge}>\b(?:{words}))"
        for hedge, words in ENGLISH["hedges_in_other_languages"].items()
    ),
    re.IGNORECASE,
)
_CJK_CLOCK = re.compile(
    r"(午前|午後|上午|下午|오전|오후)?\s?(\d{1,2})[時时시点]\s?(?:(\d{1,2})[分분])?"
)
_CJK_SCALES: dict[str, int] = ENGLISH["cjk_scales"]
_CJK_NUMBER = re.compile(
    rf"(?<![\d,.])(?:\d[\d,.]{{0,15}}[{''.join(_CJK_SCALES)}]){{1,4}}(?:\d{{1,4}}(?!\d))?"
)
_CJK_UNITS: dict[str, str] = ENGLISH["cjk_units"]
_CJK_UNIT = re.compile("|".join(_CJK_UNITS))
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
NEGATIVE = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|hardly|unhurt|uninjured"
    r"|unpaid|unharmed|undecided|unknown|unclear|unaware|unbeaten|undefeated|unable|unlikely|unsold"
    r"|unnamed|unanswered|unsuccessful|exempt|except|lack(?:s|ed)?"
    r"|all but(?= (?:an?|the|one|two|three|four|five|\d))"
    r"|lacking|den(?:y|ies|ied|ying)|reject(?:s|ed|ing)?|refus(?:e|es|ed|ing)"
    r"|declin(?:ed|es) to|fail(?:s|ed|ing|ures?)? to|rul(?:e|es|ed|ing) out|exclud(?:e|es|ed|ing)"
    r"|dismissed(?! (?:\w+ ){1,4}as\b)"
    r"|disput(?:ed|ing)|avoid(?:s|ed)?|prevent(?:s|ed)?)\b|n['\u2019]t\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def compared(word: str) -> str:
    """Returns a word as compared: lower case, without accents and the possessive."""
    bare = re.sub(r"['\u2019](?:s|S)$|['\u2019]$", "", word)
    if bare.isascii():
        return bare.casefold()
    decomposed = unicodedata.normalize("NFKD", bare)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


_ENDING = re.compile(
    r"(?:ations?|ances?|ences?|ments?|ings?|ions?|edly|ied|ies|ed|es|ly|e|y|s|er|ers|or|ors)$"
)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Returns the beginning that the forms of a word share: "resist" for "resistance"."""
    plain = compared(word)
    return (_ENDING.sub("", plain) if len(plain) > 4 else plain)[:7]


def stems_of(text: str) -> frozenset[str]:
    plain = NEGATIVE.sub(" ", text)
    words = (compared(word) for word in WORD.findall(plain))
    return frozenset(stem(word) for word in words if word not in WITHOUT_MEANING and len(word) > 2)


def squeezed(text: str) -> str:
    return " ".join(compared(word.replace("\u2019", "'")) for word in WORD.findall(text))


@lru_cache(maxsize=32)
def _dictionary(language: str) -> dict[str, str]:
    """Returns English words for the months, days, units and small numbers of a language.

    Without a language, of all that Django has.
    """
    found: dict[str, str] = {}
    for name in [one for one in _LANGUAGES if not language or one[:2] == language[:2]]:
        root = Path(django.__file__).parent
        dates, numbers = (
            gettext.translation("django", root / folder / "locale", [name], fallback=True)
            for folder in ("conf", "contrib/humanize")
        )
        for month in _MONTH_NAMES:
            for word in (dates.gettext(month), dates.pgettext("alt. month", month)):
                found.setdefault(_bare(word), month)
        found |= {_bare(dates.gettext(day)): day for day in _DAY_NAMES}
        found |= {_bare(numbers.gettext(word)): str(at) for at, word in _DIGITS.items()}
        for scale in ("million", "billion"):
            for number in (1, 2, 5):
                text = numbers.ngettext(f"%(value)s {scale}", f"%(value)s {scale}", number)
                found.setdefault(_bare(text.replace("%(value)s", "").strip()), scale)
    seasons = ENGLISH["seasons_in_other_languages"].split(" / ")
    rows = [*ENGLISH["other_languages"].items(), *zip(ENGLISH["seasons"], seasons, strict=True)]
    for english, words in rows:
        found |= {_bare(word): english for word in words.split()}
    return found


def _bare(word: str) -> str:
    """Returns a word without the endings of its cases: "среду" and "среда" are one."""
    plain = compared(word)
    plain = plain.removesuffix("na") if len(plain) > 6 else plain
    return plain.rstrip(_CASE_ENDINGS) if len(plain) > 4 else plain


def _cjk_number(match: re.Match[str]) -> str:
    """Returns "1200000000" for "12億"."""
    parts = re.findall(rf"(\d[\d,.]*)([{''.join(_CJK_SCALES)}]?)", match[0])
    values = [
        float(digits.replace(",", "").rstrip(".")) * _CJK_SCALES.get(scale, 1)
        for digits, scale in parts
    ]
    return f" {sum(values):.10g} " if sum(values) < 1e10 else f" {sum(values):.0f} "


def _cjk_clock(match: re.Match[str]) -> str:
    later = 12 * (match[1] in ("午後", "下午", "오후") and int(match[2]) < 12)
    return f" {int(match[2]) + later}:{int(match[3] or 0):02d} "


def in_english(text: str, language: str, near: str = "") -> str:
    """Returns a text of another language with English dates, times, small numbers and units."""
    words = _dictionary(language)
    text = _PARTS_OF_DAY.sub(r"\1", _PER_CENT.sub("%", text))
    known = (
        language[:2] if language[:2] in SPELLED_IN else language_of(text.lower().split()) or near
    )
    if known in SPELLED_IN:
        text = in_digits(text, known, lambda word: words.get(_bare(word)) in _MONTH_NAMES)
    text = _HEDGED.sub(lambda match: str(match.lastgroup), text)
    text = _CLOCK.sub(lambda match: f"{match[1]}:{match[2] or '00'}", text)
    text = _CJK_NUMBER.sub(_cjk_number, text)
    text = _CJK_UNIT.sub(lambda match: f" {_CJK_UNITS[match[0]]} ", text)
    text = _CJK_CLOCK.sub(_cjk_clock, text)
    text = _CJK_DATE.sub(lambda match: f" {match[2]} {_MONTH_NAMES[int(match[1]) % 12 - 1]} ", text)
    text = re.sub(r"[一-龥]曜日|星期[一-龥]", lambda match: f" {words.get(match[0], '')} ", text)
    text = _FOREIGN_WORD.sub(lambda match: words.get(_bare(match[0]), match[0]), text)
    return _DAY_OF_MONTH.sub(r"\1 ", text)


class Text:
    """A text with all that the rules compare, each read once.

    Without a ``language`` it is found by its words, or else taken to be ``near``.
    """

    def __init__(self, text: str, language: str = "", near: str = "") -> None:
        # "Picked up" and "rose" are one, and so are "a quarter point" and "quarter-point".
        text = _NAMED_DAY.sub(
            lambda match: _NAMED_DAYS[match[0].lower()], text.replace("\u2019", "'")
        )
        self.text = _PHRASE.sub(lambda match: _PHRASES[match[0].lower()], text)
        self._language, self._near = language.lower(), near[:2]

    @cached_property
    def in_numbers(self) -> str:
        """The text as its numbers, dates and units are read."""
        if self.is_english or self._language.startswith("en"):
            return self.text
        return in_english(self.text, self._language, self._near)

    @cached_property
    def found(self) -> Found:
        return read(self.in_numbers)

    @cached_property
    def figures(self) -> frozenset[float]:
        """The numbers and shares of the text without their units, but for those that many things have."""
        every = (*self.found.quantities, *shares(self.text))
        return frozenset(value for one in every for value in one.values if value not in range(13))

    @cached_property
    def words(self) -> list[str]:
        return WORD.findall(self.text)

    @cached_property
    def lower(self) -> frozenset[str]:
        return frozenset(compared(word) for word in self.words)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(compared(word) for word in self.words if word[:1].isupper())

    @cached_property
    def function_words(self) -> tuple[int, int]:
        """How many of its words are English function words, and how many those of others."""
        foreign = sum(word in FOREIGN for word in self.words)  # not "La Paz"
        return sum(word.lower() in _FUNCTION_WORDS for word in self.words), foreign

    @cached_property
    def is_english(self) -> bool:
        common, foreign = self.function_words
        foreign = foreign if self._language[:2] in ("", "en") else 2 * foreign + 1
        foreign += self._near not in ("", "en")
        return common >= max(1, len(self.words) // 14) and common > foreign

    @cached_property
    def capitalises_nouns(self) -> bool:
        """Whether a capital letter does not mark a name, as in German."""
        return len(_GERMAN.findall(self.text.lower())) >= max(1, len(self.words) // 14)

    @cached_property
    def has_pronoun(self) -> bool:
        return any(word.lower() in PRONOUNS for word in self.words)

    @cached_property
    def is_latin(self) -> bool:
        letters = [char for char in self.text if char.isalpha()]
        latin = sum("LATIN" in unicodedata.name(char, "") for char in letters[:200])
        return 2 * latin >= len(letters[:200])

    @cached_property
    def squeezed(self) -> str:
        return squeezed(self.text)


_SHARES = {"half": 50.0, "halved": 50.0, "halves": 50.0, "double": 200.0, "doubled": 200.0}
_SHARES |= {"twice": 200.0, "tripled": 300.0, "trebled": 300.0, "quarter": 25.0}
_SMALL = "one two three four five six seven eight nine"
_NAMES_OF_PARTS = dict(
    zip([*ENGLISH["ordinals"].split()[3:11], "quarter"], [*range(3, 11), 4], strict=True)
)
_ONE_PART = "|".join(_NAMES_OF_PARTS)
# "A fifth of", "two thirds"; not "a third man".
_PART = re.compile(
    rf"\b(?:(?P<one>an?|one)[ -](?P<part>{_ONE_PART.replace('|quarter', '')})"
    r"(?=[.,;:)]|$| (?:of|to|less|more|fewer|as|in|from|since|compared|than|and|by|lower|higher|off)\b)"
    rf"|(?P<many>{_SMALL.replace(' ', '|')})[ -](?P<parts>{_ONE_PART})s)\b",
    re.IGNORECASE,
)
_PERIOD = re.compile(r"\b(?:every|each|per|last|this|next|previous) $")
_ARTICLE = re.compile(r"(?:of )?an? (\w+)")
_IN_TEN = re.compile(
    rf"\b(?P<some>\d+|{_SMALL.replace(' ', '|')}) (?:in|out of) (?:every )?"
    r"(?P<all>ten|four|five|three|10|100)\b",
    re.IGNORECASE,
)
_WHOLE = {"three": 3, "four": 4, "five": 5, "ten": 10, "10": 10, "100": 100}


def without_shares(text: str) -> str:
    """Returns a text without the shares whose words are also read as numbers."""
    return _IN_TEN.sub(" ", _PART.sub(" ", text))


def shares(text: str) -> Iterator[Quantity]:
    """Yields the shares that a text names in words, in per cent: "half", "nine in ten", "a fifth"."""
    lower = text.lower()

    def share(match: re.Match[str], value: float, hedge: str = "") -> Quantity:
        before = lower[max(0, match.start() - 30) : match.start()].split()[-3:]
        hedge = next((word for word in reversed(before) if word in HEDGES), hedge)
        return Quantity(match[0], (value,), "%", hedge)

    for match in re.finditer(r"[^\W\d_]+", lower):
        if match[0] not in _SHARES:
            continue
        before = lower[max(0, match.start() - 20) : match.start()]
        behind = lower[match.end() : match.end() + 20].lstrip()
        another = behind.startswith(("past", "to ", "-time", "time")) or _PERIOD.search(before)
        # "Twelve and a half million" and "half an hour" are read as numbers.
        article = _ARTICLE.match(behind)
        counted = article is not None and (article[1] in UNIT_OF or article[1] in ENGLISH["scales"])
        of_number = before.endswith(" and a ") or counted
        if before.rstrip().rsplit(" ", 1)[-1] not in _ORDINALS and not (another or of_number):
            yield share(match, _SHARES[match[0]])
    for match in _PART.finditer(lower):
        number = _SMALL.split().index(match["many"]) + 1 if match["many"] else 1
        yield share(match, 100 * number / _NAMES_OF_PARTS[match["part"] or match["parts"]])
    for match in _IN_TEN.finditer(lower):
        some = match["some"]
        number = int(some) if some.isdecimal() else _SMALL.split().index(some) + 1
        yield share(match, 100 * number / _WHOLE[match["all"]], "about")  # "seven in ten"


BOUNDARY = re.compile(
    r"[;:()\u2014\u2013]|(?<!\w)(?:and|but|while|whereas|although|though|because|since|which|who|whom"
    r"|that|as|after|before|when|if)(?!\w)",
    re.IGNORECASE,
)
_UNCOUNTED = (
    WITHOUT_MEANING
    | PRONOUNS
    | word_set(
        " ".join(
            ENGLISH[name]
            for name in ("light", "time_words", "units_to_nineteen", "tens", "ordinals", "calendar")
        )
    )
)
_UNCOUNTED |= word_set(" ".join([*ENGLISH["scales"], *ENGLISH["months"], ENGLISH["weekdays"]]))
# "A developer" for "I" carries no meaning of its own either.
_UNCOUNTED |= SPEECH | word_set(" ".join([*ENGLISH["units"].values(), ENGLISH["tellers"]]))
# So many content words in a row that no passage has: a sentence of other words never had as many.
MOST_NEW = 2
MOST_INITIALS = 7


def inventions(spoken: Text, source: Text) -> Iterator[str]:
    """A sentence must not have several content words in a row that no passage has."""
    known = {sense(word) for word in source.lower}
    row: list[str] = []
    for word in [*spoken.words, ""]:
        if word and not counts(word):
            continue
        if word and sense(compared(word)) not in known:
            row.append(word)
            continue
        if _news(row) > 3 * MOST_NEW:
            yield f"“{' '.join(row)}”"
        row = []
    for clause in BOUNDARY.split(spoken.text):
        words = [word for word in WORD.findall(clause) if counts(word)]
        new = [word for word in words if sense(compared(word)) not in known]
        if _news(new) > 3 * MOST_NEW and 3 * len(new) >= 2 * len(words):
            yield f"“{' '.join(new)}”"


def _news(words: list[str]) -> int:
    """Returns how much new words say: 3 each, and 2 for a common one, which may retell another."""
    return sum(2 if sense(compared(word)) in _COMMON else 3 for word in words)


def counts(word: str) -> bool:
    """Whether a word carries meaning of its own."""
    plain = compared(word)
    return not (
        plain in _UNCOUNTED or NEGATIVE.fullmatch(plain) or len(plain) < 3 or plain[0].isdecimal()
    )


def sense(word: str) -> str:
    """Returns one form for words of one meaning, as far as the lists and endings show it."""
    return stem(SAME.get(word, word))[:5]


_COMMON = frozenset(
    sense(form)
    for word in word_set(ENGLISH["common"])
    for form in (word, f"{word}ed", f"{word}{word[-1]}ed", f"{word.removesuffix('y')}ies")
)


def initials(text: Text) -> set[str]:
    """Returns the initials of the runs of capitalised words: "who" for World Health Organization."""
    found: set[str] = set()
    letters, end = "", 0
    for match in WORD.finditer(text.text):
        word, gap = match[0], text.text[end : match.start()]
        end = match.end()
        letters = "" if gap.strip(" -&") else letters
        if word in ("of", "for", "and", "the"):
            continue
        letters = (letters + word[0])[-MOST_INITIALS:] if word[0].isupper() else ""
        found.update(letters[start:].casefold() for start in range(len(letters) - 1))
    return found
