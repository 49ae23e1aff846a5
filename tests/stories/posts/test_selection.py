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
from tests.stories.test_threads import BOOK, create_story

pytestmark = pytest.mark.django_db(transaction=True)

TEXTS = {post["title"]: post["body"] for post in BOOK["posts"]}
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

    def __call__(
        self, title: str, minutes: int | None = 0, priority: float = 0.5, body: str = ""
    ) -> SourcePost:
        self.number += 1
        post = make_post(self.source, f"w{self.number}", title, body or TEXTS.get(title, ""))
        at = None if minutes is None else NOON + timedelta(minutes=minutes)
        post.published_at, post.rank = at, rank(priority, post.created_at)
        # Whether reading it finds a duplicate is not the subject here.
        post.state, post.duplicate_of = SourcePost.State.QUEUED, None
        post.save()
        return post

    def told(self, title: str, minutes: int | None = 0, body: str = "") -> Story:
        post = self(title, minutes, body=body)
        SourcePost.objects.filter(pk=post.pk).update(state=SourcePost.State.PUBLISHED)
        return create_story(SourcePost.objects.get(pk=post.pk))


def chosen(source: Source) -> tuple[str, list[tuple[str, str]]]:
    """The headline of the next post, and what is skipped before it with the newer story."""
    choice = selection.choose(source.session)
    overtaken = [(row.post.title, row.story.title) for row in choice.skipped]
    return choice.post.title if choice.post else "", overtaken


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
    assert (choice.post, choice.against, choice.skipped) == (post, story, [])


def test_posts_without_a_time_that_were_read_at_once_have_no_order(
    waits: Waits, source: Source
) -> None:
    # The story's post comes half a minute later, as in a long document that is read slowly.
    post = waits(CLOSES, None)
    waits.told(REOPENS, None)
    SourcePost.objects.filter(pk=post.pk).update(created_at=timezone.now() - timedelta(seconds=30))
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


FIRE = (
    "Fire guts the Ashby spinning mill in Tavish Reach",
    "Fire has gutted the old Ashby spinning mill in Tavish Reach. Forty workers were led out. The roof "
    "fell in at four in the morning, fire chief Nell Rowntree said.",
)
FIRE_ELSEWHERE = (
    "Overnight fire guts Ashby mill in Tavish Reach",
    "The Ashby spinning mill in Tavish Reach was gutted by a fire in the night. Its owner, Piers "
    "Holloway, puts the damage at nine million crowns. Fire chief Nell Rowntree expects to be there "
    "until Friday.",
)
FIRE_BRIEFLY = (
    "Fire guts Ashby spinning mill in Tavish Reach overnight",
    "A fire has gutted the old Ashby spinning mill in Tavish Reach. The roof fell in at four.",
)


def test_waiting_reports_of_the_same_event_are_told_together(waits: Waits, source: Source) -> None:
    first = waits(FIRE[0], 0, priority=0.9, body=FIRE[1])
    other = waits(FIRE_ELSEWHERE[0], 20, priority=0.4, body=FIRE_ELSEWHERE[1])
    waits("A choir sings to a harbour crane", 5)
    choice = selection.choose(source.session)
    assert (choice.post, choice.reports, choice.background) == (first, [other], [])


def test_what_a_waiting_post_replaces_is_its_background(waits: Waits, source: Source) -> None:
    older = waits(CUTS_4, 0, priority=0.9)
    newer = waits(CUTS_11, 30, priority=0.2)
    choice = selection.choose(source.session)
    assert (choice.post, choice.reports, choice.background) == (newer, [], [older])


def test_a_later_report_without_anything_new_was_told_already(waits: Waits, source: Source) -> None:
    story = waits.told(FIRE[0], 0, FIRE[1])
    post = waits(FIRE_BRIEFLY[0], 30, body=FIRE_BRIEFLY[1])
    choice = selection.choose(source.session)
    assert choice.post is None
    assert [(row.post, row.story, row.role) for row in choice.skipped] == [
        (post, story, "repeated")
    ]


def test_a_later_report_with_other_facts_is_a_follow_up(waits: Waits, source: Source) -> None:
    waits.told(FIRE[0], 0, FIRE[1])
    post = waits(FIRE_ELSEWHERE[0], 30, body=FIRE_ELSEWHERE[1])
    assert selection.choose(source.session).post == post


def test_an_older_report_of_an_event_that_was_told_is_no_follow_up(
    waits: Waits, source: Source
) -> None:
    waits.told(FIRE[0], 30, FIRE[1])
    waits(FIRE_ELSEWHERE[0], 0, body=FIRE_ELSEWHERE[1])
    assert [row.role for row in selection.choose(source.session).skipped] == ["repeated"]


def test_a_post_that_a_person_placed_is_told_alone(waits: Waits, source: Source) -> None:
    waits(FIRE[0], 0, priority=0.9, body=FIRE[1])
    other = waits(FIRE_ELSEWHERE[0], 20, priority=0.4, body=FIRE_ELSEWHERE[1])
    SourcePost.objects.filter(pk=other.pk).update(chosen=True)
    assert selection.choose(source.session).reports == []
