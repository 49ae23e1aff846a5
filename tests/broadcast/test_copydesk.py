"""Breaking in, correcting, pulling and bookmarking: marked, versioned, never silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.models import Airing
from sessions_app import audits, commands
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Session, SessionEvent, SessionStats
from stories import corrections
from stories.models import Story, StoryVersion
from tests.conftest import MakeSession, run_due_steps

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def live(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A session on air at the pace of speech, with its first story on air."""
    session = make_session(model="extractive", pace=180)
    go_live(session)
    run_due_steps(session, most=3)
    assert on_air(session) is not None
    return session


def on_air(session: Session) -> Story | None:
    airing = Airing.objects.filter(session=session, finished_at=None).first()
    return airing.story if airing else None


def do(session: Session, name: str, **data: Any) -> Story:
    return commands.run(f"story.{name}", session.owner, session, data)  # type: ignore[no-any-return]


BREAKING = {"title": "Bridge closed at once", "text": "The harbour bridge has been closed at once."}


def test_a_break_in_for_next_waits_for_the_end_of_what_is_on_air(live: Session) -> None:
    first = on_air(live)
    story = do(live, "break_in", **BREAKING)
    assert on_air(live) == first
    assert (story.state, story.origin, story.cuts_in) == ("approved", "manual", True)


def test_a_break_in_for_now_ends_what_is_on_air(live: Session) -> None:
    first = on_air(live)
    story = do(live, "break_in", **BREAKING, now=True)
    assert on_air(live) == story
    assert first is not None
    first.refresh_from_db()
    assert first.state == "aired"


def test_a_break_in_goes_before_stories_that_wait_longer(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=4)
    waiting = Story.objects.filter(session=session, state="written").get()
    story = do(session, "break_in", **BREAKING)
    assert Airing.objects.get(session=session).story == story
    assert Story.objects.get(pk=waiting.pk).state == "written"


def test_off_air_a_break_in_opens_the_next_broadcast(
    session: Session, go_live: Callable[[Session], Any]
) -> None:
    story = do(session, "break_in", **BREAKING, now=True)
    assert story.state == "approved"
    go_live(session)
    run_due_steps(session, most=3)
    assert Airing.objects.order_by("id")[0].story == story


def test_a_break_in_is_counted_like_any_story(live: Session) -> None:
    before = SessionStats.objects.get(session=live)
    do(live, "break_in", **BREAKING)
    after = SessionStats.objects.get(session=live)
    assert (after.story_count, after.words) == (before.story_count + 1, before.words + 8)
    assert list(audits.run()) == []


@pytest.mark.parametrize("wrong", [{"title": ""}, {"text": "\u200b\u0007"}, {"text": "x" * 5001}])
def test_an_empty_or_endless_break_in_is_refused(live: Session, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        do(live, "break_in", **{**BREAKING, **wrong})


CORRECT = {"title": "Put right", "text": "It was the other bridge.", "reason": "The wrong bridge."}


def test_a_correction_is_a_new_version_and_the_first_is_kept(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    first = story.narrative
    do(live, "correct", story=story.pk, **CORRECT)
    story.refresh_from_db()
    assert (story.version, story.narrative) == (2, CORRECT["text"])
    assert story.corrected_at is not None
    kept = StoryVersion.objects.filter(story=story).order_by("number")
    assert [version.narrative for version in kept] == [first, CORRECT["text"]]
    assert list(audits.run()) == []


def test_the_audience_is_told_of_a_correction_with_its_reason(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    do(live, "correct", story=story.pk, **CORRECT)
    event = SessionEvent.objects.get(session=live, type="story.corrected")
    public = event.payload["public"]["story"]
    assert (public["correction"], public["version"]) == ("The wrong bridge.", 2)


def test_a_story_that_waits_is_edited_without_the_mark_of_a_correction(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=4)
    story = do(session, "correct", story=Story.objects.get().pk, **CORRECT)
    assert (story.version, story.corrected_at, story.correction) == (2, None, "")


def test_two_corrections_of_the_same_version_do_not_overwrite_each_other(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    stale = Story.objects.get(pk=story.pk)
    do(live, "correct", story=story.pk, **CORRECT)
    with pytest.raises(Conflict, match="Somebody else"):
        corrections.correct(stale, "Mine", "Another text.", "Mine.", live.owner, 180)


def test_a_correction_that_changes_nothing_is_refused(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    with pytest.raises(Conflict, match="Nothing is different"):
        do(live, "correct", story=story.pk, title=story.title, text=story.narrative, reason="x")


def test_a_pulled_story_leaves_the_air_and_the_public_page(
    live: Session, client_of: Callable[[User], Client]
) -> None:
    commands.run("session.change", live.owner, live, {"visible": True})
    story = on_air(live)
    assert story is not None
    do(live, "kill", story=story.pk)
    assert on_air(live) != story
    live.refresh_from_db()
    page = Client().get(f"/watch/{live.watch_token}/").content.decode()
    assert f'id="story-{story.pk}"' not in page
    with pytest.raises(Conflict, match="for good"):
        do(live, "kill", story=story.pk)


def test_bookmarked_stories_stand_on_their_own_page(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    browser, path = client_of(owner), f"/broadcast/{live.pk}/"
    command = f"{path}stories/{story.pk}/command/"
    assert browser.post(command, {"do": "bookmark"}).status_code == 302
    assert f"story-title-{story.pk}" in browser.get(f"{path}?bookmarked=1").content.decode()
    browser.post(command, {"do": "unbookmark"})
    assert "No story is bookmarked" in browser.get(f"{path}?bookmarked=1").content.decode()


def test_the_story_page_shows_what_a_correction_changed(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    path = f"/broadcast/{live.pk}/stories/{story.pk}/"
    answer = client_of(owner).post(f"{path}correction/", CORRECT)
    assert answer.status_code == 302
    page = client_of(owner).get(path).content.decode()
    assert "<ins>" in page
    assert "by olga" in page


def test_a_correction_without_a_reason_comes_back_with_what_was_typed(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    data = {**CORRECT, "reason": ""}
    answer = client_of(owner).post(f"/broadcast/{live.pk}/stories/{story.pk}/correction/", data)
    assert answer.status_code == 422
    assert CORRECT["text"] in answer.content.decode()


def test_the_form_of_the_desk_breaks_in(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    data = {**BREAKING, "tone": "breaking", "when": "now"}
    assert client_of(owner).post(f"/broadcast/{live.pk}/break-in/", data).status_code == 302
    found = on_air(live)
    assert found is not None
    assert found.title == BREAKING["title"]


def test_a_word_that_went_and_one_that_came_are_told_apart() -> None:
    assert list(corrections.compare("the old bridge", "the new bridge")) == [
        ("the", "same"), ("old", "gone"), ("new", "new"), ("bridge", "same"),
    ]  # fmt: skip
