from __future__ import annotations

import itertools
import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from sessions_app.errors import Invalid
from stories.sources.recording import ENDED, RecordingSource, recording
from stories.types import Fetched

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.fixture
def source() -> RecordingSource:
    return RecordingSource(now=lambda: NOW)


def played(source: RecordingSource) -> list[Fetched]:
    batches = [source.fetch("demo", "", {})]
    while not batches[-1].exhausted:
        batches.append(source.fetch("demo", "", batches[-1].cursor))
    return batches


def test_the_recording_says_that_it_is_invented() -> None:
    assert "Invented for SMNB" in recording()["notice"]
    assert {urlsplit(post["url"]).hostname for post in recording()["posts"]} == {"example.org"}


def test_the_recording_is_told_in_order_and_knows_its_repeats() -> None:
    posts = recording()["posts"]
    order = [post["id"] for post in posts]
    assert [post["at"] for post in posts] == sorted(post["at"] for post in posts)
    assert len(set(order)) == len(order) >= 80
    for later, earlier in {**recording()["duplicates"], **recording()["follow_ups"]}.items():
        assert order.index(earlier) < order.index(later)


@pytest.mark.parametrize("locator", ["", "demo", " Demo "])
def test_there_is_one_recording(source: RecordingSource, locator: str) -> None:
    assert source.clean_locator(locator) == "demo"


def test_any_other_recording_is_refused_with_a_sentence(source: RecordingSource) -> None:
    with pytest.raises(Invalid, match="only one recording"):
        source.clean_locator("r/science")


def test_the_first_poll_brings_six_posts_and_later_ones_two(source: RecordingSource) -> None:
    sizes = [len(batch.posts) for batch in played(source)]
    assert sizes[0] == 6
    assert set(sizes[1:-1]) == {2}
    assert sum(sizes) == len(recording()["posts"])


def test_the_end_is_announced_and_nothing_comes_after_it(source: RecordingSource) -> None:
    *earlier, last = played(source)
    assert last.notice == ENDED
    assert not any(batch.exhausted or batch.notice for batch in earlier)
    after = source.fetch("demo", "", last.cursor)
    assert (after.posts, after.exhausted, after.notice) == ([], True, ENDED)


def test_the_same_cursor_brings_the_same_posts(source: RecordingSource) -> None:
    assert source.fetch("demo", "new", {"next": 10}) == source.fetch("demo", "hot", {"next": 10})


@pytest.mark.parametrize("cursor", [{"next": -3}, {"next": "x"}, {"next": None}, {}, {"next": 0}])
def test_a_cursor_that_makes_no_sense_starts_over(
    source: RecordingSource, cursor: dict[str, Any]
) -> None:
    assert source.fetch("demo", "", cursor).posts[0].external_id == "rec-001"


def test_posts_are_as_far_apart_as_recorded_and_never_in_the_future(
    source: RecordingSource,
) -> None:
    first = source.fetch("demo", "", {}).posts
    times = [post.published_at for post in first if post.published_at]
    recorded = recording()["posts"]
    assert times[-1] == NOW - timedelta(minutes=1)
    assert times[-1] - times[0] == timedelta(minutes=recorded[5]["at"] - recorded[0]["at"])


def test_no_post_is_older_than_one_of_an_earlier_batch(source: RecordingSource) -> None:
    posts = [post for batch in played(source) for post in batch.posts]
    times = [post.published_at for post in posts if post.published_at]
    # All batches are read at the same moment here, and their posts still rise in time.
    assert all(before < after for before, after in itertools.pairwise(times))
    assert max(times) < NOW


def test_a_cursor_survives_being_stored_as_json(source: RecordingSource) -> None:
    cursor = source.fetch("demo", "", {}).cursor
    assert json.loads(json.dumps(cursor)) == cursor


def test_what_is_played_is_plain_text(source: RecordingSource) -> None:
    posts = [post for batch in played(source) for post in batch.posts]
    for text in (text for post in posts for text in (post.title, post.body, post.author)):
        assert not {unicodedata.category(char) for char in text} & {"Cf", "Cs"}
        assert "&amp;" not in text
    assert any("<script>" in post.title for post in posts)
    assert any(post.body == "" for post in posts)
    assert max(len(post.body) for post in posts) > 3000


def test_every_post_names_the_outlet_that_published_it(source: RecordingSource) -> None:
    outlets = {post["outlet"] for post in recording()["posts"]}
    assert "" not in outlets
    assert {"Elowen Courier", "Harbour Watch", "Counting House"} <= outlets
    first = source.fetch("demo", "", {}).posts[0]
    assert (first.external_id, first.outlet) == ("rec-001", "Elowen Courier")


def test_a_recording_that_loops_begins_again_with_other_ids_and_fresh_times() -> None:
    now = NOW
    source = RecordingSource(now=lambda: now)
    batch = source.fetch("demo", "", {"loop": True})
    rounds = [[*batch.posts]]
    for _ in range(90):
        now += timedelta(seconds=30)
        batch = source.fetch("demo", "", batch.cursor)
        assert (batch.exhausted, batch.notice) == (False, "")
        if batch.since == now:
            rounds.append([])
        rounds[-1] += batch.posts
    first, second, *_ = rounds
    assert [post.external_id for post in first] == [post["id"] for post in recording()["posts"]]
    assert [post.external_id for post in second[:2]] == ["rec-001.1", "rec-002.1"]
    assert [post.title for post in second] == [post.title for post in first[: len(second)]]
    assert {post.url for post in first}.isdisjoint(post.url for post in second)
    assert first[-1].published_at is not None
    assert second[0].published_at is not None
    assert first[-1].published_at < second[0].published_at <= now


def test_a_recording_at_its_end_begins_again_once_it_loops(source: RecordingSource) -> None:
    end = played(source)[-1].cursor
    again = source.fetch("demo", "", {**end, "loop": True})
    assert (len(again.posts), again.since, again.posts[0].external_id) == (6, NOW, "rec-001.1")
