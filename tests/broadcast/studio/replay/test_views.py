"""The pages of replays: what they list, to whom, and what the pages of a session link to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.models import Airing, Broadcast, Sound
from broadcast.public import views as public_views
from broadcast.replay import queries, runs
from broadcast.studio.replay import views
from sessions_app import sessions
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import Story
from tests.broadcast.speech.recorded_session import correct, press, tell, visit
from tests.conftest import MakeSession
from tests.database_snapshots import past

pytestmark = pytest.mark.django_db(transaction=True)

ClientOf = Callable[[User], Client]


@pytest.fixture
def session(request: pytest.FixtureRequest, owner: User, make_session: MakeSession) -> Session:
    def make() -> Session:
        session = make_session()
        tell(sessions.show(session, True))
        return session

    return past("replayed", owner, make) if "told" in request.fixturenames else make_session()


@pytest.fixture
def told(session: Session) -> list[Story]:
    """Two stories of a run that is over, in a session that can be watched."""
    return list(Story.objects.filter(session=session, state="aired").order_by("id"))


@pytest.fixture
def see(session: Session, client_of: ClientOf) -> Callable[[str], str]:
    client = client_of(session.owner)
    return lambda path: client.get(path).content.decode()


def test_a_session_lists_its_finished_runs(
    session: Session, told: list[Story], see: Callable[[str], str]
) -> None:
    page = see(f"/sessions/{session.pk}/")
    assert f'href="/broadcast/{session.pk}/replay/1/"' in page
    assert f'href="/watch/{session.watch_token}/replay/1/"' in visit(session, "").content.decode()


def test_a_run_on_air_or_without_a_story_is_not_played_again_in_public(
    session: Session, see: Callable[[str], str], go_live: Callable[[Session], Any]
) -> None:
    sessions.show(session, True)
    go_live(session)
    assert runs.listed(session, recorder.OWNER) == []
    assert "No finished broadcasts yet" in see(f"/sessions/{session.pk}/")
    press(session, "broadcast.stop")
    assert runs.listed(session, recorder.PUBLIC) == []
    assert visit(session, "replay/1/").status_code == 404


def test_its_stories_are_listed_without_script_with_where_to_play_from(
    session: Session, told: list[Story], see: Callable[[str], str]
) -> None:
    page = see(f"/broadcast/{session.pk}/replay/1/")
    assert "needs JavaScript" in page
    recording = runs.find(session, 1, recorder.OWNER)
    for story in told:
        at = recording.offset(Airing.objects.get(story=story).aired_at)
        assert f'href="?at={at}"' in page
        assert story.title in page


def test_a_page_asks_for_the_moment_it_was_opened_at(
    session: Session, told: list[Story], see: Callable[[str], str]
) -> None:
    length = runs.find(session, 1, recorder.OWNER).milliseconds
    assert 'data-live="/ws/sessions/' in see(f"/broadcast/{session.pk}/replay/1/?at=5")
    assert "replay/1/?at=5" in see(f"/broadcast/{session.pk}/replay/1/?at=5")
    assert f"replay/1/?at={length}" in see(f"/broadcast/{session.pk}/replay/1/?at={length + 999}")


def test_what_was_pulled_since_is_listed_for_its_owner_alone(
    session: Session, told: list[Story], see: Callable[[str], str]
) -> None:
    correct(session, told[0])
    press(session, "story.kill", story=told[1].pk)
    ours, theirs = see(f"/broadcast/{session.pk}/replay/1/"), visit(session, "replay/1/")
    assert "Corrected since" in ours
    assert "Pulled" in ours
    assert told[1].title in ours
    assert told[1].title not in theirs.content.decode()


def test_many_stories_are_listed_in_pages(
    session: Session, told: list[Story], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "STORIES_MOST", 1)
    recording = runs.find(session, 1, recorder.OWNER)
    first = queries.page(recording, recorder.OWNER, {})
    rest = queries.page(recording, recorder.OWNER, {"after": str(first["later"])})
    assert [row["id"] for row in first["stories"] + rest["stories"]][:2] == [
        story.pk for story in told[:2]
    ]


def test_a_thread_leads_back_to_the_watch_page(session: Session, told: list[Story]) -> None:
    answer = visit(session, "replay/1/?thread=7")
    assert answer["Location"] == f"/watch/{session.watch_token}/?thread=7"


def test_a_page_is_read_in_a_constant_number_of_queries(
    session: Session, told: list[Story], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(16):
        recording = runs.find(session, 1, recorder.OWNER)
        queries.page(recording, recorder.OWNER, {})
        views.before_the_run(recording)
    with django_assert_max_num_queries(12):
        recording = runs.find(session, 1, recorder.PUBLIC)
        queries.page(recording, recorder.PUBLIC, {})
        public_views.before_the_run(recording)


def test_the_latest_event_before_a_moment_is_found_by_halves(
    session: Session, told: list[Story]
) -> None:
    recording = runs.find(session, 1, recorder.OWNER)
    assert recording.before(recording.began) == recording.first - 1
    assert recording.before(recording.moment(10**12)) in (recording.last - 1, recording.last)
    for event in session.sessionevent_set.filter(seq__range=(recording.first, recording.last)):
        assert recording.before(event.at) < event.seq


def test_a_replay_offers_sound_where_there_is_any(session: Session, told: list[Story]) -> None:
    button = b'id="replay-sound"'
    assert button not in visit(session, "replay/1/").content
    Sound.objects.create(session=session, story=told[0], state="ready", version=1)
    assert button in visit(session, "replay/1/").content


def test_a_replay_starts_at_its_first_story_and_the_newest_is_one_link_away(
    session: Session, told: list[Story], see: Callable[[str], str], client_of: ClientOf
) -> None:
    # Half a minute passed from Go Live to the first story.
    run = runs.find(session, 1, recorder.OWNER).run
    first = Airing.objects.filter(run=run).order_by("pk").first()
    assert first is not None
    began = run.started_at
    assert began is not None
    Airing.objects.filter(pk=first.pk).update(aired_at=began + timedelta(seconds=30))
    Airing.objects.filter(run=run).exclude(pk=first.pk).update(
        aired_at=began + timedelta(seconds=60)
    )
    Broadcast.objects.filter(pk=run.pk).update(since=began + timedelta(seconds=90))
    address = f"/broadcast/{session.pk}/replay/1/"
    for page in (see(address), visit(session, "replay/1/").content.decode()):
        assert 'data-at="30000"' in page
        assert 'data-first="30000"' in page
    assert 'data-at="1500"' in see(f"{address}?at=1500")
    newest = client_of(session.owner).get(f"/broadcast/{session.pk}/replay/")
    assert newest["Location"] == address
    Broadcast.objects.filter(pk=run.pk).update(live_at=None)
    nothing = client_of(session.owner).get(f"/broadcast/{session.pk}/replay/")
    assert nothing.status_code == 200
    assert "No finished broadcasts yet" in nothing.content.decode()
