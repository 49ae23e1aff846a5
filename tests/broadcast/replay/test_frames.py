"""A finished run plays again: its last page is the original's, and nothing is written by it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from broadcast.replay import consumers, runs
from broadcast.replay.frames import Shape
from sessions_app import sessions
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime.frames import HTML
from sessions_app.realtime.grants import Grant
from stories.models import Story
from tests.broadcast.test_queries import BREAKING, CORRECT, Page, press, turn
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

STUDIO = (
    "state",
    "mode",
    "duration",
    "figures",
    "onair",
    "turn-now",
    "turns-first",
    "turns",
    "feed",
    "queue",
    "sources",
    "messages",
)
WATCH = ("state", "onair", "feed")
ClientOf = Callable[[User], Client]


class Screen:
    """A socket with a page behind it: it takes the frames of a replay by the rules of live.js."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.texts: list[str] = []
        self.closed: int | None = None

    async def send_text(self, text: str, *, wait: bool = False) -> None:
        self.texts.append(text)
        if "data-ephemeral" not in text:
            self.page.take(text)

    async def end(self, code: int) -> None:
        self.closed = code


def load(client: Client, path: str) -> Page:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return Page(answer.content.decode())


def grant_of(session: Session, audience: str) -> Grant:
    if audience == recorder.PUBLIC:
        return Grant("watch", session.watch_token, session.pk)
    return Grant("login", "", session.pk, session.owner_id)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits take no time and are remembered."""
    waited: list[float] = []

    async def rest(_: consumers.Player, seconds: float) -> bool:
        waited.append(seconds)
        return True

    monkeypatch.setattr(consumers.Player, "_rest", rest)
    return waited


@pytest.fixture
def ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay ends at its first wait."""

    async def rest(*_: Any) -> bool:
        return False

    monkeypatch.setattr(consumers.Player, "_rest", rest)


def play(
    session: Session, number: int, audience: str, page: Page, *, at: int = 0, speed: int = 60
) -> Screen:
    """Play a run to its end on a page that was just loaded."""
    recording = runs.find(session, number, audience)
    screen = Screen(page)
    options = consumers.Options(speed, at)
    played = consumers.Player(
        screen, recording, Shape(audience, HTML), grant_of(session, audience), options
    )
    asyncio.run(played.play(page.seq))
    return screen


class Stage:
    """A session with the pages of today and those of its replays."""

    def __init__(self, session: Session, client: Client) -> None:
        sessions.show(session, True)
        self.session, self.client = session, client
        self.live = {
            recorder.OWNER: f"/broadcast/{session.pk}/",
            recorder.PUBLIC: f"/watch/{session.watch_token}/",
        }

    def now(self) -> dict[str, dict[str, str]]:
        """What the live pages show, by audience."""
        return {
            recorder.OWNER: load(self.client, self.live[recorder.OWNER]).slots(STUDIO),
            recorder.PUBLIC: load(Client(), self.live[recorder.PUBLIC]).slots(WATCH),
        }

    def again(self, number: int, audience: str, at: int = 0) -> dict[str, str]:
        """What the page of the replay shows when it is over."""
        page = load(self.client, f"{self.live[audience]}replay/{number}/")
        play(self.session, number, audience, page, at=at)
        return page.slots(STUDIO if audience == recorder.OWNER else WATCH)


@pytest.fixture
def stage(make_session: MakeSession, client_of: ClientOf) -> Stage:
    session = make_session(model="extractive", pace=60, control_mode="full-control")
    return Stage(session, client_of(session.owner))


def broadcast(session: Session) -> None:
    """A run in which a story is told and corrected, one waits, one breaks in and one is pulled."""
    press(session, "broadcast.start")
    turn(session, "poll")
    for verdict in ("veto", "approve"):
        turn(session, "narrate")
        waiting = Story.objects.filter(session=session, state="written").latest("pk")
        press(session, f"story.{verdict}", story=waiting.pk)
    press(session, "story.correct", story=waiting.pk, **CORRECT)
    turn(session, "finish_airing")
    pulled = press(session, "story.break_in", **BREAKING, now=True)
    press(session, "story.kill", story=pulled.pk)
    press(session, "story.break_in", **BREAKING, now=True)
    turn(session, "narrate")
    recorder.add_message(session, "system", "All is well.")
    press(session, "broadcast.stop")
    run_due_steps(session)


def assert_equal(again: dict[str, str], then: dict[str, str]) -> None:
    for name, text in then.items():
        # A page says once how most of its stories were made (static/js/labels.js).
        found, wanted = (
            re.sub(r'<p class="ai-label".*?</p>', "", each) for each in (again[name], text)
        )
        assert found == wanted, name


def test_the_last_page_of_a_replay_equals_the_originals(stage: Stage, quick: list[float]) -> None:
    broadcast(stage.session)
    then = stage.now()
    broadcast(stage.session)
    later = stage.now()
    for audience in (recorder.OWNER, recorder.PUBLIC):
        assert_equal(stage.again(1, audience), then[audience])
        assert_equal(stage.again(2, audience), later[audience])


@pytest.mark.slow
def test_a_replay_begins_with_the_page_as_it_was_before_the_run(
    stage: Stage, ended_at_once: None
) -> None:
    broadcast(stage.session)
    then = stage.now()
    broadcast(stage.session)
    for audience in (recorder.OWNER, recorder.PUBLIC):
        assert_equal(stage.again(2, audience), then[audience])


def test_a_jump_leads_to_the_same_page_as_playing_until_there(
    stage: Stage, quick: list[float]
) -> None:
    broadcast(stage.session)
    then = stage.now()
    for audience in (recorder.OWNER, recorder.PUBLIC):
        middle = runs.find(stage.session, 1, audience).milliseconds // 2
        assert_equal(stage.again(1, audience, at=middle), then[audience])


@pytest.mark.slow
def test_every_event_of_the_run_is_played_once_and_in_order(
    stage: Stage, quick: list[float]
) -> None:
    broadcast(stage.session)
    broadcast(stage.session)
    found = runs.find(stage.session, 2, recorder.OWNER)
    page = load(stage.client, f"{stage.live[recorder.OWNER]}replay/2/")
    screen = play(stage.session, 2, recorder.OWNER, page)
    seqs = [int(seq) for text in screen.texts for seq in re.findall(r'data-seq="(\d+)"', text)]
    assert seqs == list(range(1, found.last + 1))
    assert screen.closed == consumers.OVER
    assert "data-over" in screen.texts[-1]


def test_the_public_is_not_told_again_what_was_pulled_since(
    stage: Stage, quick: list[float]
) -> None:
    broadcast(stage.session)
    told = Story.objects.filter(session=stage.session, state="aired").latest("pk")
    page = load(Client(), f"{stage.live[recorder.PUBLIC]}replay/1/")
    assert f"story-{told.pk}" in "".join(play(stage.session, 1, recorder.PUBLIC, page).texts)
    press(stage.session, "story.kill", story=told.pk)
    page = load(Client(), f"{stage.live[recorder.PUBLIC]}replay/1/")
    assert f"story-{told.pk}" not in "".join(play(stage.session, 1, recorder.PUBLIC, page).texts)


def rows() -> Iterator[tuple[str, Any]]:
    for model in apps.get_models():
        yield model._meta.label, list(model._default_manager.order_by("pk").values())


def test_a_replay_writes_nothing(stage: Stage, quick: list[float]) -> None:
    broadcast(stage.session)
    before = dict(rows())
    for audience in (recorder.OWNER, recorder.PUBLIC):
        stage.again(1, audience)
    after = dict(rows())
    assert {name for name in before if before[name] != after[name]} == set()
