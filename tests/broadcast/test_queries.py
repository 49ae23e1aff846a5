"""The page rebuilt from frames equals the page rendered from the database."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast import queries
from sessions_app import commands, sessions
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Message, Session, SessionEvent, Step
from sessions_app.realtime import frames
from stories.models import Source, Story
from stories.posts import queue
from stories.sources import registry
from stories.types import Fetched, FetchedPost
from tests.conftest import MakeSession, make_post, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

ICON = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
STUDIO = (
    "state",
    "mode",
    "session-name",
    "air",
    "overview-live",
    "overview-name",
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
    "interests",
    "answering",
)
WATCH = ("state", "air-public", "onair", "feed")

ClientOf = Callable[[User], Client]


class Node:
    """An element with its children; text is a string among them."""

    def __init__(self, tag: str, attrs: dict[str, str | None]) -> None:
        self.tag, self.attrs = tag, attrs
        self.children: list[Node | str] = []

    def walk(self) -> Iterator[tuple[Node, Node]]:
        """Every element below, with its parent."""
        for child in list(self.children):
            if isinstance(child, Node):
                yield self, child
                yield from child.walk()

    def find(self, id_: str) -> Node | None:
        """The first element below with this id; not by walk(), which is slow in a deep page."""
        for child in self.children:
            if isinstance(child, Node):
                found = child if child.attrs.get("id") == id_ else child.find(id_)
                if found is not None:
                    return found
        return None

    def inner(self) -> str:
        return "".join(
            child.outer() if isinstance(child, Node) else " ".join(child.split())
            for child in self.children
        )

    def outer(self) -> str:
        own_attrs = {name: v for name, v in self.attrs.items() if name != "hx-swap-oob"}
        attrs = "".join(f' {name}="{value}"' for name, value in sorted(own_attrs.items()))
        return f"<{self.tag}{attrs}>{self.inner()}</{self.tag}>"


class Tree(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Node("root", {})
        self.open = [self.root]
        # Icons are compared as text: reading their shapes takes longer than all the rest.
        self.feed(ICON.sub(lambda found: html.escape(found[0]), text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if any(node.tag == tag for node in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


class Page:
    """A page in a browser: it takes frames by the rules of live.js."""

    def __init__(self, text: str) -> None:
        self.root = Tree(text).root
        mark = self.root.find("seq")
        assert mark is not None
        self.seq = int(mark.attrs["data-seq"] or 0)

    def slots(self, names: tuple[str, ...]) -> dict[str, str]:
        found = {name: self.root.find(name) for name in names}
        return {name: node.inner() if node else "no such slot" for name, node in found.items()}

    def take(self, frame: str) -> None:
        fragment = Tree(frame).root
        mark = fragment.find("seq")
        assert mark is not None
        assert int(mark.attrs["data-prev"] or 0) <= self.seq < int(mark.attrs["data-seq"] or 0)
        self.seq = int(mark.attrs["data-seq"] or 0)
        for part in fragment.children:
            if isinstance(part, Node) and part is not mark:
                self.swap(part)
        self.trim()

    def swap(self, part: Node) -> None:
        style, _, selector = (part.attrs["hx-swap-oob"] or "").partition(":")
        target = self.root.find(selector.removeprefix("#"))
        if target is None:
            return
        if style == "innerHTML":
            target.children = part.children
        elif style == "delete":
            for parent, node in self.root.walk():
                if node is target:
                    parent.children.remove(node)
        else:
            fresh = [child for child in part.children if not self.replaced(child)]
            first = style == "afterbegin"
            target.children = fresh + target.children if first else target.children + fresh

    def replaced(self, item: Node | str) -> bool:
        """An item that the page shows already replaces it in place."""
        if isinstance(item, str) or not item.attrs.get("id"):
            return False
        present = self.root.find(str(item.attrs["id"]))
        if present is None:
            return False
        present.children, present.attrs = item.children, item.attrs
        return True

    def trim(self) -> None:
        for _, node in self.root.walk():
            if most := node.attrs.get("data-max"):
                items = [child for child in node.children if isinstance(child, Node)]
                newest_last = "data-newest-last" in node.attrs
                node.children = [*(items[-int(most) :] if newest_last else items[: int(most)])]


class Follower:
    """A page that was loaded once and then follows the frames."""

    def __init__(self, client: Client, path: str, session: Session, audience: str) -> None:
        self.client, self.path, self.session, self.audience = client, path, session, audience
        self.page = self.load()

    def load(self) -> Page:
        answer = self.client.get(self.path)
        assert answer.status_code == 200
        return Page(answer.content.decode())

    def follow(self) -> None:
        prev = self.page.seq
        news = SessionEvent.objects.filter(session=self.session, seq__gt=prev).order_by("seq")
        for event in news:
            if frames.visible(event.type, self.audience):
                frame = frames.frame_of(event, prev, self.audience)
                self.page.take(frames.text_of(frame, self.audience, frames.HTML))
                prev = event.seq

    def check(self, slots: tuple[str, ...]) -> None:
        self.follow()
        rebuilt, loaded = self.page.slots(slots), self.load().slots(slots)
        for name in slots:
            # A page says once how most of its stories were made (static/js/labels.js); a frame does
            # not know what the page says.
            rebuilt[name], loaded[name] = (
                re.sub(r'<p class="ai-label".*?</p>', "", each[name]) for each in (rebuilt, loaded)
            )
            assert rebuilt[name] == loaded[name], name


@pytest.fixture
def studio(client_of: ClientOf) -> Callable[[Session], Follower]:
    return lambda session: Follower(
        client_of(session.owner), f"/broadcast/{session.pk}/", session, recorder.OWNER
    )


@pytest.fixture
def watcher() -> Callable[[Session], Follower]:
    def open_(session: Session) -> Follower:
        sessions.show(session, True)
        return Follower(Client(), f"/watch/{session.watch_token}/", session, recorder.PUBLIC)

    return open_


def press(session: Session, command: str, **data: Any) -> Any:
    return commands.run(command, session.owner, session, data)


def turn(session: Session, kind: str) -> None:
    for step in Step.objects.filter(session=session, kind=kind, state="pending"):
        Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
        steps.run(step.pk)


def test_the_desk_shows_when_its_schedule_goes_on_air(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive")
    follower = studio(session)
    now, days = steps.now(), ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

    def add(begin: int) -> Any:
        on, off = (now + timedelta(hours=hours) for hours in (begin, begin + 2))
        return press(session, "slot.add", days=days, on_at=f"{on:%H:%M}", off_at=f"{off:%H:%M}")

    # The next turn of the first slot takes the session off air.
    add(-1)
    follower.check(("scheduled",))
    assert "Goes live" not in follower.page.slots(("scheduled",))["scheduled"]
    add(7)
    slot = add(3)
    follower.check(("scheduled",))
    shown = follower.page.slots(("scheduled",))["scheduled"]
    assert f'datetime="{now + timedelta(hours=3):%Y-%m-%dT%H:%M}' in shown
    assert "Goes live" in shown
    press(session, "slot.remove", slot=slot.pk)
    follower.check(("scheduled",))
    shown = follower.page.slots(("scheduled",))["scheduled"]
    assert f'datetime="{now + timedelta(hours=7):%Y-%m-%dT%H:%M}' in shown


def test_a_broadcast_from_start_to_stop(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive")
    follower = studio(session)
    press(session, "broadcast.start")
    follower.check(STUDIO)
    run_due_steps(session, most=9)
    follower.check(STUDIO)
    run_due_steps(session)
    press(session, "broadcast.stop")
    follower.check(STUDIO)


def test_a_story_is_written_decided_aired_and_cut_off(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive", pace=60, control_mode="full-control")
    follower = studio(session)
    press(session, "broadcast.start")
    turn(session, "poll")
    for verdict in ("veto", "approve"):
        turn(session, "narrate")
        follower.check(STUDIO)
        waiting = Story.objects.get(session=session, state="written")
        press(session, f"story.{verdict}", story=waiting.pk)
        follower.check(STUDIO)
    press(session, "broadcast.stop")
    follower.check(STUDIO)


def test_posts_are_pinned_held_moved_released_and_killed(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive")
    press(session, "broadcast.start")
    turn(session, "poll")
    press(session, "broadcast.stop")
    follower = studio(session)
    first, second, third, *_ = queue.waiting(session).values_list("pk", flat=True)
    for verb, data in (
        ("pin", {"post": third}),
        ("move", {"post": second, "before": first}),
        ("hold", {"post": first}),
        ("release", {"post": first}),
        ("unpin", {"post": third}),
        ("kill", {"post": second}),
    ):
        press(session, f"post.{verb}", **data)
        follower.check(STUDIO)


BREAKING = {"title": "Bridge closed", "text": "The harbour bridge has been closed at once."}
CORRECT = {"title": "Repair", "text": "It was the other bridge.", "reason": "The wrong one."}


def test_stories_break_in_and_wait_their_turn(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive", pace=60, control_mode="full-control")
    follower = studio(session)
    press(session, "broadcast.start")
    turn(session, "poll")
    turn(session, "narrate")
    for now in (False, False, True, False):
        press(session, "story.break_in", **BREAKING, now=now)
        follower.check(STUDIO)
    turn(session, "finish_airing")
    follower.check(STUDIO)
    press(session, "broadcast.stop")
    follower.check(STUDIO)


def test_stories_are_corrected_bookmarked_and_pulled_wherever_they_stand(
    make_session: MakeSession,
    studio: Callable[[Session], Follower],
    watcher: Callable[[Session], Follower],
) -> None:
    session = make_session(model="extractive", pace=60, control_mode="full-control")
    follower, audience = studio(session), watcher(session)
    press(session, "broadcast.start")
    turn(session, "poll")
    turn(session, "narrate")
    waiting = Story.objects.get(session=session)
    aired = press(session, "story.break_in", **BREAKING)
    airing = press(session, "story.break_in", **BREAKING, now=True)
    for story in (waiting, aired, airing):
        for command, data in (
            ("correct", CORRECT),
            ("bookmark", {"on": True}),
            ("bookmark", {"on": False}),
            ("kill", {}),
        ):
            press(session, f"story.{command}", story=story.pk, **data)
            follower.check(STUDIO)
            audience.check(WATCH)


def test_a_hold_and_its_end(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive")
    follower = studio(session)
    sessions.change(session, budget=0)
    press(session, "broadcast.start")
    turn(session, "poll")
    turn(session, "narrate")
    follower.check(STUDIO)
    sessions.change(session, budget=None)
    turn(session, "narrate")
    follower.check(STUDIO)


def test_more_messages_and_stories_than_a_page_shows(
    make_session: MakeSession, studio: Callable[[Session], Follower], monkeypatch: Any
) -> None:
    session = make_session()
    follower = studio(session)
    for number in range(queries.MESSAGES_MOST + 5):
        recorder.add_message(session, "system", str(number))
    follower.check(STUDIO)


def test_a_full_rundown_of_long_headlines_fits_a_frame(
    session: Session, source: Source, studio: Callable[[Session], Follower]
) -> None:
    for number in range(16):
        letters = random.Random(number)
        words = ["".join(letters.choices("bcdfgklmnprstäöüß", k=12)) for _ in range(14)]
        post = make_post(source, str(number), " ".join(words))
        if number < 6:
            press(session, "post.hold", post=post.pk)
    press(session, "post.pin", post=post.pk)
    event = SessionEvent.objects.filter(session=session).latest("seq")
    frame = frames.frame_of(event, event.seq - 1, recorder.OWNER)
    shown = frames.text_of(frame, recorder.OWNER, frames.HTML)
    assert shown.count('class="post"') == 15
    assert len(shown.encode()) < frames.MOST_BYTES / 2


def test_a_conversation_with_the_producer_and_its_plans(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive")
    follower = studio(session)
    for text, verb in (("More owls", "apply"), ("Less <sport>", "dismiss"), ("What is next?", "")):
        press(session, "chat.say", text=text)
        follower.check(STUDIO)
        turn(session, "answer")
        follower.check(STUDIO)
        if verb:
            answer = Message.objects.filter(session=session, plan__isnull=False).latest("pk")
            press(session, f"chat.{verb}", message=answer.pk)
            follower.check(STUDIO)


def test_interests_and_what_they_do_to_the_queue(
    make_session: MakeSession, studio: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive")
    press(session, "broadcast.start")
    turn(session, "poll")
    follower = studio(session)
    word = queue.waiting(session).values_list("title", flat=True)[3].split()[0]
    interest = press(session, "interest.set", text=word)
    follower.check(STUDIO)
    press(session, "interest.drop", interest=interest.pk)
    follower.check(STUDIO)


def test_a_new_name_and_control_mode(
    session: Session, studio: Callable[[Session], Follower]
) -> None:
    follower = studio(session)
    sessions.change(session, name="Evening <b>", control_mode="balanced")
    follower.check(STUDIO)


class Feed:
    """A feed that brings one post at its first poll and nothing after it."""

    kind = "rss"

    def clean_locator(self, locator: str) -> str:
        return locator

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        found = [] if cursor else [FetchedPost("1", "A bridge closes for repairs")]
        return Fetched(found, cursor={"seen": True})


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setitem(registry._adapters(), "rss", Feed())
    return {"kind": "rss", "locator": "https://x.test/feed"}


def test_polls_that_bring_nothing_new(
    make_session: MakeSession, studio: Callable[[Session], Follower], feed: dict[str, str]
) -> None:
    session = make_session(recording=False)
    press(session, "source.add", **feed)
    follower = studio(session)
    press(session, "broadcast.start")
    turn(session, "poll")
    turn(session, "poll")
    follower.check(STUDIO)


def test_sources_added_and_removed(
    session: Session, studio: Callable[[Session], Follower], feed: dict[str, str]
) -> None:
    follower = studio(session)
    source = press(session, "source.add", **feed)
    follower.check(STUDIO)
    press(session, "source.remove", source=source.pk)
    follower.check(STUDIO)


def test_a_source_that_comes_back_takes_its_old_place(
    session: Session, studio: Callable[[Session], Follower], feed: dict[str, str]
) -> None:
    press(session, "source.add", **feed)
    follower = studio(session)
    first = Source.objects.filter(session=session).earliest("pk")
    press(session, "source.remove", source=first.pk)
    press(session, "source.add", kind="recording", locator="demo")
    follower.check(STUDIO)


def test_the_session_page_follows_as_the_broadcast_center_does(
    make_session: MakeSession, client_of: ClientOf
) -> None:
    session = make_session(model="extractive")
    path = f"/sessions/{session.pk}/"
    follower = Follower(client_of(session.owner), path, session, recorder.OWNER)
    press(session, "broadcast.start")
    run_due_steps(session, most=9)
    follower.check(("state", "session-name", "overview-live", "duration", "figures", "metrics"))


def test_the_session_page_follows_its_schedule_and_its_budget(
    session: Session, client_of: ClientOf
) -> None:
    path = f"/sessions/{session.pk}/"
    follower = Follower(client_of(session.owner), path, session, recorder.OWNER)
    parts = ("slots", "budget-meter")
    slot = press(session, "slot.add", days=["mon"], on_at="22:00", off_at="02:00")
    press(session, "session.change", budget_usd="2")
    follower.check(parts)
    press(session, "slot.change", slot=slot.pk, enabled=False)
    press(session, "session.change", budget_usd=None)
    follower.check(parts)
    press(session, "slot.remove", slot=slot.pk)
    follower.check(parts)


def test_the_watch_page_from_start_to_stop(
    make_session: MakeSession, watcher: Callable[[Session], Follower]
) -> None:
    session = make_session(model="extractive", pace=60)
    follower = watcher(session)
    press(session, "broadcast.start")
    turn(session, "poll")
    turn(session, "narrate")
    follower.check(WATCH)
    turn(session, "finish_airing")
    follower.check(WATCH)
    press(session, "broadcast.stop")
    follower.check(WATCH)


def test_a_page_is_read_in_a_constant_number_of_queries(
    make_session: MakeSession, go_live: Callable[[Session], Any], django_assert_max_num_queries: Any
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session)
    # The story on air and those of the feed may have reports, each with post and source.
    with django_assert_max_num_queries(28):
        queries.studio_page(session)
