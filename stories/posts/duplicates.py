"""Tell a headline told twice from a story that moved on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz import fuzz, process, utils

from stories.text import word_set

THRESHOLD = 66.0
SHARED_WORDS = 0.65
_CANDIDATES = 20
# Fewer words that matter than this prove nothing unless they are all the same.
_FEW_WORDS = 3

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
# Words on two sides of one development: a headline with one of them and one with its opposite are
# two stories.
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
_TURNS = word_set("not correction corrected update updated false fake hoax")
_ENDINGS = ("ing", "ed", "es", "s")


def nearest(title: str, known: Sequence[tuple[int, str]]) -> tuple[int, float] | None:
    """The id of the known headline that tells the same, with its likeness (66..100), or None."""
    prepared = utils.default_process(title)
    if not prepared:
        return None
    choices = [utils.default_process(other) for _, other in known]
    ranked = process.extract(
        prepared, choices, scorer=fuzz.token_set_ratio, score_cutoff=THRESHOLD, limit=_CANDIDATES
    )
    for _, likeness, index in ranked:
        if same_news(title, known[index][1]):
            return known[index][0], likeness
    return None


def same_news(one: str, other: str) -> bool:
    """Whether headlines that look alike tell alike: equal numbers, shared words, no turn."""
    if utils.default_process(one) == utils.default_process(other):
        return True
    if _numbers(one) != _numbers(other):
        return False
    ours, theirs = telling_words(one), telling_words(other)
    if (ours ^ theirs) & _TURNS or _opposed(ours, theirs) or _elsewhere(one, other):
        return False
    if min(len(ours), len(theirs)) < _FEW_WORDS:
        return ours == theirs
    return _shared(ours, theirs) >= SHARED_WORDS


def moved_on(title: str, earlier: str) -> bool:
    """Whether the news took a turn: other figures, or a word whose opposite stood there before."""
    ours, theirs = telling_words(title), telling_words(earlier)
    return _numbers(title) != _numbers(earlier) or _opposed(ours, theirs)


def _numbers(title: str) -> frozenset[str]:
    spelt = (_SPELT.get(word) for word in title.lower().replace("-", " ").split())
    digits = (number.replace(",", "") for number in _NUMBER.findall(title))
    return frozenset(digits) | frozenset(number for number in spelt if number)


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    """A crude stem, enough to let "closes" meet "closed"."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            stem = word[: -len(ending)]
            return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem.rstrip("e")
    return word.rstrip("e")


def _words(title: str) -> list[str]:
    """The words as they stand, without numbers and possessives."""
    return [word.replace("\u2019", "'").removesuffix("'s") for word in _WORD.findall(title)]


def telling_words(title: str) -> frozenset[str]:
    """The words of a headline that matter, as stems; a negation is one of them."""
    told = (
        "not" if word in _NEGATIONS or word.endswith("n't") else word
        for word in _words(title.lower())
    )
    return frozenset(word if word in _TURNS else _stem(word) for word in told if word not in _EMPTY)


_OPPOSED_STEMS = [
    (frozenset(map(_stem, one.split())), frozenset(map(_stem, other.split())))
    for one, other in _OPPOSED
]


def _opposed(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether one headline says something new whose opposite stands in the other."""
    return any(
        ((mine - yours) & one and yours & other) or ((mine - yours) & other and yours & one)
        for one, other in _OPPOSED_STEMS
        for mine, yours in ((ours, theirs), (theirs, ours))
    )


def _elsewhere(one: str, other: str) -> bool:
    """Whether each headline names somebody or some place that the other does not know."""
    ours, theirs = _names(one), _names(other)
    return bool(ours.difference(_words(other.lower())) and theirs.difference(_words(one.lower())))


def _names(title: str) -> frozenset[str]:
    """Capitalised words but the first; none where the headline capitalises most words anyway."""
    words = _words(title)[1:]
    names = [word.lower() for word in words if word[0].isupper()]
    return frozenset(names) if len(names) <= 0.6 * len(words) else frozenset()


def _shared(ours: frozenset[str], theirs: frozenset[str]) -> float:
    """Shared content words against the mean of both headlines' (Dice), 0..1."""
    return 2 * len(ours & theirs) / max(len(ours) + len(theirs), 1)
