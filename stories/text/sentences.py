"""Sentences of a text, and lengths in words, tokens and seconds."""

from __future__ import annotations

import re

from stories.text.words import word_set

_END = re.compile(r"(?<![.!?…。\uff01\uff1f])[.!?…。\uff01\uff1f]++[\"'”\u2019»)\]」』]*+")

_FULL_STOPS = "。\uff01\uff1f"

# A full stop after these words never ends a sentence.
_TITLES = word_set("""
    mr mrs ms mx dr prof sr jr st mt ft gen col capt lt sgt cmdr rev hon gov sen rep pres vs
    cf fig approx
""")

# A full stop after these words ends a sentence only before a common opening word.
_SHORTENED = word_set("""
    inc ltd co corp dept univ est etc jan feb mar apr jun jul aug sep sept oct nov dec tue thu
    fri al
""")

_OPENERS = word_set("""
    the a an it its this that these those he she they we you i in on at but and for after
    before when while as if however meanwhile police officials there his her their our my no
    not so then what who
""")

_COUNTED = word_set("no nos art sec vol pp p")

_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")


def sentences(text: str) -> list[str]:
    """Splits a text into sentences; abbreviations and decimals end none, a line break does."""
    pieces: list[str] = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            if _ends(line, end):
                pieces.append(line[start : end.end()].strip())
                start = end.end()
        pieces.append(line[start:].strip())
    return [sentence for sentence in pieces if sentence]


def _ends(line: str, end: re.Match[str]) -> bool:
    """Whether the punctuation ends a sentence, by the words before and after it."""
    if end[0][0] in _FULL_STOPS:
        return True
    after = line[end.end() : end.end() + 40]
    if after and not after[0].isspace():
        return False
    following = after.split(None, 1)[0].strip("\"'“\u2018«([") if after.strip() else ""
    if following[:1].islower():
        return False
    if not following or not end[0].startswith("."):
        return True
    before = line[max(end.start() - 24, 0) : end.start()]
    word = re.split(r"[\s(\"'“\u2018\[]", before)[-1].lower()
    if word in _TITLES:
        return False
    if word in _COUNTED:
        return not following[0].isdigit()
    if word in _SHORTENED or _INITIALS.fullmatch(word):
        return following.lower() in _OPENERS
    return True


_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]++"
)

_JOINED = re.compile(r"(?<=\w)['\u2019.,\-\u2011:/](?=\w)")


def tokens_of(text: str) -> int:
    """Returns about how many tokens a text has: one for four ASCII characters, one for any other."""
    plain = sum(char < "\x80" for char in text)
    return (plain + 3) // 4 + len(text) - plain


def word_count(text: str) -> int:
    """Returns the number of words; in scripts without spaces each character counts as one."""
    return len(_WORD.findall(_JOINED.sub("", text)))


def reading_seconds(words: int, wpm: int) -> float:
    """Returns the seconds that ``words`` take at ``wpm`` words a minute; 0 for a pace of 0."""
    return words * 60 / wpm if wpm > 0 else 0.0
