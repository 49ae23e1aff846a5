"""The next post: nothing older is narrated as news after something newer of its thread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from stories import threads
from stories.models import Source, SourcePost, Story
from stories.posts import selection
from stories.posts.queue import rank
from tests.conftest import make_post
from tests.stories.test_threads import create_story

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

CUTS_4 = "Storm Petra cuts power to 4,000 homes around Lake Imbry"
CUTS_11 = "Storm Petra cuts power to 11,500 homes around Lake Imbry"
BACK = "Power is back for most homes as Storm Petra moves out to sea"
CLOSES = "Harbor bridge in Port Elowen closes for urgent repairs"
REOPENS = "Harbor bridge in Port Elowen reopens after repairs"
BEES = "Bees in Brenholm learn to pull a drawer open, and teach each other"
LOCK = "Brenholm bees that learned to open a drawer have begun to lock it"


@pytest.fixture
def waits(source: Source) -> Waits:
    return Waits(source)


class Waits:
    """Makes posts that wait, each with the time of its source in minutes after noon."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.number = 0

    def __call__(self, title: str, minutes: int | None = 0, priority: float = 0.5) -> SourcePost:
        self.number += 1
        post = make_post(self.source, f"w{self.number}", title)
        at = None if minutes is None else NOON + timedelta(minutes=minutes)
        post.published_at, post.rank = at, rank(priority, post.created_at)
        post.save()
        return post

    def told(self, title: str, minutes: int | None = 0) -> Story:
        post = self(title, minutes)
        SourcePost.objects.filter(pk=post.pk).update(state=SourcePost.State.PUBLISHED)
        return create_story(SourcePost.objects.get(pk=post.pk))


def chosen(source: Source) -> tuple[str, list[tuple[str, str]]]:
    """The headline of the next post, and what is skipped before it with the newer story."""
    choice = selection.choose(source.session)
    overtaken = [(row.post.title, row.story.title) for row in choice.overtaken]
    return choice.post.title if choice.post else "", overtaken


@pytest.mark.databases
@pytest.mark.parametrize(("older", "newer"), [(CUTS_4, CUTS_11), (CLOSES, REOPENS), (BEES, LOCK)])
def test_a_post_that_a_newer_story_overtook_is_skipped(
    waits: Waits, source: Source, older: str, newer: str
) -> None:
    waits.told(newer, 30)
    waits(older, 0, priority=0.9)
    waits("A choir sings to a harbour crane", 5)
    assert chosen(source) == ("A choir sings to a harbour crane", [(older, newer)])


@pytest.mark.parametrize(("older", "newer"), [(CUTS_4, CUTS_11), (CLOSES, REOPENS), (BEES, LOCK)])
def test_a_newer_post_follows_an_older_story(
    waits: Waits, source: Source, older: str, newer: str
) -> None:
    waits.told(older, 0)
    waits(newer, 30)
    assert chosen(source) == (newer, [])


def test_of_two_waiting_reports_with_other_figures_the_newer_one_is_narrated(
    waits: Waits, source: Source
) -> None:
    waits(CUTS_4, 0, priority=0.9)
    waits(CUTS_11, 30, priority=0.2)
    assert chosen(source) == (CUTS_11, [])


def test_of_three_waiting_reports_the_newest_is_narrated(waits: Waits, source: Source) -> None:
    waits(CUTS_4, 0, priority=0.9)
    waits(BACK, 90, priority=0.1)
    waits(CUTS_11, 30, priority=0.2)
    assert chosen(source) == (BACK, [])


def test_without_a_change_the_older_of_two_waiting_posts_comes_first(
    waits: Waits, source: Source
) -> None:
    waits(LOCK, 30, priority=0.9)
    waits(BEES, 0, priority=0.2)
    assert chosen(source) == (BEES, [])


def test_a_thread_counts_as_new_as_its_newest_story(waits: Waits, source: Source) -> None:
    first, second = waits.told(CUTS_11, 30), waits.told("Lights on again in Osselby", 90)
    threads.join(second, threads.Earlier(first, "follow-up"))
    second.save()
    waits("Storm Petra cuts power to 9,000 homes around Lake Imbry", 60)
    assert chosen(source) == (
        "",
        [("Storm Petra cuts power to 9,000 homes around Lake Imbry", "Lights on again in Osselby")],
    )


@pytest.mark.parametrize(
    ("title", "told"),
    [
        (
            "Analysis: What the Marrow Sound ferry says about an old fleet",
            "Marrow Sound ferry resumes after engine-room fire",
        ),
        (
            "Marrow Sound ferry resumes after engine-room fire",
            "Opinion: Why the Marrow Sound ferry was lucky",
        ),
    ],
)
def test_comment_neither_overtakes_nor_is_overtaken(
    waits: Waits, source: Source, title: str, told: str
) -> None:
    waits.told(told, 30)
    waits(title, 0)
    assert chosen(source) == (title, [])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("Osselby beat Tavish 3-0 in Veyland league", "Quillmere beat Imbry 2-1 in Veyland league"),
        ("Tram crash in Osselby injures four people", "Tram crash in Brenholm injures nine people"),
    ],
)
def test_events_of_other_places_do_not_overtake_each_other(
    waits: Waits, source: Source, older: str, newer: str
) -> None:
    waits.told(newer, 30)
    waits(older, 0)
    assert chosen(source) == (older, [])


@pytest.mark.parametrize("field", ["pinned", "chosen"])
def test_a_post_that_a_person_placed_airs_with_a_warning(
    waits: Waits, source: Source, field: str
) -> None:
    story = waits.told(REOPENS, 30)
    post = waits(CLOSES, 0)
    SourcePost.objects.filter(pk=post.pk).update(**{field: True})
    choice = selection.choose(source.session)
    assert (choice.post, choice.against, choice.overtaken) == (post, story, [])


def test_posts_without_a_time_that_were_read_at_once_have_no_order(
    waits: Waits, source: Source
) -> None:
    waits.told(REOPENS, None)
    waits(CLOSES, None)
    assert chosen(source) == (CLOSES, [])


def test_posts_without_a_time_have_the_order_in_which_they_were_read(
    waits: Waits, source: Source
) -> None:
    post = waits(CLOSES, None)
    waits.told(REOPENS, None)
    SourcePost.objects.filter(pk=post.pk).update(created_at=timezone.now() - timedelta(minutes=5))
    assert chosen(source) == ("", [(CLOSES, REOPENS)])


def test_a_story_that_was_pulled_overtakes_nothing(waits: Waits, source: Source) -> None:
    story = waits.told(REOPENS, 30)
    Story.objects.filter(pk=story.pk).update(state=Story.State.KILLED)
    waits(CLOSES, 0)
    assert chosen(source) == (CLOSES, [])
