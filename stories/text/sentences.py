"""Sentences of a text in any script, lengths in words, tokens and seconds, and numbers in words.

Libraries were tried: sentencex needs the language of each text, which feeds rarely state (with the
wrong one it splits "am 3. Mai"), knows neither Khmer nor Tibetan, leaves a quotation whole however
long, and takes quadratic time for quotes; pysbd was last released in 2021.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a list that is written as text."""
    return frozenset(text.split())


# These end a sentence whatever follows: CJK, Arabic and Urdu, danda, Ethiopic, Burmese, Khmer,
# Armenian, Tibetan, Mongolian, Syriac, N'Ko, Vai, Cham, and a question mark after Greek.
_FULL_STOPS = (
    "\u3002\uff61\uff01\uff1f\u061f\u06d4\u0964\u0965\u1362\u1367\u1368\u104b\u17d4\u17d5\u0589\u0f0d\u0f0e"
    "\u1803\u1809\u0700-\u0702\u07f9\ua60e\ua60f\uaa5d-\uaa5f\u203c\u203d\u2047-\u2049"
)
_CLOSERS = r"[\"'\u201d\u2019»)\]\u300d\u300f\u3011\u300b\u3009\uff09]*+"
_END = re.compile(
    rf"(?<![.!?…{_FULL_STOPS}])(?:[.!?…{_FULL_STOPS}]++|(?<=[\u0370-\u03ff\u1f00-\u1fff]);){_CLOSERS}"
)
_ENDS_ALWAYS = re.compile(rf"[{_FULL_STOPS};]")

_COMPLETE = re.compile(rf"[.!?…{_FULL_STOPS}]{_CLOSERS}$")

# A full stop after these words never ends a sentence.
_TITLES = word_set("""
    mr mrs ms mx messrs dr prof st mt ft gen col capt lt sgt cmdr rev hon gov sen rep pres vs cf fig approx ca
    e.g i.e z.b d.h u.a bzw hr fr frl mme mlle mgr dott sig sra srta ing проф акад ген им ул
    डॉ श्री प्रो திரு மரு মো
""")

# A full stop after these words ends a sentence only before a common opening word.
_SHORTENED = word_set("""
    inc ltd co corp dept univ est etc jr sr usw jan feb mar apr jun jul aug sep sept oct nov dec
    tue thu fri al
""")

# After a.m. and p.m. these continue the sentence.
_OF_TIME = word_set("""
    monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december today tomorrow on est edt cst cdt mst mdt pst
    pdt et ct pt gmt utc bst cet cest ist jst aest
""")

_MONTHS_AFTER_A_DAY = word_set("""
    januar februar märz april mai juni juli august september oktober november dezember jänner
    jahrhundert jahrhunderts weltkrieg
""")

_OPENERS = word_set("""
    the a an it its this that these those he she they we you i in on at but and for after
    before when while as if however meanwhile police officials there his her their our my no
    not so then what who
""")

_COUNTED = word_set("no nos nr num núm art sec vol pp p rs abs kap")

_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")

# Thai and Lao mark the end of no sentence; a space ends a clause. A longer piece is divided there.
_STOPS = (
    (re.compile(r"[\u3040-\u30ff\u3400-\u9fff]"), "\u3002"),
    (re.compile(r"[\u0900-\u09ff\u0a00-\u0a7f\u0b00-\u0b7f]"), "\u0964"),
    (re.compile(r"[\u1200-\u137f]"), "\u1362"),
    (re.compile(r"[\u1000-\u109f]"), "\u104b"),
    (re.compile(r"[\u1780-\u17ff]"), "\u17d4"),
    (re.compile(r"[\u0530-\u058f]"), "\u0589"),
    (re.compile(r"[\u0e00-\u0eff]"), ""),
)
_CLAUSES = re.compile(r"(?<=[\u0e01-\u0e4e\u0e81-\u0ecd]) (?=[\u0e01-\u0e44\u0e81-\u0ec4])")
_LONG_CLAUSES = 80  # characters


def sentences(text: str) -> list[str]:
    """Splits a text into sentences; abbreviations and numbers end none, a line break does."""
    pieces: list[str] = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            if _ends(line, start, end):
                pieces.append(line[start : end.end()].strip())
                start = end.end()
        pieces += _clauses(line[start:].strip())
    return [sentence for sentence in pieces if sentence]


def is_complete(sentence: str) -> bool:
    """Whether a text ends with the punctuation of a sentence, in any script."""
    return bool(_COMPLETE.search(sentence[-8:]))


def full_stop(text: str) -> str:
    """Returns the full stop of the script in which a text ends; Thai and Lao have none."""
    last = re.sub(r"\W+$", "", text)[-1:]
    return next((stop for script, stop in _STOPS if script.match(last)), ".")


def _clauses(text: str) -> list[str]:
    """Divides a long Thai or Lao text without punctuation at spaces."""
    pieces: list[str] = []
    start = 0
    for space in _CLAUSES.finditer(text):
        if space.start() - start >= _LONG_CLAUSES:
            pieces.append(text[start : space.start()])
            start = space.end()
    return [*pieces, text[start:]]


def _ends(line: str, start: int, end: re.Match[str]) -> bool:
    """Whether the punctuation ends a sentence, by the words before and after it."""
    if _ENDS_ALWAYS.match(end[0]):
        return True
    after = line[end.end() : end.end() + 40]
    if after and not after[0].isspace():
        return False
    following = after.split(None, 1)[0].strip("\"'“\u2018«([¿¡") if after.strip() else ""
    if following[:1].islower():
        return False
    opens = following.lower().strip(",.;:!?\"'\u201d\u2019") in _OPENERS
    if following and end[0].startswith(("…", "..")):
        return opens
    if not following or not end[0].startswith("."):
        return True
    before = line[max(end.start() - 24, start) : end.start()]
    word = re.split(r"[\s(\"'“\u2018\[]", before)[-1].lower()
    if word in _TITLES:
        return False
    if word in ("a.m", "p.m"):
        return following.lower().strip(",.;:!?") not in _OF_TIME
    if word in _COUNTED:
        return not following[0].isdigit()
    if word.isdecimal() and len(word) <= 3:
        # "3. Mai" is a date, and "1. Open the door" an item of a list.
        month = following.lower().strip(",.;:!?") in _MONTHS_AFTER_A_DAY
        return not month and before.strip() != word
    if word in _SHORTENED or _INITIALS.fullmatch(word):
        return opens
    return True


# Scripts without spaces, and about how many words one of their letters is: a word has 1.7 Chinese
# characters, 2.5 of kana, or 4 letters of Thai, Lao, Burmese or Khmer. Such estimates make the pace
# right, which is what words are counted for; exact words would need dictionaries of 30 MB.
_UNSPACED = (
    (re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 0.6),
    (re.compile(r"[\u3040-\u30ff\uff66-\uff9f]"), 0.4),
    (
        re.compile(
            r"[\u0e01-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0ec0-\u0ec6\u1000-\u102a\u1780-\u17b3]"
        ),
        0.25,
    ),
)
_BETWEEN_WORDS = re.compile(
    r"[\s—\u2013…|()\[\]{}<>=\"“”«»\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff"
    r"\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff]+"
)


def tokens_of(text: str) -> int:
    """Returns about how many tokens a text has: one for four ASCII characters, one for any other."""
    plain = sum(char < "\x80" for char in text)
    return (plain + 3) // 4 + len(text) - plain


def word_count(text: str) -> int:
    """Returns the number of words; in scripts without spaces about as many as a reader would say."""
    spaced = sum(any(map(str.isalnum, word)) for word in _BETWEEN_WORDS.split(text))
    if text.isascii():
        return spaced
    unspaced = sum(len(letter.findall(text)) * words for letter, words in _UNSPACED)
    return spaced + math.ceil(round(unspaced, 6))


def reading_seconds(words: float, wpm: int) -> float:
    """Returns the seconds that ``words`` take at ``wpm`` words a minute; 0 for a pace of 0."""
    return words * 60 / wpm if wpm > 0 else 0.0


MAX_NAME = 40
_NAME = r"[^\W\d_a-z][\w'\u2019-]*+"

_RUN = re.compile(rf"{_NAME}(?:\s(?:of\s(?:the\s)?)?{_NAME})*+(?:\s\d[\d.]*+(?![\w-]))?")

NO_NAME = word_set("""
    i a an the this that these those he she it they we you his her its their our my in on at by for
    from with of to and but or nor so if as when while after before since until then there here what
    why how who which where about all both each every more most no not one some such two three four
    five six seven eight nine ten today tomorrow yesterday tonight monday tuesday wednesday thursday
    friday saturday sunday january february march april may june july august september october
    november december mr mrs ms dr opinion analysis correction update breaking yes will reddit edit
    tomorrow's today's half ask just new let version
""")


def names_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yields each run of capitalised words, and whether it is certainly a name.

    The first word of the text may be capitalised only for its place.
    """
    for run in _RUN.finditer(text):
        words = run[0].split()
        # "New" begins sentences as well as "New York".
        while words and words[0].lower() in NO_NAME and (words[0] != "New" or len(words) == 1):
            words.pop(0)
        name = re.sub(r"['\u2019]s$", "", " ".join(words)).strip("'\u2019-")
        if 2 < len(name) <= MAX_NAME and not name[0].islower():
            inside = re.search(r"\w", text[: run.start()])
            yield name, inside is not None or len(words) > 1 or len(words) < len(run[0].split())


def in_title_case(text: str) -> bool:
    """Whether most words are capitalised, so that a capital letter does not mark a name."""
    words = [word for word in text.split() if word[0].isalpha() and len(word) > 3]
    return sum(word[0].isupper() for word in words) > 0.7 * len(words)


# Languages of which text2num reads the numbers, and their words for a decimal point.
SPELLED_IN = word_set("en de fr es it pt nl da")
_POINTS = word_set("point komma virgule coma virgola vírgula")
# With limits, as a search for the end of a longer one would be repeated at each of its letters.
_HALVES = re.compile(
    r"(\d)((?:000){1,4}| \w{0,9}mil\w{1,9}) (?:et demie?|e mezz[oa]|y medi[oa]|e mei[oa])\b"
)
# "Vierundvierzigjähriger", "zweieinhalb"
_COMPOUND = re.compile(
    r"(?i)\b(\w{3,40})(jährig|tägig|stündig|minütig|monatig|wöchig|köpfig|prozentig|jarig)"
)
_ONE_AND_A_HALF = re.compile(r"(?i)\b(?:ander(?:t?halb|half|halv)e?|halvand(?:en|et))\b")
_AND_HALF = re.compile(r"(?i)\b(\w+?)(?:einhalb|[eë]nhalf)\b")


# "Une heure vingt", "las 3 y media"
_SPOKEN_CLOCK = re.compile(
    r"(?i)(?<![\d.,:])\b(?:(\d{1,2}|une) (?:heures?|h|uhr) |(?:las|la|le|às) (\d{1,2}|una) [ye] )"
    r"(\d{1,2}|et demie|et quart|medi?a|mezz[ao]|meia|cuarto|un quarto)\b(?! min|[.,:]?\d)"
)


class _Token:
    """A word as text2num takes it; ``apart`` if a number before it ends there."""

    def __init__(self, word: str, *, apart: bool) -> None:
        self._word, self._apart = word, apart

    def text(self) -> str:
        return self._word

    def nt_separated(self, _previous: object) -> bool:
        return self._apart

    def not_a_number_part(self) -> bool:
        return self._apart and self._word == "and"


def spelled(words: Sequence[str], language: str) -> Iterator[tuple[int, int, str, bool]]:
    """Yields the numbers written in words: the first word, the one after the last, digits, if ordinal.

    "One", mostly a pronoun or an article, and a scale alone, as in "2.3 million", are left out.
    """
    # Only processes that narrate need it: 40 ms and 3 MB.
    from text_to_num import find_numbers

    tokens = []
    for at, word in enumerate(words):
        # "Between one hundred and two hundred"; "zwei Komma fünf Millionen" is no 2,5000000.
        apart = word == "and" and [*words[at - 1 : at], *words[at + 2 : at + 3]] == ["hundred"] * 2
        decimal = bool(_POINTS.intersection(words[max(at - 4, 0) : at])) and "mil" in word
        tokens.append(_Token(word, apart=apart or decimal))
    for one in find_numbers(tokens, language, 0.0):
        digits = re.sub(r"[^\d.,]|[.,](?!\d)", "", one.text)
        before = words[one.start - 1] if one.start else ""
        article = one.value == 1 and not one.is_ordinal
        scale = digits.strip("0") == "1" and len(digits) > 2
        lone = scale and (language == "en" or before[-1:].isdigit() or one.value > 1e4)
        plural = words[one.start] in ("miles", "mila") or (
            one.is_ordinal and words[one.start][-1] == "s"
        )
        million = before in ("eine", "einer", "een", "en") and one.value > 1e4
        if (
            one.end - one.start > 1
            or million
            or not (article or lone or plural or before in _POINTS)
        ):
            yield one.start, one.end, digits, one.is_ordinal


def in_digits(text: str, language: str, is_month: Callable[[str], bool]) -> str:
    """Returns a text of a language that text2num reads, with digits for numbers written in words."""
    text = _ONE_AND_A_HALF.sub("1,5", text.replace("veintiún", "veintiuno"))
    half = r"\1 komma vijf" if language == "nl" else r"\1 komma fünf"
    text = _COMPOUND.sub(r"\1-\2", _AND_HALF.sub(half, text))
    found = list(re.finditer(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]", text))
    words = [match[0].lower() for match in found]
    for start, end, digits, ordinal in reversed([*spelled(words, language)]):
        behind = next((word for word in words[end : end + 3] if word not in ("de", "di", "'")), "")
        # "Der zweite", "un cinquième", "quarta-feira"; but "primo aprile"
        before = words[start - 1] if start else ""
        if words[start] in ("cuarto", "quart", "quarto") and before in ("y", "e", "et", "un"):
            continue  # "las dos y cuarto"
        doubtful = digits in ("1", "2", "3") or before[:2] == "un" or behind == "-"
        if not ordinal or is_month(behind) or not doubtful:
            text = f"{text[: found[start].start()]}{digits}{text[found[end - 1].end() :]}"
    return _HALVES.sub(_and_half, _SPOKEN_CLOCK.sub(_spoken_clock, text))


def _and_half(match: re.Match[str]) -> str:
    """Returns "2500000" for "2000000 et demi", and "2,5 millions" for "2 millions et demi"."""
    return f"{match[1]}5{match[2][1:]}" if match[2][0] == "0" else f"{match[1]},5{match[2]}"


def _spoken_clock(match: re.Match[str]) -> str:
    hour = (match[1] or match[2]).lower().replace("une", "1").replace("una", "1")
    part = match[3].lower()
    minutes = int(part) if part.isdigit() else 15 if "uar" in part else 30
    return f" {hour}:{minutes:02d}"


# Between them a sentence is whole: a part of one may leave out what denies it.
_WHOLE_BEGINS = r"(?:\A|[.!?:\u2026\u201d\u00bb\"] )"
_WHOLE_ENDS = (
    r"(?:\Z|(?=[.!?:;\u2026\u201d\u00bb\"]+(?: |\Z))|(?<=[\u201d\u00bb\"])(?= )"
    r"|(?<=[\u3002\uff01\uff1f]))"
)


def has_sentence(text: str, sentence: str) -> bool:
    """Whether a text has a sentence word by word, from its beginning to its end."""
    whole, part = (
        " ".join(each.casefold().split()).rstrip(".!?\u2026") for each in (text, sentence)
    )
    return re.search(_WHOLE_BEGINS + re.escape(part) + _WHOLE_ENDS, whole) is not None


def english_forms(verb: str) -> list[str]:
    """Returns the forms of a regular English verb, and some that look like forms of it."""
    if verb.endswith("y") and verb[-2] not in "aeo":
        return [verb, f"{verb[:-1]}ies", f"{verb[:-1]}ied", f"{verb}ing"]
    roots = {verb.removesuffix("e"), f"{verb}{verb[-1]}" if verb[-1] in "bdgptnlrm" else verb}
    doubled = [f"{root}{ending}" for root in roots for ending in ("ed", "ing")]
    return [verb, f"{verb}s", f"{verb}es", *doubled]
