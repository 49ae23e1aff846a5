"""The editor's desk in a browser: the rundown and the stories, each control with its effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Locator, Page, expect

from broadcast.queries import FEED_MOST
from tests.browser.page_helpers import live, of_session, off_air, one, rundown
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

POSTS, STORIES = "stories_sourcepost", "stories_story"
HEADLINE = "The harbour bridge is closed"


@pytest.fixture(scope="module")
def arranged(studio: Studio) -> str:
    session = live(studio, "A rundown to arrange")
    off_air(studio, session)
    return session


@pytest.fixture
def waiting(studio: Studio, arranged: str) -> str:
    """A session that is off air with a long rundown in which nothing is pinned or held."""
    for post in of_session(studio, POSTS, arranged):
        for verb, left in (("unpin", post["pinned"]), ("release", post["state"] == "held")):
            if left:
                assert studio.post(f"/sessions/{arranged}/posts/{post['id']}/{verb}").status == 200
    return arranged


@pytest.fixture
def on_air(studio: Studio) -> Iterator[str]:
    """A session that tells its first story, slowly."""
    session = live(studio, "On the desk")
    eventually("a story airs", lambda: states(studio, session).count("airing"))
    yield session
    off_air(studio, session)


def states(studio: Studio, session: str) -> list[str]:
    return [story["state"] for story in of_session(studio, STORIES, session)]


def open_desk(page: Page, studio: Studio, session: str) -> None:
    page.goto(f"{studio.url}/broadcast/{session}/")
    expect(page.locator("#session-name")).to_be_visible()


def item(page: Page, post: int) -> Locator:
    return page.locator(f"#post-{post}")


def test_a_pinned_post_comes_first_and_unpinned_it_goes_back(
    owner: Page, studio: Studio, waiting: str
) -> None:
    open_desk(owner, studio, waiting)
    post = rundown(studio, waiting)[2]
    pin = item(owner, post).get_by_role("button", name="Pin", exact=True)
    pin.click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{post}")
    expect(pin).to_be_focused()
    assert rundown(studio, waiting)[0] == post
    pin.click()
    expect(pin).to_have_attribute("aria-pressed", "false")
    assert one(studio, POSTS, post)["pinned"] == 0


@pytest.mark.slow
def test_a_held_post_waits_until_it_is_released(owner: Page, studio: Studio, waiting: str) -> None:
    open_desk(owner, studio, waiting)
    post = rundown(studio, waiting)[0]
    item(owner, post).get_by_role("button", name="Hold").click()
    expect(owner.locator("#queue > li").first).not_to_have_id(f"post-{post}")
    assert one(studio, POSTS, post)["state"] == "held"
    owner.get_by_role("link", name="Whole rundown").click()
    item(owner, post).get_by_role("button", name="Release").click()
    expect(item(owner, post)).to_have_attribute("data-state", "queued")
    assert one(studio, POSTS, post)["state"] == "queued"


def test_a_killed_post_leaves_the_rundown_with_the_reason(
    owner: Page, studio: Studio, waiting: str
) -> None:
    open_desk(owner, studio, waiting)
    post = rundown(studio, waiting)[1]
    item(owner, post).get_by_role("button", name="Kill").click()
    expect(item(owner, post)).to_have_count(0)
    killed = one(studio, POSTS, post)
    assert (killed["state"], killed["reason"]) == ("skipped", "Killed by studio.")


@pytest.mark.slow
def test_a_post_is_moved_by_its_buttons(owner: Page, studio: Studio, waiting: str) -> None:
    open_desk(owner, studio, waiting)
    first, second, *_ = rundown(studio, waiting)
    item(owner, second).get_by_role("button", name="Move up").click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{second}")
    assert rundown(studio, waiting)[:2] == [second, first]
    item(owner, second).get_by_role("button", name="Move down").click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{first}")
    assert rundown(studio, waiting)[:2] == [first, second]


def test_a_post_is_moved_by_key_and_keeps_the_focus(
    owner: Page, studio: Studio, waiting: str
) -> None:
    open_desk(owner, studio, waiting)
    post = rundown(studio, waiting)[2]
    item(owner, post).get_by_role("button", name="Hold").focus()
    for place in (1, 0):
        owner.keyboard.press("Alt+ArrowUp")
        expect(owner.locator("#queue > li").nth(place)).to_have_id(f"post-{post}")
        eventually("it is moved", partial(stands_at, studio, waiting, post, place))
        assert owner.evaluate("document.activeElement.closest('li')?.id") == f"post-{post}"
    expect(owner.locator("#rundown-status")).to_contain_text("is now in place 1 of")


def stands_at(studio: Studio, session: str, post: int, place: int) -> bool:
    return rundown(studio, session)[place] == post


def test_a_post_is_moved_by_dragging_it(owner: Page, studio: Studio, waiting: str) -> None:
    # High enough for both places: what scrolls under a dragging hand is not what is tried here.
    owner.set_viewport_size({"width": 1440, "height": 2400})
    open_desk(owner, studio, waiting)
    first, second, third, *_ = rundown(studio, waiting)
    item(owner, third).drag_to(item(owner, first), target_position={"x": 40, "y": 4})
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{third}")
    assert rundown(studio, waiting)[:3] == [third, first, second]


def test_what_one_tab_does_the_other_shows_without_reloading(
    owner: Page, studio: Studio, waiting: str
) -> None:
    open_desk(owner, studio, waiting)
    other = owner.context.new_page()
    open_desk(other, studio, waiting)
    other.evaluate("window.loaded = 'once'")
    post = rundown(studio, waiting)[1]
    item(owner, post).get_by_role("button", name="Pin", exact=True).click()
    expect(item(other, post)).to_have_attribute("data-pinned", "")
    item(other, post).get_by_role("button", name="Hold").click()
    expect(item(owner, post)).to_have_attribute("data-state", "held")
    assert other.evaluate("window.loaded") == "once"
    other.close()


def test_the_desk_works_on_a_phone(owner: Page, studio: Studio, waiting: str) -> None:
    owner.set_viewport_size({"width": 390, "height": 844})
    open_desk(owner, studio, waiting)
    owner.get_by_role("radio", name="Next").check()
    first, second, third, *_ = rundown(studio, waiting)
    item(owner, second).get_by_role("button", name="Move up").click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{second}")
    item(owner, third).get_by_role("button", name="Pin", exact=True).click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{third}")
    item(owner, first).get_by_role("button", name="Kill").click()
    expect(item(owner, first)).to_have_count(0)
    assert rundown(studio, waiting)[:2] == [third, second]
    assert owner.evaluate("document.documentElement.scrollWidth") <= 390


def break_in(page: Page, when: str) -> None:
    page.locator(".break-in summary").click()
    page.get_by_label("Headline").fill(HEADLINE)
    page.get_by_label("Narration").fill("Police closed the bridge at noon. " * 6)
    page.get_by_label(when).check()
    page.get_by_role("button", name="Break in", exact=True).click()


def test_breaking_in_now_ends_what_is_on_air(owner: Page, studio: Studio, on_air: str) -> None:
    open_desk(owner, studio, on_air)
    break_in(owner, "now, ending the story on air")
    expect(owner.locator("#onair h3")).to_have_text(HEADLINE)
    airing = [s for s in of_session(studio, STORIES, on_air) if s["state"] == "airing"]
    assert [(story["title"], story["origin"]) for story in airing] == [(HEADLINE, "manual")]


@pytest.mark.slow
def test_a_story_that_breaks_in_off_air_waits(owner: Page, studio: Studio, waiting: str) -> None:
    open_desk(owner, studio, waiting)
    break_in(owner, "next, after the story on air")
    expect(owner.locator("#feed article").first).to_contain_text(HEADLINE)
    story = of_session(studio, STORIES, waiting)[-1]
    assert (story["title"], story["state"], story["cuts_in"]) == (HEADLINE, "approved", 1)


def test_a_story_that_was_told_is_corrected_and_marked(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    open_desk(owner, studio, told["session"])
    card = owner.locator("#feed article").nth(3)
    story = card.get_by_role("button", name="Bookmark").get_attribute("id") or ""
    card.get_by_role("link", name="Correct").click()
    owner.get_by_label("Headline").fill("As it really was")
    owner.get_by_label("Correction").fill("The name was wrong.")
    owner.get_by_role("button", name="Save as version 2").click()
    expect(owner.locator(".correction")).to_contain_text("The name was wrong.")
    expect(owner.locator(".versions .version")).to_have_count(2)
    found = one(studio, STORIES, int(story.removeprefix("bookmark-")))
    assert (found["title"], found["version"]) == ("As it really was", 2)
    assert found["correction"] == "The name was wrong."
    assert found["corrected_at"]


def test_a_story_is_bookmarked_found_again_and_let_go(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    open_desk(owner, studio, told["session"])
    card = owner.locator("#feed article").nth(5)
    expect(card.locator("blockquote")).to_have_count(0)
    card.get_by_text("Sources of this story").press("Enter")
    expect(card.locator("blockquote").first).to_be_visible()
    expect(card.get_by_text("Sources of this story")).to_be_focused()
    mark = card.get_by_role("button", name="Bookmark")
    name = mark.get_attribute("id") or ""
    story = int(name.removeprefix("bookmark-"))
    mark.click()
    expect(owner.locator(f"#{name}")).to_have_attribute("aria-pressed", "true")
    assert one(studio, STORIES, story)["bookmarked_at"]
    owner.get_by_role("link", name="Bookmarked").click()
    expect(owner.locator("article")).to_have_count(1)
    owner.locator(f"#{name}").click()
    eventually("it is let go", lambda: one(studio, STORIES, story)["bookmarked_at"] is None)
    owner.reload()
    expect(owner.get_by_text("No story is bookmarked.")).to_be_visible()


def test_a_story_is_pulled(owner: Page, studio: Studio, on_air: str) -> None:
    open_desk(owner, studio, on_air)
    [story] = [s for s in of_session(studio, STORIES, on_air) if s["state"] == "airing"]
    title = owner.locator("#onair h3").inner_text()
    owner.locator(f"#pull-{story['id']}").click()
    expect(owner.locator("#onair h3")).not_to_have_text(title)
    assert one(studio, STORIES, story["id"])["state"] == "killed"


def test_in_full_control_stories_wait_for_approval_or_veto(owner: Page, studio: Studio) -> None:
    session = live(studio, "Full control", control_mode="full-control")
    open_desk(owner, studio, session)
    approve = owner.locator("#feed").get_by_role("button", name="Approve")
    expect(approve.first).to_be_visible()
    assert "airing" not in states(studio, session)
    first = int((approve.first.get_attribute("id") or "").removeprefix("approve-"))
    owner.locator(f"#veto-{first}").click()
    expect(owner.locator(f"#veto-{first}")).to_have_count(0)
    assert one(studio, STORIES, first)["state"] == "vetoed"
    expect(approve.first).to_be_visible()
    second = int((approve.first.get_attribute("id") or "").removeprefix("approve-"))
    owner.locator(f"#approve-{second}").click()
    expect(owner.locator("#onair h3")).to_have_text(one(studio, STORIES, second)["title"])
    assert one(studio, STORIES, second)["state"] == "airing"
    off_air(studio, session)


@pytest.mark.slow
def test_older_stories_are_added_below(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    open_desk(owner, studio, told["session"])
    expect(owner.locator("article")).to_have_count(FEED_MOST)
    owner.get_by_role("link", name="Older stories").click()
    written = [f"story-{row['id']}" for row in of_session(studio, STORIES, told["session"])]
    shown = written[::-1][: 2 * FEED_MOST]
    expect(owner.locator("article")).to_have_count(len(shown))
    assert len(shown) > FEED_MOST
    names = owner.locator("li[id^=story-]").evaluate_all("all => all.map(each => each.id)")
    assert names == shown


@pytest.mark.slow
def test_a_thread_badge_leads_to_its_thread(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/")
    badge = owner.locator("#feed a.thread").first
    thread = re.search(r"threads/(\d+)/", badge.get_attribute("href") or "")
    badge.click()
    assert thread is not None
    row = one(studio, "stories_storythread", int(thread[1]))
    expect(owner.get_by_role("heading", level=1)).to_have_text(row["title"])
    expect(owner.locator(".timeline .moment")).to_have_count(row["story_count"])


def test_escape_closes_what_the_keyboard_opened_and_goes_back_to_it(
    owner: Page, studio: Studio, waiting: str
) -> None:
    open_desk(owner, studio, waiting)
    for opener in ("Switch session", "Break in"):
        summary = owner.locator("summary", has_text=opener)
        summary.press("Enter")
        expect(summary.locator("..")).to_have_attribute("open", "")
        owner.keyboard.press("Tab")
        owner.keyboard.press("Escape")
        expect(summary.locator("..")).not_to_have_attribute("open", "")
        expect(summary).to_be_focused()
