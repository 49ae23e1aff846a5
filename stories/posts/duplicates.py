"""Words of headlines: which content words they have, and whether one reports a development."""

from __future__ import annotations

import re
from functools import lru_cache

from stories.text.sentences import word_set

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_CARDINALS = """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
"""
_ORDINALS = "second third fourth fifth sixth seventh eighth ninth tenth"
_SPELT = {
    word: str(value)
    for spelt in (_CARDINALS, _ORDINALS)
    for value, word in enumerate(spelt.split(), 2)
}
_EMPTY = word_set("""
    a an the and or but of in on at to for from by with as is are was were be been being has
    have had it its this that these those he she his her they their who which after before
    over into about out up off will would can could may new says said say ever time just
""")
# Words on the two sides of one development: when one headline has a word of one side, and the other
# headline a word of the other side, they are two stories.
_OPPOSED: tuple[tuple[str, str], ...] = (
    ("close shut block", "open reopen resume unblock"),
    ("begin start launch suspend halt stop", "end finish resume conclude complete"),
    ("suspend stop pause cancel delay", "resume continue restart return"),
    (
        "rise increase grow gain climb jump soar up raise hike higher",
        "fall drop decline lose plunge sink down cut lower",
    ),
    ("win beat defeat victory", "lose lost defeated loss draw"),
    ("approve pass back accept adopt allow agree", "reject block oppose refuse ban veto deny vote"),
    ("miss missing search lost trap", "find found rescue safe"),
    ("arrest charge accuse suspect trial", "free release acquit convict sentence clear"),
    ("hurt injure wound ill", "die dead kill recover"),
    (
        "expect plan propose likely hope consider forecast could may",
        "approve cut sign confirm surprise sink cancel",
    ),
    ("lead half-time halftime", "beat win lose"),
    ("join hire sign appoint", "leave quit resign fire part sack"),
    ("buy", "sell"),
    ("confirm", "deny"),
)
_NEGATIONS = word_set("not no never without nobody none")
_CHANGES = word_set("not correction corrected update updated false fake hoax")
# Of what is still to come.
_FORECAST = word_set("""
    expect expects expected may might could will would likely plan plans planned planning propose
    proposes proposed forecast forecasts hope hopes prepare prepares due upcoming looms awaits
""")
_ENDINGS = ("ing", "ed", "es", "s")


def is_development(title: str, earlier: str) -> bool:
    """Whether a headline differs in its figures, or has a word whose opposite the earlier one has."""
    return _numbers(title) != _numbers(earlier) or _opposed(
        content_words(title), content_words(earlier)
    )


def overtakes(title: str, earlier: str) -> bool:
    """Whether a headline replaces an earlier one: by other figures, a turn, or what was forecast."""
    new, old = _numbers(title), _numbers(earlier)
    words, earlier_words = (word_set(text.lower()) for text in (title, earlier))
    return (
        bool(new and old and not old <= new)
        or _opposed(content_words(title), content_words(earlier))
        or bool(earlier_words & _FORECAST and not words & _FORECAST)
    )


def _numbers(title: str) -> frozenset[str]:
    spelt = (_SPELT.get(word) for word in title.lower().replace("-", " ").split())
    digits = (number.replace(",", "") for number in _NUMBER.findall(title))
    return frozenset(digits) | frozenset(number for number in spelt if number)


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    """Returns a crude stem, enough to match "closes" with "closed"."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            stem = word[: -len(ending)]
            return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem.rstrip("e")
    return word.rstrip("e")


def content_words(title: str) -> frozenset[str]:
    """Returns the stems of a headline's content words; every negation becomes "not"."""
    found = _WORD.findall(title.lower().replace("\u2019", "'"))
    spelled = (word.removesuffix("'s") for word in found)
    words = ("not" if word in _NEGATIONS or word.endswith("n't") else word for word in spelled)
    return frozenset(
        word if word in _CHANGES else _stem(word) for word in words if word not in _EMPTY
    )


_OPPOSED_STEMS = [
    (frozenset(map(_stem, one.split())), frozenset(map(_stem, other.split())))
    for one, other in _OPPOSED
]


def _opposed(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether a word of one headline only is the opposite of a word of the other."""
    return any(
        ((first - second) & side and second & opposite)
        or ((first - second) & opposite and second & side)
        for side, opposite in _OPPOSED_STEMS
        for first, second in ((one, other), (other, one))
    )
