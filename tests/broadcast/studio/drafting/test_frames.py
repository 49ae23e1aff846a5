"""The pages of the writers' room, rebuilt from frames, equal those from the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app import commands
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, Step
from sessions_app.realtime import frames
from stories.models import Draft
from tests.broadcast.test_queries import Follower
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

Follow = Callable[[Draft], Follower]
PARTS = (
    "draft-name-{}",
    "draft-status-{}",
    "draft-live-{}",
    "draft-text-{}",
    "draft-messages-{}",
    "draft-versions-{}",
    "draft-wishes-{}",
    "draft-milestones-{}",
)


def slots(draft: Draft) -> tuple[str, ...]:
    return tuple(part.format(draft.pk) for part in PARTS)


def press(session: Session, command: str, **data: Any) -> Any:
    return commands.run(command, session.owner, session, data)


def poll(session: Session) -> None:
    """Read the recording, so that the room has something to write about."""
    press(session, "broadcast.start")
    for step in Step.objects.filter(session=session, kind="poll", state="pending"):
        steps.run(step.pk)
    press(session, "broadcast.stop")


def turn(session: Session) -> None:
    for step in Step.objects.filter(session=session, kind="draft_turn", state="pending"):
        Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
        steps.run(step.pk)


@pytest.fixture
def session(make_session: MakeSession) -> Session:
    made = make_session(model="extractive")
    poll(made)
    return made


@pytest.fixture
def draft(session: Session) -> Draft:
    made: Draft = press(session, "draft.start", keywords=["lighthouse", "harbour"], words=120)
    return made


@pytest.fixture
def follow(client_of: Callable[[User], Client]) -> Follow:
    def open_(draft: Draft) -> Follower:
        session, path = draft.session, f"/drafting/{draft.session_id}/{draft.pk}/"
        return Follower(client_of(session.owner), path, session, recorder.OWNER)

    return open_


@pytest.fixture
def area(session: Session, client_of: Callable[[User], Client]) -> Follower:
    path = f"/drafting/?session={session.pk}"
    return Follower(client_of(session.owner), path, session, recorder.OWNER)


def test_a_draft_from_its_first_turn_to_its_last(
    draft: Draft, follow: Follow, area: Follower
) -> None:
    page = follow(draft)
    page.check(slots(draft))
    while draft.state == "running":
        turn(draft.session)
        page.check(slots(draft))
        area.check(("drafts",))
        draft.refresh_from_db()
    assert draft.state == "finished"
    assert draft.version


def test_the_milestones_of_a_draft_stay_on_its_page(draft: Draft, follow: Follow) -> None:
    while draft.state == "running":
        turn(draft.session)
        draft.refresh_from_db()
    name = f"draft-milestones-{draft.pk}"
    shown = follow(draft).load().slots((name,))[name]
    first = draft.versions.get(number=1)
    reached = SessionEvent.objects.filter(type="draft.progress").order_by("seq")
    checks = [event.payload["checks"] for event in reached]
    assert [each["words"] for each in checks] == [0, draft.versions.latest("number").word_count]
    assert first.word_count
    third, two_thirds = checks
    assert (
        f"A third of the way</strong>after turn {third['turns']}: facts collected, no text yet."
        '<span class="draft-hint">Advice that you give now shapes the first version.</span>'
    ) in shown
    turns, words = two_thirds["turns"], two_thirds["words"]
    assert f"Two thirds of the way</strong>after turn {turns}: {words} of" in shown


def test_a_new_draft_stands_in_the_list_at_once(session: Session, area: Follower) -> None:
    for keyword in ("lighthouse", "ferry"):
        press(session, "draft.start", keywords=[keyword])
        area.check(("drafts",))


def test_what_a_person_does_to_a_draft(draft: Draft, follow: Follow, area: Follower) -> None:
    page = follow(draft)
    while not draft.version:
        turn(draft.session)
        draft.refresh_from_db()
    text = {"title": "By hand", "text": "It is so.", "version": draft.version}
    for command, data in (
        ("advise", {"text": "Shorter."}),
        ("stop", {}),
        ("save", text),
        ("restore", {"version": 1}),
        ("resume", {}),
    ):
        press(draft.session, f"draft.{command}", draft=draft.pk, **data)
        page.check(slots(draft))
        area.check(("drafts",))


def test_a_draft_that_waits_says_so_on_every_page(
    make_session: MakeSession, follow: Follow, client_of: Callable[[User], Client]
) -> None:
    session = make_session(model="extractive", recording=False)
    draft = press(session, "draft.start", keywords=["lighthouse"])
    page = follow(draft)
    turn(session)
    draft.refresh_from_db()
    assert draft.state == "waiting"
    page.check(slots(draft))


def test_frames_of_another_draft_change_nothing(session: Session, follow: Follow) -> None:
    one = press(session, "draft.start", keywords=["lighthouse"])
    page = follow(one)
    press(session, "draft.start", keywords=["ferry"])
    turn(session)
    page.check(slots(one))


@pytest.mark.parametrize(("state", "verb"), [("thinking", "thinks"), ("writing", "writes")])
def test_who_is_at_work_is_shown_as_it_happens(draft: Draft, state: str, verb: str) -> None:
    data = {"draft": draft.pk, "role": "writer", "state": state, "text": "So far <b>"}
    frame = frames.ephemeral(draft.session_id, "draft.delta", data)
    shown = frames.text_of(frame, recorder.OWNER, frames.HTML)
    assert f"innerHTML:#draft-live-{draft.pk}" in shown
    assert f"The writer {verb}" in shown
    assert "So far &lt;b&gt;" in shown
