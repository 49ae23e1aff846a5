"""Whether two posts report the same event, by headline, text, names, numbers, time and link.

    report = Report(title, text, url, published_at, source)
    judge(new, earlier)              -> Judgement(kind, score, reasons)
    best_match(new, candidates)      -> Match(key, judgement) or None; candidates are (key, Report)
    Index(candidates)                   the same for many new reports: .add(key, report),
                                        .best(new), .matches(new)

A judgement has one of four kinds, from the view of the new report:

    duplicate    reports the same and adds nothing: skip it
    same event   another report of the same event, possibly with other facts: merge it
    development  a later turn of the same story (other figures, the opposite happened): a follow-up
    unrelated    about something else

The reasons are short sentences for an editor: which names, numbers and words agree or differ. No
model is needed, the result depends on the arguments alone, and the time is linear in the text.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from stories.posts.features import PREFIX, Features, Number, Report, features
from stories.posts.vocabulary import CHANGES, FREQUENT, OPPOSED

__all__ = ["Index", "Judgement", "Match", "Report", "best_match", "judge"]

Kind = Literal["duplicate", "same event", "development", "unrelated"]
Weigh = Callable[[str], float]

# A later report of the same headline is another event, e.g. tomorrow's weather.
EVENT_WINDOW = timedelta(hours=72)
RELATED = 0.24
SAME_EVENT = 0.36
_CANDIDATES = 24
_MOST_NAMED = 4
_PRIOR = 400  # reports of an imagined session, so that few real ones do not decide what is rare
_PRIOR_FREQUENT = 24


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a new report relates to an earlier one, how much they share (0..1), and why."""

    kind: Kind
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The earlier report that a new one belongs to, by the key that it was given with."""

    key: int
    judgement: Judgement


def _plain_weight(word: str) -> float:
    return math.log(_PRIOR / (_PRIOR_FREQUENT if word in FREQUENT else 1))


def _sum(words: Iterable[str], weigh: Weigh) -> float:
    return math.fsum(sorted(weigh(word) for word in words))


@dataclass(slots=True)
class _Comparison:
    """What two reports share and where they differ."""

    title: float = 0.0  # shared weight of the headlines, 0..1
    coverage: float = 0.0  # of each headline in the whole other report, 0..1
    cosine: float = 0.0
    copied: float = 0.0  # part of the shorter text that occurs in the other word by word
    contained: float = 0.0  # part of the new report's words that the earlier one has
    names: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    other_names: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    other_numbers: list[tuple[str, str]] = field(default_factory=list)
    new_numbers: frozenset[str] = frozenset()
    new_names: frozenset[str] = frozenset()
    turn: str = ""


def _absent_names(one: Features, other: Features) -> frozenset[str]:
    """Returns the names of a headline that the other report does not mention in any form."""
    return frozenset(
        name
        for name in one.title_names - other.words
        if len(name) < PREFIX or name[:PREFIX] not in other.prefixes
    )


def _equal(one: Number, other: Number) -> bool:
    if one.value == other.value:
        return True
    try:
        first, second = float(one.value), float(other.value)
    except ValueError:
        return False
    # "Nearly 12,000" and "11,850" are one figure.
    tolerance = 0.05 if one.about or other.about else 0.0
    return abs(first - second) <= tolerance * max(first, second) and min(first, second) >= 20


def _differing_numbers(one: Features, other: Features) -> list[tuple[str, str]]:
    """Returns pairs of numbers that count the same, of which each occurs in one report only."""
    mine = [n for n in one.numbers if not any(_equal(n, m) for m in other.numbers)]
    theirs = [n for n in other.numbers if not any(_equal(n, m) for m in one.numbers)]
    pairs = [
        (n.value, m.value)
        for n in mine
        for m in theirs
        if (n.in_title and m.in_title) or ((n.in_title or m.in_title) and n.units & m.units)
    ]
    # One headline has a figure that the other report lacks, where that one counts something else.
    for n in mine:
        counted = [m for m in other.numbers if n.units & m.units]
        if n.in_title and counted and not pairs:
            pairs.append((n.value, counted[0].value))
    for m in theirs:
        counted = [n for n in one.numbers if n.units & m.units]
        if m.in_title and counted and not pairs:
            pairs.append((counted[0].value, m.value))
    return pairs


def _turn(new: Features, earlier: Features) -> str:
    """Returns what the new headline says that turns the earlier one, in words, or an empty string."""
    changed = (new.title ^ earlier.title) & CHANGES
    if changed:
        return f"Only one of them says “{min(changed)}”."
    if new.negated != earlier.negated:
        return "Only one of the headlines is negated."
    first, second = new.title - earlier.title, earlier.title - new.title
    for side, opposite in OPPOSED:
        for left, right in ((side, opposite), (opposite, side)):
            one, other = first & left, earlier.title & right
            if not one:
                one, other = new.title & left, second & right
            if one and other and not (new.title & right and earlier.title & left):
                return f"“{min(one)}” now, “{min(other)}” before."
    if (
        new.events
        and earlier.events
        and not new.events & earlier.words
        and not earlier.events & new.words
    ):
        return f"“{min(new.events)}” now, “{min(earlier.events)}” before."
    return ""


def _cosine(one: Features, other: Features, weigh: Weigh) -> float:
    def bag(report: Features) -> dict[str, float]:
        return {
            word: weigh(word)
            * (2.0 if word in report.title else 1.0)
            * (1.4 if word in report.names or word in other.names or word in one.names else 1.0)
            for word in report.words
        }

    mine, theirs = bag(one), bag(other)
    dot = math.fsum(sorted(mine[word] * theirs[word] for word in mine.keys() & theirs.keys()))
    norm = math.fsum(sorted(v * v for v in mine.values())) * math.fsum(
        sorted(v * v for v in theirs.values())
    )
    return dot / math.sqrt(norm) if norm else 0.0


def _compare(new: Features, earlier: Features, weigh: Weigh) -> _Comparison:
    shared_title = new.title & earlier.title
    mine, theirs = _sum(new.title, weigh), _sum(earlier.title, weigh)
    covered = [
        _sum(one.title & other.words, weigh) / total if total else 0.0
        for one, other, total in ((new, earlier, mine), (earlier, new, theirs))
    ]
    shorter = min(len(new.shingles), len(earlier.shingles))
    shared = new.words & earlier.words
    every = _sum(new.words, weigh)
    values = {number.value for number in earlier.numbers}
    return _Comparison(
        title=2 * _sum(shared_title, weigh) / (mine + theirs) if mine + theirs else 0.0,
        coverage=sum(covered) / 2,
        cosine=_cosine(new, earlier, weigh),
        copied=len(new.shingles & earlier.shingles) / shorter if shorter else 0.0,
        contained=_sum(shared, weigh) / every if every else 0.0,
        names=shared & (new.names | earlier.names),
        numbers=frozenset(n.value for n in new.numbers) & values,
        words=shared,
        other_names=(_absent_names(new, earlier), _absent_names(earlier, new)),
        other_numbers=_differing_numbers(new, earlier),
        new_numbers=frozenset(
            n.value for n in new.numbers if not any(_equal(n, m) for m in earlier.numbers)
        ),
        new_names=new.names - earlier.words,
        turn=_turn(new, earlier),
    )


def judge(new: Report, earlier: Report, weigh: Weigh = _plain_weight) -> Judgement:
    """Judges a new report against an earlier one. ``weigh`` says how much a shared word counts."""
    one, other = features(new), features(earlier)
    both = _compare(one, other, weigh)
    score = round(min(1.0, 0.5 * both.cosine + 0.5 * both.coverage), 4)
    kind, why = _kind(one, other, both, score, _apart(new, earlier))
    return Judgement(kind, score, (why, *_reasons(both, weigh)))


def _apart(new: Report, earlier: Report) -> timedelta:
    if new.published_at is None or earlier.published_at is None:
        return timedelta(0)
    return abs(new.published_at - earlier.published_at)


def _kind_of_copy(both: _Comparison) -> tuple[Kind, str]:
    """Returns the kind of a report whose text is a copy of the earlier one's."""
    if both.new_names:
        return "unrelated", "The same form of words about something else."
    if both.other_numbers or both.new_numbers or both.turn:
        return "development", "The same text with other figures."
    return "duplicate", "The same text."


def _kind_of_same_headline(
    one: Features, other: Features, both: _Comparison, apart: timedelta
) -> tuple[Kind, str]:
    """Returns the kind of a report whose headline is the earlier one's."""
    if apart > EVENT_WINDOW:
        return "unrelated", "The same headline on another day."
    if not one.text or not other.text:
        return "duplicate", "The same headline."
    overlap = len(one.text & other.words) / max(1, min(len(one.text), len(other.text)))
    if overlap >= 0.25 and not both.other_numbers:
        return "duplicate", "The same headline, and texts that agree."
    return "unrelated", "The same headline over another text."


def _kind(
    one: Features, other: Features, both: _Comparison, score: float, apart: timedelta
) -> tuple[Kind, str]:
    """Returns the kind of a comparison, and the rule that decided it."""
    if both.copied >= 0.7 and min(len(one.shingles), len(other.shingles)) >= 8:
        return _kind_of_copy(both)
    if one.headline and one.headline == other.headline:
        return _kind_of_same_headline(one, other, both, apart)
    if score < RELATED or apart > 3 * EVENT_WINDOW:
        return "unrelated", "Too few names, numbers and words agree."
    if all(both.other_names) and both.title < 0.75:
        return "unrelated", "Each headline is about a name that the other report does not mention."
    if both.turn or both.other_numbers:
        return "development", both.turn or "The figures differ."
    if score < SAME_EVENT or not (both.names or both.numbers or both.title >= 0.6):
        return "development" if both.names else "unrelated", "Few names, numbers and words agree."
    new_facts = len(both.new_numbers) + len(both.new_names)
    if both.title >= 0.65 or (both.contained >= 0.5 and new_facts <= 1):
        return "duplicate", "The same event, and nothing new."
    return "same event", "The same event, with other facts."


def _listed(words: Iterable[str], weigh: Weigh) -> str:
    best = sorted(words, key=lambda word: (-weigh(word), word))[:_MOST_NAMED]
    return ", ".join(best)


def _reasons(both: _Comparison, weigh: Weigh) -> tuple[str, ...]:
    """Returns what agrees and what differs, for an editor."""
    rows = (
        ("Names in both", both.names),
        ("Numbers in both", both.numbers),
        ("Words in both", both.words - both.names),
        ("Names only in the new headline", both.other_names[0]),
        ("Names only in the earlier headline", both.other_names[1]),
    )
    found = [f"{label}: {_listed(words, weigh)}." for label, words in rows if words]
    found += [f"Figures differ: {new}, before {old}." for new, old in both.other_numbers[:2]]
    return tuple(found)


class Index:
    """Earlier reports, indexed by their words so that a new one is compared with few of them."""

    def __init__(self, candidates: Iterable[tuple[int, Report]] = ()) -> None:
        self._reports: list[tuple[int, Report]] = []
        self._postings: dict[str, list[int]] = defaultdict(list)
        self._by_link: dict[str, list[int]] = defaultdict(list)
        for key, report in candidates:
            self.add(key, report)

    def add(self, key: int, report: Report) -> None:
        position = len(self._reports)
        self._reports.append((key, report))
        found = features(report)
        for word in found.words:
            self._postings[word].append(position)
        if found.link:
            self._by_link[found.link].append(position)

    def weigh(self, word: str) -> float:
        """The fewer reports have a word, the more it counts."""
        prior = _PRIOR_FREQUENT if word in FREQUENT else 1
        seen = len(self._postings.get(word, ()))
        return math.log((_PRIOR + len(self._reports)) / (prior + 0.5 * seen))

    def _candidates(self, new: Features) -> list[int]:
        weights: dict[int, float] = defaultdict(float)
        for word in sorted(new.words):
            postings = self._postings.get(word, ())
            # A word that a tenth of all reports have tells nothing about which one is meant.
            if len(postings) <= max(50, len(self._reports) // 10):
                weight = self.weigh(word) * (2.0 if word in new.title else 1.0)
                for position in postings:
                    weights[position] += weight
        best = heapq.nlargest(_CANDIDATES, weights.items(), key=lambda item: (item[1], item[0]))
        return [position for position, _ in best]

    def matches(self, new: Report) -> list[Match]:
        """Returns the related reports, the closest kind first, then by score, then the newer one."""
        ranked = []
        found = features(new)
        positions = dict.fromkeys([*self._by_link.get(found.link, ()), *self._candidates(found)])
        for position in positions:
            key, earlier = self._reports[position]
            judgement = judge(new, earlier, self.weigh)
            if judgement.kind != "unrelated":
                order = _ORDER.index(judgement.kind)
                ranked.append((order, -judgement.score, -position, Match(key, judgement)))
        return [match for *_, match in sorted(ranked, key=lambda row: row[:3])]

    def best(self, new: Report) -> Match | None:
        """Returns the report that the new one belongs to, or None."""
        return next(iter(self.matches(new)), None)


_ORDER: Sequence[Kind] = ("duplicate", "same event", "development", "unrelated")


def best_match(new: Report, candidates: Iterable[tuple[int, Report]]) -> Match | None:
    """Returns the candidate that the new report belongs to, or None."""
    return Index(candidates).best(new)
