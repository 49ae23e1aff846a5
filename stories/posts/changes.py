"""What changed between two reports: figures and statuses of the same thing, in words to be spoken."""

from __future__ import annotations

import math
import re
from calendar import day_name
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from stories.posts.comparison import (
    SAME_EVENT,
    SAYS_LITTLE,
    Comparison,
    brings_news,
    has_number,
)
from stories.posts.features import PREFIX, Features, Report, features, stem
from stories.posts.vocabulary import (
    CARDINALS,
    DENIALS_OF_FACTS,
    DISTANCING,
    EMPTY,
    NEGATIONS,
    NO_STATUS_BEFORE,
    SAME,
    STATUSES,
    TURN_WORDS,
    WEEKDAYS,
)
from stories.text.sentences import sentences, word_set

MOST = 3
_CARDINALS = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
"""
_SPELT = {word: float(value) for value, word in enumerate(_CARDINALS.split(), 1)}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_FIGURE = re.compile(
    rf"(?<![\w.,-])(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d{{1,15}}(?:\.\d{{1,9}})?"
    rf"|\b(?:{'|'.join(_SPELT)}))(?:\s+(?P<scale>{'|'.join(_SCALES)}))?"
    r"(?:\s*(?P<percent>%)|\s+(?P<noun>[^\W\d_]{3,}))(?!-)",
    re.IGNORECASE,
)
# Most reports name some span of time or a date; two of them seldom count the same.
_NOT_COUNTED = EMPTY | word_set("""
    second seconds minute minutes hour hours day days week weeks month months year years
    january february march april may june july august september october november december
""")

_TURNS = frozenset(map(stem, TURN_WORDS))
_DEALS = frozenset(map(stem, ("win", "buy")))
_AGAIN = frozenset(map(stem, ("return", "resume", "reopen", "restore")))
_NOUNS = frozenset(SAME.values())
# How much each observation counts, fitted by logistic regression to the pairs of tests/data/matching
# in which no headline has a turn.
_BASE = -4.0
_EVENT = 0.35
_FIGURES = 1.6
_HEADLINE = 1.7
_WORDS = 2.2
_NEW_NUMBERS = -0.7
_OLD_NUMBERS = -0.95
_NAMES = 0.5
_EVENTS = -1.5
# Less is enough where the reports are surely of one event.
_WEEK = [day.lower() for day in day_name]
_REPLACED = 3  # words
RETOLD, RETOLD_EVENT = 0.0, -1.05

_CLAUSE = re.compile(r"[,;:\u2013\u2014]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d[\d.,]*")
_LEADING = 2  # sentences of a text of which a status is taken where the headline has none
_NEAR = 3  # words


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and the word for what it counts, as the report has them."""

    value: float
    number: str
    noun: str
    in_title: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of the new report, and the figure that the earlier one had in its place."""

    now: Figure
    before: Figure

    @property
    def words(self) -> str:
        """The change in words, such as "11,500 homes, up from 4,000"."""
        direction = "up" if self.now.value > self.before.value else "down"
        return f"{_joined(self.now)}, {direction} from {self.before.number}"

    @property
    def now_words(self) -> str:
        """The new figure in words, such as "11,500 homes"."""
        return _joined(self.now)


@dataclass(frozen=True, slots=True)
class Status:
    """A word for how something is, such as "closed", and the sentence that gives it as a fact."""

    word: str
    kind: int
    side: int
    count: str  # of how many, if the sentence says so
    sentence: str


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A status of the new report, and the opposite one that the earlier report had."""

    now: Status
    before: Status

    @property
    def words(self) -> str:
        """The change in words, such as "“reopens” now, “closes” before"."""
        return f"“{self.now.word}” now, “{self.before.word}” before"


def _joined(figure: Figure) -> str:
    return f"{figure.number}{'' if figure.noun == '%' else ' '}{figure.noun}"


def compare(title: str, body: str, earlier_title: str, earlier_body: str) -> list[Change]:
    """Returns the figures of a report that replace those of an earlier report of the same subject.

    One of the two figures must be in a headline, and each report must have one figure only for what
    is counted: of several, nothing tells which belong together.
    """
    new, old = _figures(title, body), _figures(earlier_title, earlier_body)
    changes = []
    for noun, figures in new.items():
        before = _main(old.get(noun, []))
        known = {figure.value for figure in old.get(noun, [])}
        now = _main([figure for figure in figures if figure.value not in known])
        if now is None or before is None or not (now.in_title or before.in_title):
            continue
        changes.append(Change(now, before))
    return sorted(changes, key=lambda change: not change.now.in_title)[:MOST]


def _main(figures: list[Figure]) -> Figure | None:
    """Returns the one figure of a headline, or else the only one of the text."""
    chosen = [figure for figure in figures if figure.in_title] or figures
    return chosen[0] if len({figure.value for figure in chosen}) == 1 else None


def _figures(title: str, body: str) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = defaultdict(list)
    for at, sentence in enumerate([title, *sentences(body[:4000])]):
        for match in _FIGURE.finditer(sentence):
            noun = match["percent"] or match["noun"]
            if noun.lower() in _NOT_COUNTED:
                continue
            number, scale = match["number"].lower(), match["scale"] or ""
            value = _SPELT.get(number) or float(number.replace(",", ""))
            written = f"{number} {scale}".strip()
            figure = Figure(
                value * _SCALES.get(scale.lower(), 1.0), written, noun, at == 0, sentence
            )
            key = "%" if noun.lower() in ("%", "percent", "per") else stem(noun.lower())
            found[key].append(figure)
    return found


def status_changes(title: str, earlier_title: str, earlier_body: str) -> list[StatusChange]:
    """Returns the statuses in a headline that are the opposite of one in an earlier report.

    Both are facts about the same thing: not denied, planned, asked, or of the time before.
    """
    before: dict[int, Status] = {}
    sides: dict[int, set[int]] = defaultdict(set)
    for sentence in [earlier_title, *sentences(earlier_body[:4000])[:_LEADING]]:
        for status in _statuses(sentence):
            before.setdefault(status.kind, status)
            sides[status.kind].add(status.side)
    changes = []
    for now in _statuses(title):
        old = before.get(now.kind)
        # An earlier report that has both tells of the change itself.
        if old is None or now.side in sides[now.kind]:
            continue
        if now.count and old.count and now.count != old.count:
            continue
        one, other = features(Report(title)), features(Report(earlier_title, old.sentence))
        about = [each.words - _STATUS_STEMS for each in (one, other)]
        shared = about[0] & about[1]
        # Two things in one town have nothing but its name in common.
        if shared - (one.names | other.names) and len(shared) >= min(2, *map(len, about)):
            changes.append(StatusChange(now, old))
    return changes


_STATUS_OF: dict[str, list[tuple[int, int]]] = defaultdict(list)
for _kind, _sides in enumerate(STATUSES):
    for _side, _words in enumerate(_sides):
        for _word in _words:
            _STATUS_OF[_word].append((_kind, _side))
_STATUS_STEMS = frozenset(map(stem, _STATUS_OF))


def _statuses(sentence: str) -> Iterator[Status]:
    """Yields the last status of each kind that a sentence gives as a fact."""
    found: dict[int, Status] = {}
    another_thing = set()
    every = [word.replace("\u2019", "'").lower() for word in _WORD.findall(sentence)]
    denied = {kind for word in every if word in DENIALS_OF_FACTS for kind, _ in _STATUS_OF[word]}
    asked = sentence.rstrip().endswith("?")
    for clause in _CLAUSE.split("" if asked else sentence):
        words = [word.replace("\u2019", "'").lower() for word in _WORD.findall(clause)]
        for at, word in enumerate(words):
            near, following = words[max(0, at - _NEAR) : at], words[at + 1 : at + _NEAR]
            last = near[-1] if near else ""
            doubtful = (
                any(each in NEGATIONS or each.endswith("n't") for each in near)
                or not DISTANCING.isdisjoint(near)
                # "To reopen" and "to be closed" are still to come; "the end" is a noun.
                or (last in ("to", "the", "a", "an", "of") or near[-2:] == ["to", "be"])
                or bool(following and following[0] in NO_STATUS_BEFORE)
            )
            counts = [CARDINALS.get(each, each) for each in near]
            count = next((each for each in counts if each[0].isdigit()), "")
            for kind, side in _STATUS_OF.get(word, ()):
                # A missing boy's shoe, and the car of a missing boy, are not the boy.
                if word == "missing" and (
                    last == "of" or any(each.endswith("'s") for each in following)
                ):
                    another_thing.add(kind)
                    found.pop(kind, None)
                # "Find missing boy" says that he is found.
                known = kind in found and word == "missing" and last in _STATUS_OF
                if not (doubtful or known or kind in another_thing or denied - {kind}):
                    found[kind] = Status(word, kind, side, count, sentence)
    yield from found.values()


def retells(one: Features, other: Features, both: Comparison, same_event: float) -> bool:
    """Whether a report has the facts of the earlier one in other words, and its headline no turn.

    Of what a headline says that the earlier report lacks, a name, a figure and a word for what people
    do about an event are a turn. Other words are how this outlet writes.
    """
    sure = same_event >= SAME_EVENT and (one.text or other.text)
    least = RETOLD_EVENT if sure else RETOLD
    # Headlines alone, each with words of its own: "lands on Europa", "sends pictures from Europa".
    apart = [
        [word for word in first.title - second.title if word not in first.names]
        for first, second in ((one, other), (other, one))
    ]
    if not (one.text or other.text or both.figures) and len(apart[0]) > 1 and apart[1]:
        return False
    return not _turns(one, other, both) and retold_score(one, other, both, same_event) >= least


def translates(one: Features, other: Features, both: Comparison) -> bool:
    """Whether a report has the names and figures of an earlier one in another language."""
    new, old = (
        {n.value for n in report.numbers if not SAYS_LITTLE.fullmatch(n.value)}
        for report in (one, other)
    )
    shared = len(new & old)
    # Any two lists of steps or of body parts have 5, 6 and 7.
    telling = sum(len(value) > 1 for value in new & old)
    enough = shared >= 2 if both.names else telling >= 3
    # Two results of a vote, or three words of names beside one figure, say as much.
    enough = enough or sum(len(value) > 2 for value in new & old) > 1
    enough = enough or (shared > 0 and len(both.names) > 2)
    return (
        "" != one.language != other.language != ""
        and enough
        and shared >= 0.6 * max(len(new), min(len(old), 4))
    )


def _turns(one: Features, other: Features, both: Comparison) -> bool:
    own = {word for word in one.title - other.words if word[:PREFIX] not in other.prefixes}
    # The first word may have its capital for its place.
    names = own & one.names - _NOUNS - {stem(word) for word in one.headline.split()[:1]}
    figures = {n.value for n in one.numbers if n.in_title and not has_number(other, n)}
    new_figure = any(not SAYS_LITTLE.fullmatch(value) for value in figures)
    months = [report.days - WEEKDAYS for report in (one, other)]
    # "In the night to Friday" is "on Thursday night".
    days = [[_WEEK.index(day) for day in report.days & WEEKDAYS] for report in (one, other)]
    apart = [(first - second) % 7 for first in days[0] for second in days[1]]
    other_day = (all(months) and not months[0] & months[1]) or (
        bool(apart) and not {0, 1, 6} & {*apart}
    )
    # One side's victory is the other side's defeat, and "opens again" is "reopens".
    same_sides = both.figures and (one.title | other.title) & _DEALS
    again = {"again"} if other.words & _AGAIN else set[str]()
    placed = len(both.names) > 1 or both.names & (one.title | other.title)
    return bool(
        both.turn
        or both.other_numbers
        or (both.opposed and not same_sides)
        or one.marks - other.marks - again
        or names
        or own & _TURNS
        or other_day
        or (new_figure and len(both.figures) < 2)
        or not (placed or len(both.figures) > 1)
        or _substituted(one, other)
        or brings_news(one, other)
    )


def _substituted(one: Features, other: Features) -> bool:
    """Whether one headline is the other one with something else in one place, as in a series."""
    words, others = one.headline.split(), other.headline.split()
    shorter = min(len(words), len(others))
    begin = next((at for at in range(shorter) if words[at] != others[at]), shorter)
    most = shorter - begin
    end = next((at for at in range(most) if words[-1 - at] != others[-1 - at]), most)
    alike = begin + end
    few = max(len(words), len(others)) - alike <= _REPLACED
    return few and shorter > alike > 1 and 2 * alike >= shorter


def retold_score(one: Features, other: Features, both: Comparison, same_event: float) -> float:
    """Returns the log-odds that a report without a turn has the facts of the earlier one."""
    names = {min(one.name_of.get(name, name), other.name_of.get(name, name)) for name in both.names}
    new, old = (
        sum(not has_number(second, number) for number in first.numbers)
        for first, second in ((one, other), (other, one))
    )
    return math.fsum(
        (
            _BASE,
            _EVENT * same_event,
            _FIGURES * min(3, len(both.figures)),
            _HEADLINE * both.covered,
            _WORDS * both.contained,
            _NEW_NUMBERS * min(3, new),
            _OLD_NUMBERS * min(3, old),
            _NAMES * min(4, len(names)),
            _EVENTS * min(2, len(both.new_events)),
        )
    )
