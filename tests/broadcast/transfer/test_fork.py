"""Forks: the threads go along, the money stays."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from broadcast.models import Airing, Broadcast
from sessions_app import audits, commands
from sessions_app.models import Session, SessionStats
from stories import threads
from stories.models import Source, SourcePost, Story, StoryReport, StoryThread, TokenUsage
from tests.broadcast.speech.recorded_session import tell
from tests.conftest import MakeSession
from tests.database_snapshots import past

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(request: pytest.FixtureRequest, owner: User, make_session: MakeSession) -> Session:
    def make() -> Session:
        session = make_session()
        stories = tell(session, 4)
        with transaction.atomic():
            threads.join(stories[1], threads.Earlier(stories[0], "follow-up"))
            stories[1].save()
        return session

    return past("forked", owner, make) if "aired" in request.fixturenames else make_session()


@pytest.fixture
def aired(session: Session) -> list[Story]:
    """Four stories, the first two of one thread."""
    return list(Story.objects.filter(session=session, state="aired").order_by("id"))


def fork(session: Session, **data: object) -> Session:
    found: Session = commands.run("session.fork", session.owner, session, data)
    return found


def late_reports(aired: list[Story]) -> int:
    """How many reports came too late for the stories of the thread, and are credited on them."""
    return StoryReport.objects.filter(story__in=aired[:2]).count()


def test_a_fork_takes_the_threads_along(session: Session, aired: list[Story]) -> None:
    copy = fork(session)
    mine = Story.objects.filter(session=copy).order_by("pk")
    assert [story.title for story in mine] == [story.title for story in aired[:2]]
    assert [story.created_at for story in mine] == [story.created_at for story in aired[:2]]
    assert StoryThread.objects.get(session=copy).story_count == 2
    states = [post.state for post in SourcePost.objects.filter(session=copy)]
    assert sorted(states) == ["skipped"] * late_reports(aired) + ["told", "told"]


def test_a_fork_takes_passages_and_dropped_sentences_along(
    session: Session, aired: list[Story]
) -> None:
    passages = [
        {"text": "It rose.", "support": "passages", "passages": [{"text": "It rose.", "report": 0}]}
    ]
    dropped = [{"text": "It fell.", "reason": "Not in its passages: a negation."}]
    Story.objects.filter(pk=aired[0].pk).update(passages=passages, dropped=dropped)
    copy = fork(session)
    story = Story.objects.filter(session=copy).order_by("pk")[0]
    assert (story.passages, story.dropped) == (passages, dropped)
    assert SessionStats.objects.get(session=copy).sentences_dropped == 1


def test_what_a_fork_holds_is_sound(session: Session, aired: list[Story]) -> None:
    copy = fork(session)
    stats = SessionStats.objects.get(session=copy)
    assert (stats.story_count, stats.feed) == (2, 2 + late_reports(aired))
    assert [each for each in audits.run() if each.session == str(copy.pk)] == []


def test_later_narration_knows_the_threads(session: Session, aired: list[Story]) -> None:
    copy = fork(session)
    post = aired[0].post
    assert post is not None
    earlier = threads.Recent(copy).find(threads.report_of(post))
    assert earlier is not None
    assert earlier.story.session_id == copy.pk


def test_no_money_and_no_run_goes_along(session: Session, aired: list[Story]) -> None:
    copy = fork(session)
    for model in (TokenUsage, Broadcast, Airing):
        assert not model._default_manager.filter(session=copy).exists()
    assert SessionStats.objects.get(session=copy).cost_upper == 0


def test_a_fork_without_threads_is_a_clone(session: Session, aired: list[Story]) -> None:
    copy = fork(session, threads=False, name="Bare")
    assert not Story.objects.filter(session=copy).exists()
    assert (copy.name, Source.objects.filter(session=copy).count()) == ("Bare", 1)


def test_a_fork_names_what_it_was_made_from(session: Session) -> None:
    copy = fork(session)
    copy.refresh_from_db()
    assert copy.made_from == session
    assert copy.name == "Morning (fork)"


def test_posts_of_a_source_that_is_gone_still_have_one(
    session: Session, aired: list[Story]
) -> None:
    commands.run(
        "source.remove", session.owner, session, {"source": Source.objects.get(session=session).pk}
    )
    source = Source.objects.get(session=fork(session))
    assert (source.enabled, source.posts) == (False, 2 + late_reports(aired))


def test_a_forked_session_goes_on_the_air(session: Session, aired: list[Story]) -> None:
    copy = fork(session)
    assert len(tell(copy, 3)) >= 3
    titles = Story.objects.filter(session=copy).values_list("post__external_id", flat=True)
    assert len(set(titles)) == len(titles)
    assert [each for each in audits.run() if each.session == str(copy.pk)] == []


def test_a_stranger_cannot_fork(session: Session, stranger: User, client_of: object) -> None:
    answer = client_of(stranger).post(f"/sessions/{session.pk}/fork/")  # type: ignore[operator]
    assert answer.status_code == 404
