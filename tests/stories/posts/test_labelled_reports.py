"""Duplicates and events against labels set by hand: tests/data/matching/README.md."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from stories.posts.events import Index, Report, judge
from stories.sources.recording import recording

DATA = Path(__file__).resolve().parents[2] / "data" / "matching"
RECORDED = {post["id"]: Report(post["title"], post["body"]) for post in recording()["posts"]}
PAIRS = json.loads((DATA / "pairs.json").read_text("utf-8"))["pairs"]
EVENTS = json.loads((DATA / "events.json").read_text("utf-8"))["events"]


def report(post: str | list[str]) -> Report:
    return RECORDED[post] if isinstance(post, str) else Report(post[0], post[1])


def counts(half: str | None = None) -> Counter[str]:
    """How many pairs there are, and how many are false duplicates or missed ones."""
    result: Counter[str] = Counter()
    for of_half, kind, new, earlier in PAIRS:
        if half in (None, of_half):
            judged = judge(report(new), report(earlier)).kind
            result["duplicates" if kind == "duplicate" else "others"] += 1
            result["missed"] += kind == "duplicate" != judged
            result["false"] += judged == "duplicate" != kind
    return result


def test_at_most_1_percent_false_and_2_percent_missed_duplicates_over_all_pairs() -> None:
    found = counts()
    assert found["duplicates"] + found["others"] >= 300
    assert found["false"] <= 0.01 * found["others"]
    assert found["missed"] <= 0.02 * found["duplicates"]


def test_false_and_missed_duplicates_among_the_pairs_held_out() -> None:
    found = counts("held out")
    assert found["duplicates"] == 14
    assert found["others"] == 19
    assert found["false"] == 0
    assert found["missed"] == 0


def clusters(half: str) -> tuple[list[int], list[int], int]:
    """The event of each report by label, its cluster, and the number of wrong merges.

    The reports arrive as from several outlets: first one report of each event, then the next ones.
    """
    events = [reports for of_half, reports in EVENTS if of_half == half]
    longest = max(map(len, events))
    rows = [
        (number, report(reports[at]))
        for at in range(longest)
        for number, reports in enumerate(events)
        if at < len(reports)
    ]
    index, found, wrong = Index(), list[int](), 0
    for position, (event, post) in enumerate(rows):
        merged = [
            match.key
            for match in index.matches(post)
            if match.judgement.kind in ("duplicate", "same event")
        ]
        found.append(found[merged[0]] if merged else position)
        wrong += bool(merged) and rows[merged[0]][0] != event
        index.add(position, post)
    return [event for event, _ in rows], found, wrong


def b_cubed(labels: list[int], found: list[int]) -> float:
    """The harmonic mean of B-cubed precision and recall, each the mean over all reports."""
    precision = recall = 0.0
    for label, cluster in zip(labels, found, strict=True):
        together = sum(
            one == label and other == cluster for one, other in zip(labels, found, strict=True)
        )
        precision += together / found.count(cluster) / len(labels)
        recall += together / labels.count(label) / len(labels)
    return 2 * precision * recall / (precision + recall)


def test_b_cubed_of_a_known_example() -> None:
    assert b_cubed([1, 1, 2], [5, 5, 5]) == pytest.approx(0.714, abs=0.001)
    assert b_cubed([1, 1, 2], [5, 5, 6]) == 1


@pytest.mark.parametrize("half", ["development", "held out"])
def test_reports_are_put_together_by_event(half: str) -> None:
    labels, found, wrong = clusters(half)
    assert b_cubed(labels, found) >= 0.95
    assert wrong <= 0.01 * len(labels)


def test_there_are_at_least_150_labelled_events() -> None:
    assert len(EVENTS) >= 150
    assert {half for half, _ in EVENTS} == {"development", "held out"}
    assert max(len(reports) for _, reports in EVENTS) == 5


def test_the_follow_ups_of_the_recording_are_found_and_no_others() -> None:
    """A follow-up may be found by any earlier report of its story."""
    earlier_of = recording()["duplicates"] | recording()["follow_ups"]

    def first(name: str) -> str:
        return first(earlier_of[name]) if name in earlier_of else name

    index, names, found, wrong = Index(), list(RECORDED), set[str](), []
    for number, name in enumerate(names):
        if name in recording()["duplicates"]:
            continue
        match = index.best(RECORDED[name])
        if match:
            same_story = first(names[match.key]) == first(name)
            found.update({name} if same_story else set())
            wrong += [] if same_story else [name]
        index.add(number, RECORDED[name])
    assert wrong == []
    assert len(found) >= 15
