"""The audience in a browser: the watch page and the overlay follow what is told, by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import live, of_session, off_air
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

FAST = 6000  # words a minute: a new story every few seconds


@pytest.fixture(scope="module")
def published(studio: Studio) -> Iterator[dict[str, str]]:
    """A published session on air: its id, and its public path."""
    session = live(studio, "Evening news")
    yield {"session": session, "path": publish(studio, session)}
    off_air(studio, session)


@pytest.fixture
def broadcast(studio: Studio, published: dict[str, str]) -> dict[str, str]:
    """The published session, which has just begun a story of a minute."""
    begin_story(studio, published["session"])
    return published


@pytest.fixture
def own_broadcast(studio: Studio) -> Iterator[dict[str, str]]:
    """A published session of its own, for a test that changes what comes next or takes it down."""
    session = live(studio, "Late news")
    eventually("a story airs", lambda: airing(studio, session))
    yield {"session": session, "path": publish(studio, session)}
    off_air(studio, session)


def publish(studio: Studio, session: str, visible: bool = True) -> str:
    answer = studio.call("PATCH", f"/api/sessions/{session}", {"visible": visible})
    address = str(answer.body["watch_url"] or "")
    return "/watch/" + address.split("/watch/")[1] if address else ""


def airing(studio: Studio, session: str) -> dict[str, Any] | None:
    stories = of_session(studio, "stories_story", session)
    return next((story for story in stories if story["state"] == "airing"), None)


def break_in(studio: Studio, session: str, title: str) -> None:
    story = {"title": title, "text": "It was said at noon. " * 12, "now": True}
    assert studio.post(f"/sessions/{session}/stories", story).status == 201


def begin_story(studio: Studio, session: str) -> None:
    """Breaks in with a story of a minute and waits until it airs."""
    before = airing(studio, session)
    break_in(studio, session, "The market opens")

    def is_on_air() -> bool:
        story = airing(studio, session)
        return (
            story is not None
            and story["title"] == "The market opens"
            and (before is None or story["id"] != before["id"])
        )

    eventually("it airs", is_on_air)


def test_a_story_comes_to_an_open_page_without_reloading(page: Page, studio: Studio) -> None:
    session = studio.create(
        "At six", {"kind": "recording", "locator": "demo"}, pace=FAST, model="extractive"
    )
    # The pages of an audience ask for the broadcast that has ended at random times; this one at once.
    page.add_init_script("Math.random = () => 0")
    page.goto(studio.url + publish(studio, session))
    expect(page.locator("#onair")).to_contain_text("Off air")
    expect(page.get_by_role("heading", name="Up next")).to_be_hidden()
    page.evaluate("window.loaded = 'once'")
    studio.command(session, "start")
    expect(page.locator("#feed li").first).to_be_visible()
    expect(page.locator("#air-public")).to_contain_text("LIVE")
    expect(page.locator("#onair [data-reveal]")).not_to_be_empty()
    off_air(studio, session)
    told = [s for s in of_session(studio, "stories_story", session) if s["state"] == "aired"]
    expect(page.locator("#feed h3").last).to_have_text(told[0]["title"])
    expect(page.get_by_role("link", name="Play the last broadcast")).to_be_visible()
    expect(page.locator(".chapters a")).to_have_count(min(12, len(told)))
    assert page.evaluate("window.loaded") == "once"
    assert "$" not in page.content()


SHIFTS = """
window.shifts = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""


@pytest.mark.own_context
@pytest.mark.slow
def test_the_stage_shows_artwork_what_is_next_and_the_words_as_the_viewer_wants_them(
    page: Page, studio: Studio, own_broadcast: dict[str, str]
) -> None:
    page.add_init_script(SHIFTS)
    page.goto(studio.url + own_broadcast["path"])
    art = page.locator("#onair .stage-art")
    expect(art).to_have_js_property("complete", True)
    assert art.evaluate("art => art.naturalWidth") == 1600
    expect(page.locator(".air-clock [data-tick]")).to_have_text(re.compile(r"^0:\d\d:\d\d$"))
    expect(page.locator("#next li")).to_have_count(0)
    story = {"title": "The bridge opens", "text": "It opens at noon. " * 12, "now": False}
    assert studio.post(f"/sessions/{own_broadcast['session']}/stories", story).status == 201
    page.reload()
    expect(page.locator("#next h3")).to_have_text("The bridge opens")
    story["title"] = "The tide turns"
    assert studio.post(f"/sessions/{own_broadcast['session']}/stories", story).status == 201
    expect(page.locator("#next h3")).to_have_text(["The bridge opens", "The tide turns"])
    size = "parseFloat(getComputedStyle(document.querySelector('.story-text')).fontSize)"
    medium = page.evaluate(size)
    page.locator("summary", has_text="Captions").click()
    page.get_by_label("Largest").check()
    page.get_by_label("High").check()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Largest")).to_be_hidden()
    expect(page.locator("summary", has_text="Captions")).to_be_focused()
    page.reload()
    assert page.evaluate(size) == pytest.approx(1.55 * medium, rel=0.01)
    ground = "getComputedStyle(document.querySelector('.stage')).backgroundColor"
    assert page.evaluate(ground) == "rgb(0, 0, 0)"
    page.locator("summary", has_text="Captions").click()
    expect(page.get_by_label("Largest")).to_be_checked()
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("() => document.fullscreenElement?.matches('.stage')")
    expect(page.locator("#onair .ai-label")).to_be_visible()
    page.evaluate("document.exitFullscreen()")
    page.wait_for_function("() => !document.fullscreenElement")
    page.reload()
    # It ends the story on air; the one that waited longest comes first, and is no longer next.
    break_in(studio, own_broadcast["session"], "The ferry is late")
    expect(page.locator("#onair h2")).to_have_text("The bridge opens")
    expect(page.locator("#next h3")).to_have_text(["The tide turns", "The ferry is late"])
    assert page.evaluate("shifts") <= 0.05


@pytest.mark.slow
def test_off_air_a_chapter_of_the_last_broadcast_plays_from_its_beginning(
    page: Page, studio: Studio, told: dict[str, str]
) -> None:
    page.goto(f"{studio.url}/watch/{told['token']}/")
    expect(page.get_by_role("link", name="Play the last broadcast")).to_be_visible()
    chapter = page.locator(".chapters a").nth(5)
    at = int((chapter.get_attribute("href") or "").partition("?at=")[2])
    chapter.click()
    expect(page.locator("#replay-range")).to_have_js_property("min", "0")
    # In whole seconds.
    assert int(page.locator("#replay-range").input_value()) >= at - 1000
    captions = page.get_by_role("link", name="Download the captions").get_attribute("href")
    answer = page.request.get(f"{studio.url}/watch/{told['token']}/replay/1/{captions}")
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.text().startswith("WEBVTT")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.own_context
@pytest.mark.slow
def test_a_viewer_keeps_the_theme_that_was_chosen(
    page: Page, studio: Studio, told: dict[str, str]
) -> None:
    page.goto(f"{studio.url}/watch/{told['token']}/")
    page.get_by_role("button", name="Theme: switch to light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Theme: switch to dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.slow
def test_a_thread_link_shows_the_story_as_it_went_on(
    page: Page, studio: Studio, told: dict[str, str]
) -> None:
    page.goto(f"{studio.url}/watch/{told['token']}/?thread={told['thread']}")
    stories = of_session(studio, "stories_story", told["session"])
    part = [s for s in stories if str(s["thread_id"]) == told["thread"] and s["state"] == "aired"]
    expect(page.locator(".aired-list h3")).to_have_text([s["title"] for s in reversed(part)])
    page.locator(".aired-list .thread-link").first.click()
    expect(page.get_by_role("heading", name="One story over time")).to_be_visible()
    page.get_by_role("link", name="Back to all stories").click()
    expect(page.get_by_role("heading", name="Stories so far")).to_be_visible()


@pytest.mark.slow
def test_earlier_stories_are_a_link_away(page: Page, studio: Studio, told: dict[str, str]) -> None:
    page.goto(f"{studio.url}/watch/{told['token']}/")
    newest = page.locator(".aired-list h3").all_inner_texts()
    page.get_by_role("link", name="Older stories").click()
    expect(page.get_by_role("heading", name="Earlier stories")).to_be_visible()
    expect(page.locator(".aired-list h3").first).not_to_have_text(newest[0])


def test_a_correction_is_shown_while_one_watches(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    page.goto(studio.url + broadcast["path"])
    story = airing(studio, broadcast["session"])
    assert story is not None
    version = {"title": "As it really was", "text": story["narrative"], "reason": "Wrong name."}
    path = f"/sessions/{broadcast['session']}/stories/{story['id']}/correction"
    assert studio.post(path, version).status == 200
    expect(page.locator("#onair h2")).to_have_text("As it really was")
    expect(page.locator("#onair .story-note")).to_contain_text("Wrong name.")
    expect(page.locator(f"#story-{story['id']} h3")).to_have_text("As it really was")


def test_the_overlay_shows_what_is_told_and_the_latest_headlines(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    page.goto(studio.url + broadcast["path"] + "overlay/")
    story = airing(studio, broadcast["session"])
    assert story is not None
    expect(page.locator(".lower-title")).to_have_text(story["title"])
    break_in(studio, broadcast["session"], "The ferry is late")
    expect(page.locator(".lower-title")).to_have_text("The ferry is late")
    expect(page.locator(".lower-caption")).to_contain_text("It was said at noon.")
    expect(page.locator("#ticker li").first).to_have_text("The ferry is late")
    expect(page.locator("#ticker li").nth(1)).to_have_text(story["title"])


@pytest.mark.slow
def test_the_look_of_the_overlay_is_set_by_its_address(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    address = studio.url + broadcast["path"] + "overlay/"
    page.goto(address)
    transparent = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(transparent) == "rgba(0, 0, 0, 0)"
    expect(page.locator("#ticker")).to_be_visible()
    low = page.locator(".lower").bounding_box()
    page.goto(f"{address}?ticker=0&captions=0&position=top&theme=light&accent=blue&size=l")
    expect(page.locator("#ticker")).to_be_hidden()
    expect(page.locator(".lower-caption")).to_be_hidden()
    high = page.locator(".lower").bounding_box()
    assert low is not None
    assert high is not None
    assert high["y"] < low["y"]
    expect(page.locator(".overlay[data-theme=light][data-accent=blue]")).to_be_visible()


@pytest.mark.slow
def test_taking_the_page_down_closes_those_that_are_open(
    page: Page, studio: Studio, own_broadcast: dict[str, str], page_errors: list[str]
) -> None:
    page.goto(studio.url + own_broadcast["path"])
    expect(page.locator("#onair h2")).to_be_visible()
    publish(studio, own_broadcast["session"], visible=False)
    expect(page.locator("#connection")).to_contain_text("its link was withdrawn")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("This link is no longer available")
    page_errors[:] = [text for text in page_errors if "404" not in text]
