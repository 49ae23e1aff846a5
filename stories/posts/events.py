"""Whether two posts report the same event, by headline, text, names, numbers, time and link.

    report = Report(title, text, url, published_at, source)
    judge(new, earlier)              -> Judgement(kind, score, reasons)
    Index(candidates).best(new)         -> Match(key, judgement) or None; candidates are (key, Report)
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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from stories.posts.changes import retells, status_changes, translates
from stories.posts.comparison import (
    ALIKE,
    MARKED,
    PRIOR,
    PRIOR_FREQUENT,
    SAME_EVENT,
    Comparison,
    Weigh,
    brings_news,
    brings_nothing,
    compare,
    headline_numbers,
    names_suspects,
    new_numbers,
    part_of,
    plain_weight,
    same_event_score,
    same_subject,
)
from stories.posts.features import (
    COMMON,
    DECISIVE_EVENTS,
    Features,
    Report,
    features,
    index_words,
)
from stories.posts.vocabulary import OPINION
from stories.text.addresses import canonical_url

__all__ = ["Index", "Judgement", "Match", "Report", "judge"]

Kind = Literal["duplicate", "same event", "development", "unrelated"]

# The same headline on a later day is another event, e.g. tomorrow's weather.
EVENT_WINDOW = timedelta(hours=72)
STORY_WINDOW = timedelta(days=10)
_DAY = timedelta(days=1)
# Chosen with the development half of tests/data/matching.
RELATED = 0.3
# The later, the more likely it is a later turn.
A_DAY_APART, AT_ONCE = 2.0, 0.4
LEAST_SCORE = 0.2
NOTHING_NEW = 0.66
SAME_HEADLINE = 0.9
SAME_FIGURE = 0.6
COPIED = 0.7
WHOLE_COPY = 0.9
OWN_HEADLINE = 0.4
_ANOTHER: tuple[Kind, str] = ("development", "One of the two is an opinion.")
_CANDIDATES = 12  # earlier reports that a new one is compared with
_MOST_NAMED = 4  # words of a reason
_FEW_WORDS = 3
_MANY_NAMES = 3
_DIGITS = 4


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


def judge(new: Report, earlier: Report, weigh: Weigh = plain_weight) -> Judgement:
    """Judges a new report against an earlier one. ``weigh`` says how much a shared word counts."""
    one, other = features(new), features(earlier)
    both = compare(one, other, weigh)
    score = round(min(1.0, 0.5 * both.cosine + 0.5 * both.coverage), 4)
    apart = timedelta(0)
    if new.published_at is not None and earlier.published_at is not None:
        apart = abs(new.published_at - earlier.published_at)
    same_page = (
        bool(one.link)
        and one.link == other.link
        and urlsplit(one.link).path not in {"", "/"}
        # Within a source the link does not tell items apart; their ids do, and they differ.
        and "" not in (new.source, earlier.source)
        and new.source != earlier.source
    )
    kind, why = _kind(one, other, both, score, apart, same_page)
    # Some sites put one text under all of their entries, which only the headlines tell apart.
    own = "" != new.source == earlier.source
    if kind == "duplicate" and own and both.copied >= COPIED and both.title < OWN_HEADLINE:
        kind, why = "unrelated", "The same text under another headline of the source."
    opinion = bool(OPINION.match(new.title)) != bool(OPINION.match(earlier.title))
    another = opinion and both.copied < COPIED  # else it is one text, which one site labels
    kind, why = _ANOTHER if another and kind == "duplicate" else (kind, why)
    unlike = opinion or new.title.rstrip().endswith("?")
    if both.copied < COPIED and both.title < SAME_HEADLINE:
        if (
            kind != "duplicate"
            and apart <= EVENT_WINDOW
            and score >= LEAST_SCORE
            and not both.turn.startswith(MARKED)
        ):
            same = same_event_score(one, other, both)
            same -= A_DAY_APART * max(0.0, apart / _DAY - AT_ONCE)
            nothing_new = not opinion and brings_nothing(one, other, both)
            texts = bool(one.text or other.text)
            if same >= SAME_EVENT and texts:
                kind, why = "same event", "The same event, with other facts."
            alike = both.title >= ALIKE and not (both.turn or both.other_numbers or both.opposed)
            if nothing_new and texts and (kind == "same event" or alike):
                kind, why = "duplicate", "The same event, and nothing new."
            elif not unlike and retells(one, other, both, same):
                kind, why = "duplicate", "The same event in other words."
        if kind != "duplicate" and not opinion and apart <= _DAY and translates(one, other, both):
            kind, why = "duplicate", "The same names and figures in another language."
        # Much agrees where hostages are taken and where they are freed.
        reversed_ = kind in ("duplicate", "same event") and (
            status_changes(new.title, earlier.title, "")
            or status_changes(earlier.title, new.title, "")
        )
        if reversed_:
            kind, why = "development", "One report reverses what the other says."
    if kind == "development" and not same_subject(both, weigh):
        kind, why = "unrelated", "Too few names and rare words agree."
    if kind == "unrelated" and apart <= EVENT_WINDOW and names_suspects(one, other, both):
        kind, why = "development", "One report tells of suspects of the crime."
    return Judgement(kind, score, (why, *_reasons(one, other, both, weigh)))


def _kind_of_copy(one: Features, other: Features, both: Comparison) -> tuple[Kind, str]:
    """Returns the kind of a report whose text is a copy of the earlier one's."""
    if not (one.title & other.words and other.title & one.words):
        return "unrelated", "The same text under a headline about something else."
    if one.names - other.words and other.names - one.words:
        return "unrelated", "The same form of words with other names."
    own, others = (one.title & one.text) - other.words, (other.title & other.text) - one.words
    if own and others:
        return "unrelated", "The same form of words about something else."
    if both.other_numbers or both.turn or _unmatched(one, other):
        return "development", both.turn or "The same text with other figures."
    return "duplicate", "The same text."


def _unmatched(one: Features, other: Features) -> bool:
    """Whether each report has a number that the other one lacks."""
    return new_numbers(one, other) and new_numbers(other, one)


def unrelated_because(one: Features, other: Features, both: Comparison, score: float) -> str:
    """Returns why two reports are about different things, or an empty string."""
    if score < RELATED:
        return "Too few names, numbers and words agree."
    if all(both.other_names):
        return "Each headline has a name that the other report does not mention."
    if not both.names and one.names and other.names:
        return "No name occurs in both."
    return ""


def change_between(one: Features, other: Features, both: Comparison) -> str:
    """Returns what has changed since the earlier report, or an empty string."""
    if both.turn or both.other_numbers:
        return both.turn or "The figures differ."
    if headline_numbers(one, other) and headline_numbers(other, one):
        return "The headlines have different figures."
    return ""


def _kind_of_same_headline(
    one: Features, other: Features, both: Comparison, apart: timedelta
) -> tuple[Kind, str]:
    """Returns the kind of a report whose headline has the words of the earlier one's."""
    if apart > EVENT_WINDOW:
        return "unrelated", "The same headline on another day."
    if not one.text or not other.text:
        return "duplicate", "The same headline."
    agree = part_of(one.text & other.words, one.text, plain_weight)
    places, others = one.names - one.title, other.names - other.title
    elsewhere = bool(places and others) and not places & others
    figures = _unmatched(one, other)
    # Lottery numbers, tide times: most of the figures are new.
    values = {number.value for number in one.numbers}
    other_values = figures and 2 * len(both.numbers) < len(values)
    differ = elsewhere or figures
    # "What to watch tonight" heads another text each day.
    standing = not (one.title_names or any(number.in_title for number in one.numbers))
    if agree < (0.6 if differ or standing else 0.25) or (figures and elsewhere) or other_values:
        return "unrelated", "The same headline over another text."
    return "duplicate", "The same headline, and texts that agree."


def _kind_of_headlines(one: Features, other: Features, both: Comparison) -> tuple[Kind, str]:
    """Returns the kind of two reports of which nothing but the headlines is known."""
    few = min(len(one.title), len(other.title)) <= _FEW_WORDS and not both.numbers
    if few and one.title != other.title:
        return "unrelated", "Too few words to compare."
    differ = one.title - other.title and other.title - one.title
    if both.title >= (SAME_HEADLINE if differ else 0.7) and not both.new_events:
        return "duplicate", "The headlines report the same."
    names = {one.name_of.get(name, name) for name in both.names & one.title & other.title}
    # "Kestrel Air" and "14 turboprops": a name of several words, or a high figure.
    rare = len(both.names & one.title & other.title) > 1
    rare = rare or any(len(figure) > _DIGITS for figure in both.figures)
    # "Magnitude 6.1" and the place
    exact = names and any("." in figure for figure in both.figures) and both.title >= RELATED
    new = both.new_events or both.new_name or new_numbers(one, other)
    if not new and (exact or (both.figures and rare and both.title >= SAME_FIGURE)):
        return "duplicate", "The headlines give the same figure."
    if len(names) > _MANY_NAMES and not new:
        return "duplicate", "The headlines name the same."
    if len(names) >= _MANY_NAMES and both.title >= RELATED and not both.new_events:
        return "same event", "The headlines name the same."
    return "development", "The same subject."


def adds_nothing(one: Features, other: Features, both: Comparison, later: bool) -> bool:
    """Whether the earlier report has nearly all that the new one has."""
    if (later or both.new_figure or both.clash) and both.contained < 0.9:
        return False
    if brings_news(one, other):
        return False
    if both.new_name and both.contained < 0.8:
        return False
    if not both.names and not both.numbers and both.contained < 0.85:
        return False
    if both.new_events & DECISIVE_EVENTS and both.contained < 0.9:
        return False
    # A headline alone is not judged by the words of a long text.
    fewest = min(len(one.title), len(other.title))
    if not (one.text and other.text) and (both.title < 0.5 or fewest <= _FEW_WORDS):
        return False
    figures = len(both.numbers) > 1 and not new_numbers(one, other)
    least = 0.8 if both.new_events and not figures else NOTHING_NEW
    return both.covered >= 0.5 and both.contained >= least


def _kind(
    one: Features,
    other: Features,
    both: Comparison,
    score: float,
    apart: timedelta,
    same_page: bool,
) -> tuple[Kind, str]:
    """Returns the kind of a comparison, and the rule that decided it."""
    # Texts from one template share much under headlines that share little.
    if both.copied >= (COPIED if both.title >= OWN_HEADLINE else WHOLE_COPY):
        return _kind_of_copy(one, other, both)
    foreign = (
        ""
        if same_page or both.title >= SAME_HEADLINE
        else unrelated_because(one, other, both, score)
    )
    if foreign or apart > STORY_WINDOW:
        return "unrelated", foreign or "Too long ago."
    changed = change_between(one, other, both)
    if changed:
        return "development", changed
    if same_page:
        return "duplicate", "The same page."
    if one.headline != other.headline and both.title < 1 and (both.new_events and both.new_figure):
        return "development", "The headline has a new figure."
    if both.title >= SAME_HEADLINE:
        return _kind_of_same_headline(one, other, both, apart)
    if not one.text and not other.text:
        return _kind_of_headlines(one, other, both)
    # A day that the earlier report does not have, beside or instead of its own.
    later = bool(one.days - other.days and other.days)
    if apart > EVENT_WINDOW or (later and max(both.contained, both.contains) < 0.8):
        return "development", "The same subject on another day."
    if adds_nothing(one, other, both, later):
        return "duplicate", "The same event, and nothing new."
    return "development", "The same subject."


def _reasons(new: Features, earlier: Features, both: Comparison, weigh: Weigh) -> tuple[str, ...]:
    """Returns what agrees and what differs, for an editor."""
    written = {**earlier.written, **new.written}

    def listed(words: Iterable[str]) -> str:
        best = sorted(words, key=lambda word: (-weigh(word), word))
        distinct = list(dict.fromkeys(written.get(word, word) for word in best))
        return ", ".join(distinct[:_MOST_NAMED])

    rows = (
        ("Names in both", both.names),
        ("Numbers in both", both.numbers),
        ("Words in both", both.words - both.names),
        ("Names only in the new headline", both.other_names[0]),
        ("Names only in the earlier headline", both.other_names[1]),
    )
    found = [f"{label}: {listed(words)}." for label, words in rows if words]
    found += [f"Figures differ: {new}, before {old}." for new, old in both.other_numbers[:2]]
    return tuple(found)


class Index:
    """Earlier reports, indexed by their words so that a new one is compared with few of them."""

    def __init__(self, candidates: Iterable[tuple[int, Report]] = ()) -> None:
        self._reports: list[tuple[int, Report]] = []
        self._postings: dict[str, list[int]] = defaultdict(list)
        self._by_link: dict[str, list[int]] = defaultdict(list)
        # Until the next report is added, words weigh the same and a report matches the same ones.
        self._weights: dict[str, float] = {}
        self._matches: dict[Report, list[Match]] = {}
        for key, report in candidates:
            self.add(key, report)

    def add(self, key: int, report: Report) -> None:
        self._weights.clear()
        self._matches.clear()
        position = len(self._reports)
        self._reports.append((key, report))
        for word in index_words(report):
            self._postings[word].append(position)
        if report.url:
            self._by_link[canonical_url(report.url)].append(position)

    def weigh(self, word: str) -> float:
        """The fewer reports have a word, the more it counts."""
        weight = self._weights.get(word)
        if weight is None:
            prior = PRIOR_FREQUENT if word in COMMON else 1
            seen = len(self._postings.get(word, ()))
            weight = math.log((PRIOR + len(self._reports)) / (prior + 0.5 * seen))
            self._weights[word] = weight
        return weight

    def _candidates(self, report: Report, new: Features) -> list[int]:
        weights: dict[int, float] = defaultdict(float)
        for word in sorted(index_words(report)):
            postings = self._postings.get(word, ())
            # A word that a tenth of all reports have tells nothing about which one is meant.
            if len(postings) <= max(50, len(self._reports) // 10):
                weight = self.weigh(word) * (2.0 if word in new.title else 1.0)
                for position in postings:
                    weights[position] += weight
        best = heapq.nlargest(_CANDIDATES, weights.items(), key=lambda item: (item[1], item[0]))
        return [position for position, weight in best if weight >= 2 * self.weigh("")]

    def matches(self, new: Report) -> list[Match]:
        """Returns the related reports, the closest kind first, then by score, then the newer one."""
        if new in self._matches:
            return self._matches[new]
        ranked = []
        found = features(new)
        same_page = self._by_link.get(found.link, [])[-_CANDIDATES:] if found.link else []
        positions = dict.fromkeys([*same_page, *self._candidates(new, found)])
        for position in positions:
            key, earlier = self._reports[position]
            judgement = judge(new, earlier, self.weigh)
            if judgement.kind != "unrelated":
                order = _ORDER.index(judgement.kind)
                ranked.append((order, -judgement.score, -position, Match(key, judgement)))
        self._matches[new] = [match for *_, match in sorted(ranked, key=lambda row: row[:3])]
        return self._matches[new]

    def best(self, new: Report) -> Match | None:
        """Returns the report that the new one belongs to, or None."""
        return next(iter(self.matches(new)), None)


_ORDER: Sequence[Kind] = ("duplicate", "same event", "development", "unrelated")
