"""Threads: follow-ups are found, joined to earlier stories, and their relation is named."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from sessions_app.models import Session
from stories import threads
from stories.models import Source, SourcePost, Story, StoryThread
from stories.posts.events import Report
from stories.sources import recording
from tests.conftest import MakeSession, make_post

pytestmark = pytest.mark.django_db(transaction=True)

BOOK = json.loads(Path(recording.__file__).with_name("recording.json").read_text())
TEXTS = {post["id"]: post["body"] for post in BOOK["posts"]}
TITLES = {post["id"]: post["title"] for post in BOOK["posts"]}


def create_story(post: SourcePost) -> Story:
    return Story.objects.create(
        session=post.session,
        post=post,
        origin="extractive",
        title=post.title,
        narrative=f"{post.title}. More follows.",
        tone="developing",
        priority="medium",
        word_count=5,
        duration=2,
        completed_at=timezone.now(),
        state=Story.State.AIRED,
    )


def stories_of(source: Source, *headlines: str) -> list[Story]:
    return [create_story(make_post(source, f"k{at}", line)) for at, line in enumerate(headlines)]


FERRY = "Marrow Sound ferry suspended after engine-room fire"
RESUMES = "Marrow Sound ferry resumes after engine-room fire"


def test_most_follow_ups_of_the_recording_are_found_and_nothing_else(source: Source) -> None:
    duplicates = BOOK["duplicates"]
    hits, wrong = 0, []
    for key, title in TITLES.items():
        if key in duplicates:
            continue
        earlier = threads.Recent(source.session).find(Report(title, TEXTS[key]))
        related = BOOK["follow_ups"].get(key)
        if earlier is not None:
            hits += related is not None
            wrong += [] if related else [title]
        create_story(make_post(source, key, title, TEXTS[key]))
    assert wrong == []
    assert hits >= 15


def test_a_first_follow_up_opens_the_thread_with_the_earlier_story_in_it(source: Source) -> None:
    first, second = stories_of(source, FERRY, RESUMES)
    earlier = threads.Recent(source.session).find(Report(RESUMES))
    assert earlier is not None
    second.refresh_from_db()
    opened = threads.join(second, threads.Earlier(first, earlier.relation))
    second.save()
    assert opened is not None
    assert opened.pk == first.pk
    thread = StoryThread.objects.get()
    assert thread.story_count == 2
    assert list(thread.stories.order_by("id")) == [first, second]


def test_a_further_follow_up_joins_the_thread_that_is_there(source: Source) -> None:
    first, second = stories_of(source, FERRY, RESUMES)
    threads.join(second, threads.Earlier(first, "new-development"))
    second.save()
    third = create_story(
        make_post(source, "late", "Marrow Sound ferry back on time after engine fire")
    )
    earlier = threads.Recent(source.session).find(
        Report("Marrow Sound ferry on time again after fire")
    )
    assert earlier is not None
    assert threads.join(third, threads.Earlier(second, earlier.relation)) is None
    assert StoryThread.objects.get().story_count == 3


@pytest.mark.parametrize(
    ("headline", "earlier", "relation"),
    [
        (RESUMES, FERRY, "new-development"),
        (
            "Five hurt in landslide at the quarry",
            "Three hurt in landslide at the quarry",
            "new-development",
        ),
        (
            "Correction: Comet passes 41 million km away",
            "Comet passes 14 million km away",
            "correction",
        ),
        (
            "In full: what the council decided on the bridge",
            "Council decided on the bridge",
            "clarification",
        ),
        ("Ferry passengers tell of the fire on the Marrow Sound ferry", FERRY, "follow-up"),
    ],
)
def test_a_follow_up_is_named_for_what_it_is(headline: str, earlier: str, relation: str) -> None:
    assert threads.relation_of(headline, earlier) == relation


def test_a_vetoed_story_was_not_told_and_starts_no_thread(source: Source) -> None:
    story = stories_of(source, FERRY)[0]
    Story.objects.filter(pk=story.pk).update(state=Story.State.VETOED)
    assert threads.Recent(source.session).find(Report(RESUMES)) is None


def test_what_another_session_told_is_unknown_here(
    source: Source, make_session: MakeSession
) -> None:
    stories_of(source, FERRY)
    elsewhere: Session = make_session("Evening")
    assert threads.Recent(elsewhere).find(Report(RESUMES)) is None


def test_the_narrator_learns_what_was_told_before_oldest_first(source: Source) -> None:
    first, second = stories_of(source, FERRY, RESUMES)
    threads.join(second, threads.Earlier(first, "new-development"))
    second.save()
    report = Report("Marrow Sound ferry resumes after long engine-room fire")
    earlier = threads.Recent(source.session).find(report)
    assert [title for title, _ in threads.earlier_summaries(earlier)] == [FERRY, RESUMES]


@pytest.mark.parametrize(("hours", "is_found"), [(71, True), (73, False)])
def test_a_story_is_followed_up_for_72_hours(source: Source, hours: int, is_found: bool) -> None:
    (story,) = stories_of(source, FERRY)
    at = timezone.now() - timedelta(hours=hours)
    Story.objects.filter(pk=story.pk).update(created_at=at)
    assert (threads.Recent(source.session).find(Report(RESUMES)) is not None) == is_found


@pytest.mark.databases
def test_nothing_follows_what_a_recording_had_before_it_began_again(source: Source) -> None:
    create_story(make_post(source, "ferry", FERRY))
    assert threads.Recent(source.session).find(Report(RESUMES)) is not None
    for seconds, found in ((-9, True), (9, False)):
        since = timezone.now() + timedelta(seconds=seconds)
        Source.objects.update(cursor={"loop": True, "since": since.isoformat()})
        assert (threads.Recent(source.session).find(Report(RESUMES)) is not None) is found


def test_a_story_that_was_pulled_meanwhile_gets_no_follow_up(source: Source) -> None:
    first, second = stories_of(source, FERRY, RESUMES)
    Story.objects.filter(pk=first.pk).update(state=Story.State.KILLED)
    assert threads.join(second, threads.Earlier(first, "follow-up")) is None
    assert second.thread is None
    assert not StoryThread.objects.exists()


def test_nothing_follows_up_what_a_recording_had_before_it_began_again(source: Source) -> None:
    stories_of(source, FERRY)
    assert threads.Recent(source.session).find(Report(RESUMES)) is not None
    cursor = {"next": 6, "loop": True, "round": 1, "since": timezone.now().isoformat()}
    Source.objects.filter(pk=source.pk).update(cursor=cursor)
    assert threads.Recent(source.session).find(Report(RESUMES)) is None
    create_story(make_post(source, "rec-009.1", FERRY))
    assert threads.Recent(source.session).find(Report(RESUMES)) is not None
