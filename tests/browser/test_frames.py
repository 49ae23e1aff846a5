"""How an open page applies frames: in order, none twice, none missed, and never an older answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, WebSocketRoute, expect

from tests.browser.conftest import RECORDING
from tests.browser.page_helpers import live, off_air, rundown
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

NOTE_FRAMES = """
window.frames_ = [];
document.addEventListener("smnb:frame", (event) => frames_.push(event.detail.seq));
document.addEventListener("htmx:afterRequest", () => { window.answered = true; });
"""
APPLIED = "frames_.filter((seq) => seq !== null)"
Message = str | bytes


class Connection:
    """Stands between the page and the studio's socket; ``lose`` decides which frames are lost.

    The program monitor of the page has a socket of its own, which is left alone.
    """

    def __init__(self, page: Page) -> None:
        self.asked: list[int] = []
        self.frames: list[Message] = []
        self.lose: Callable[[Message], bool] = lambda frame: False
        self.page_side: WebSocketRoute | None = None
        page.add_init_script(NOTE_FRAMES)
        page.route_web_socket(re.compile(r"/ws/sessions/[^?]+$"), self.open)

    def open(self, page_side: WebSocketRoute) -> None:
        studio_side = page_side.connect_to_server()
        self.page_side = page_side

        def ask(message: Message) -> None:
            self.asked.append(json.loads(message)["after"])
            studio_side.send(message)

        def deliver(frame: Message) -> None:
            self.frames.append(frame)
            if not self.lose(frame):
                page_side.send(frame)

        page_side.on_message(ask)
        studio_side.on_message(deliver)

    def lose_next(self, number: int = 1) -> None:
        """Lose the next frames of events."""
        left = [number]

        def lose(frame: Message) -> bool:
            if "data-prev" not in str(frame) or left[0] == 0:
                return False
            left[0] -= 1
            return True

        self.lose = lose

    def send_again(self, frame: Message) -> None:
        assert self.page_side is not None
        self.page_side.send(frame)


@pytest.fixture
def connection(owner: Page) -> Connection:
    return Connection(owner)


def rename(studio: Studio, session: str, name: str) -> None:
    assert studio.call("PATCH", f"/api/sessions/{session}", {"name": name}).status == 200


def shows(page: Page, name: str) -> None:
    expect(page.locator("#session-name")).to_have_text(name)


def desk(page: Page, studio: Studio, connection: Connection) -> tuple[str, int]:
    """Opens the page of a new session; returns the session's id and the seq the page has."""
    session = studio.create("Zero", RECORDING, model="extractive")
    page.goto(f"{studio.url}/broadcast/{session}/")
    seq = int(page.locator("#seq").get_attribute("data-seq") or 0)
    expect(page.locator("#connection")).to_be_empty()
    rename(studio, session, "One")
    shows(page, "One")
    assert connection.asked == [seq]
    return session, seq + 1


def test_a_gap_is_asked_for_and_closed_in_order(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    session, seq = desk(owner, studio, connection)
    connection.lose_next()
    rename(studio, session, "Two")
    rename(studio, session, "Three")
    shows(owner, "Three")
    assert connection.asked[1:] == [seq]
    assert owner.evaluate(APPLIED) == [seq, seq + 1, seq + 2]


@pytest.mark.own_context
def test_a_gap_of_several_frames_is_asked_for_once(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    session, seq = desk(owner, studio, connection)
    # The missing frame stays away, and no time passes in which it would be asked for again.
    connection.lose = lambda frame: f'data-seq="{seq + 1}"' in str(frame)
    owner.clock.install()
    owner.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    for number in range(3):
        rename(studio, session, f"Name {number}")
    while not any("Name 2" in str(frame) for frame in connection.frames):
        owner.wait_for_timeout(50)
    owner.wait_for_timeout(300)
    assert connection.asked[1:] == [seq]


def test_what_is_still_missing_is_asked_for_once_more(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    session, seq = desk(owner, studio, connection)
    # The frame is lost, the next one shows the gap, and the answer to the question is lost, too.
    seen: list[Message] = []

    def lose(frame: Message) -> bool:
        if f'data-seq="{seq + 1}"' in str(frame):
            seen.append(frame)
            return len(seen) <= 2
        return False

    connection.lose = lose
    rename(studio, session, "Two")
    rename(studio, session, "Three")
    shows(owner, "Three")
    assert connection.asked[1:] == [seq, seq]
    assert owner.evaluate(APPLIED) == [seq, seq + 1, seq + 2]


def test_a_frame_that_was_applied_is_not_applied_again(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    session, seq = desk(owner, studio, connection)
    rename(studio, session, "Two")
    shows(owner, "Two")
    for frame in list(connection.frames):
        connection.send_again(frame)
    rename(studio, session, "Three")
    shows(owner, "Three")
    assert owner.evaluate(APPLIED) == [seq, seq + 1, seq + 2]


def test_a_page_that_missed_too_much_is_loaded_again(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    desk(owner, studio, connection)
    owner.evaluate("window.loaded = 'once'")
    connection.send_again('<i id="seq" hx-swap-oob="true" data-reload hidden></i>')
    owner.wait_for_function("() => window.loaded === undefined")


def test_a_part_of_which_the_page_has_no_place_is_dropped(
    owner: Page, studio: Studio, connection: Connection, page_errors: list[str]
) -> None:
    session, _ = desk(owner, studio, connection)
    connection.send_again('<div hx-swap-oob="innerHTML:#nowhere">x</div>')
    connection.send_again('<div hx-swap-oob="innerHTML:#session-name">Streamed</div>')
    shows(owner, "Streamed")
    rename(studio, session, "Two")
    shows(owner, "Two")
    assert page_errors == []


def test_an_item_that_the_page_shows_already_is_replaced_where_it_is(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    desk(owner, studio, connection)
    for text in ("first", "second", "first again"):
        name = text.split()[0]
        item = f'<li id="message-{name}" class="message">{text}</li>'
        connection.send_again(f'<ol hx-swap-oob="beforeend:#messages">{item}</ol>')
    expect(owner.locator("#message-first")).to_have_text("first again")
    names = "all => all.map((each) => each.id)"
    assert owner.locator("#messages > li").evaluate_all(names) == [
        "message-first",
        "message-second",
    ]


def test_a_list_keeps_only_as_many_items_as_it_may(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    desk(owner, studio, connection)
    owner.evaluate("document.getElementById('messages').dataset.max = 2")
    for number in range(4):
        item = f'<li id="message-n{number}" class="message">{number}</li>'
        connection.send_again(f'<ol hx-swap-oob="beforeend:#messages">{item}</ol>')
    expect(owner.locator("#message-n3")).to_be_attached()
    names = "all => all.map((each) => each.id)"
    assert owner.locator("#messages > li").evaluate_all(names) == ["message-n2", "message-n3"]


def test_a_new_story_takes_none_away_from_who_reads_older_ones(
    owner: Page, studio: Studio, connection: Connection, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/")
    owner.get_by_role("link", name="Older stories").click()
    expect(owner.locator("article")).to_have_count(30)
    while not connection.asked:
        owner.wait_for_timeout(50)
    item = '<li id="story-new"><article>New</article></li>'
    connection.send_again(f'<ol hx-swap-oob="afterbegin:#feed">{item}</ol>')
    expect(owner.locator("#story-new")).to_be_attached()
    expect(owner.locator("article")).to_have_count(31)


@pytest.mark.parametrize(("code", "sentence"), [(4401, "Sign in again"), (4404, "no longer be")])
def test_a_page_that_may_not_follow_any_more_says_so_and_does_not_come_back(
    owner: Page, studio: Studio, connection: Connection, code: int, sentence: str
) -> None:
    _, seq = desk(owner, studio, connection)
    assert connection.page_side is not None
    connection.page_side.close(code=code, reason="")
    expect(owner.locator("#connection")).to_contain_text(sentence)
    owner.wait_for_timeout(2500)  # a lost connection is opened again within two seconds
    assert connection.asked == [seq - 1]


def test_an_answer_that_is_older_than_a_frame_does_not_overwrite_it(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    session = live(studio, "Late answers")
    off_air(studio, session)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    first, _, third, *_ = rundown(studio, session)
    held: list[tuple[Route, Any]] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST":
            held.append((route, route.fetch()))
        else:
            route.continue_()

    owner.route(re.compile(f"/broadcast/{session}/"), hold)
    owner.locator(f"#pin-{third}").click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{third}")
    assert studio.post(f"/sessions/{session}/posts/{third}/unpin").status == 200
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{first}")
    owner.evaluate("window.answered = false")
    (answer,) = held
    answer[0].fulfill(response=answer[1])
    owner.wait_for_function("() => window.answered")
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{first}")
    owner.wait_for_timeout(200)
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{first}")


def test_plain_arrow_keys_move_no_post(owner: Page, studio: Studio) -> None:
    session = live(studio, "Arrow keys")
    off_air(studio, session)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    order = rundown(studio, session)
    sent: list[Request] = []
    owner.on("request", lambda one: sent.append(one) if one.method == "POST" else None)
    owner.locator(f"#post-{order[2]}").get_by_role("button", name="Hold").focus()
    # The other way, so that a post which it moved would never come to the place that is waited for.
    owner.keyboard.press("ArrowDown")
    owner.keyboard.press("Alt+ArrowUp")
    expect(owner.locator("#rundown-status")).to_contain_text("is now in place 2 of")
    expect(owner.locator("#queue > li").nth(1)).to_have_id(f"post-{order[2]}")
    owner.keyboard.press("ArrowUp")
    owner.keyboard.press("Alt+ArrowDown")
    expect(owner.locator("#rundown-status")).to_contain_text("is now in place 3 of")
    assert len(sent) == 2
    assert rundown(studio, session)[:3] == order[:3]


@pytest.mark.slow
def test_the_first_post_is_not_moved_up_by_key(owner: Page, studio: Studio) -> None:
    session = live(studio, "At the top")
    off_air(studio, session)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    order = rundown(studio, session)
    owner.locator(f"#post-{order[0]}").get_by_role("button", name="Hold").focus()
    owner.keyboard.press("Alt+ArrowUp")
    assert "Hold" in owner.evaluate("document.activeElement.innerText")
    owner.keyboard.press("Alt+ArrowDown")
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{order[1]}")
    assert rundown(studio, session)[:2] == [order[1], order[0]]


def test_words_that_stream_in_change_no_figure(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    """Only frames of events make the page fetch its figures again, at most once a second."""
    session, _ = desk(owner, studio, connection)
    owner.wait_for_timeout(1200)
    fetched: list[str] = []
    owner.on("request", lambda request: fetched.append(request.url))
    for number in range(5):
        connection.send_again(f'<div hx-swap-oob="innerHTML:#session-name">{number}</div>')
    shows(owner, "4")
    owner.wait_for_timeout(1200)
    # What needs the user is also asked for now and then without an event.
    assert [url for url in fetched if "/needs-you/" not in url] == []
    for number in range(5):
        rename(studio, session, f"Name {number}")
    shows(owner, "Name 4")
    owner.wait_for_timeout(2500)
    health = [url for url in fetched if "/health" in url or "crew" in url]
    assert 1 <= len(health) <= 3


def test_a_page_that_is_hidden_after_a_frame_fetches_no_figure_until_it_is_seen(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    desk(owner, studio, connection)
    owner.wait_for_timeout(1200)
    fetched: list[str] = []
    owner.on("request", lambda request: fetched.append(request.url))
    owner.evaluate(
        """() => {
          document.dispatchEvent(new CustomEvent("smnb:frame", { detail: { seq: 1 } }));
          Object.defineProperty(document, "hidden", { configurable: true, value: true });
        }"""
    )
    owner.wait_for_timeout(300)
    assert fetched == []
    with owner.expect_request(re.compile("/health|crew")):
        owner.evaluate(
            """() => {
              Object.defineProperty(document, "hidden", { configurable: true, value: false });
              document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )


@pytest.mark.own_context
def test_figures_are_fetched_at_most_once_a_second(
    owner: Page, studio: Studio, connection: Connection
) -> None:
    owner.clock.install()
    desk(owner, studio, connection)
    owner.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    owner.wait_for_timeout(300)
    fetched: Counter[str] = Counter()
    owner.on("request", lambda request: fetched.update([request.url]))
    for _ in range(5):
        owner.evaluate(
            "document.dispatchEvent(new CustomEvent('smnb:frame', { detail: { seq: 1 } }))"
        )
        owner.clock.run_for(100)
        owner.wait_for_timeout(100)
    figures = [url for url in fetched if "/health" in url or "crew" in url]
    assert figures
    assert {fetched[url] for url in figures} == {1}
    owner.clock.run_for(1000)
    owner.wait_for_timeout(100)
    assert {fetched[url] for url in figures} == {2}
