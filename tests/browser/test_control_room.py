"""The control room: one screen, a monitor of what the audience sees, panes, and the pace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import live, off_air, one, rundown
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

SCROLLS = """
(({ scrollHeight, scrollWidth }) => scrollHeight > innerHeight || scrollWidth > innerWidth)
(document.documentElement)
"""

# Where the list of posts begins with the story on air and one that waits, and without them.
POSTS_MOVE = """
(() => {
  const [now, waiting, top] = [
    document.querySelector("#turn-now"), document.querySelector("#turns"),
    () => document.querySelector("#queue").getBoundingClientRect().top,
  ];
  now.querySelector(".turn-title a").textContent = "A headline of two lines, as most of them are";
  waiting.replaceChildren(now.firstElementChild.cloneNode(true));
  const before = top();
  now.replaceChildren();
  waiting.replaceChildren();
  return [before, top()];
})()
"""


@pytest.fixture
def on_air(studio: Studio) -> Iterator[str]:
    session = live(studio, "Control room")
    eventually("a story airs", lambda: studio.stats(session)["story_count"] > 0)
    yield session
    off_air(studio, session)


def test_the_desk_fits_one_screen_and_each_pane_scrolls_alone(
    owner: Page, studio: Studio, on_air: str
) -> None:
    owner.set_viewport_size({"width": 1440, "height": 900})
    owner.goto(f"{studio.url}/broadcast/{on_air}/")
    expect(owner.locator("#onair h3")).to_be_visible()
    for pane in ("On air", "Producer", "Health"):
        owner.get_by_role("radio", name=pane).check()
        assert not owner.evaluate(SCROLLS), pane
    box = owner.locator(".studio-queue").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 900
    # Without a story on air, and without one that waits, the posts stay where they are.
    with_stories, without = owner.evaluate(POSTS_MOVE)
    assert abs(with_stories - without) <= 8


@pytest.mark.slow
def test_the_monitor_shows_what_the_overlay_shows(owner: Page, studio: Studio, on_air: str) -> None:
    assert studio.call("PATCH", f"/api/sessions/{on_air}", {"visible": True}).status == 200
    address = studio.get(f"/sessions/{on_air}")["watch_url"].split("/watch/")[1]
    overlay = owner.context.new_page()
    overlay.goto(f"{studio.url}/watch/{address}overlay/")
    owner.goto(f"{studio.url}/broadcast/{on_air}/")
    monitor = owner.frame_locator(".monitor iframe")
    for _ in range(2):
        title = owner.locator("#onair h3").inner_text()
        expect(monitor.locator(".lower-title")).to_have_text(title)
        expect(overlay.locator(".lower-title")).to_have_text(title)
        story = next(s for s in studio.items(on_air, "stories") if s["title"] == title)
        owner.locator(f"#pull-{story['id']}").click()
        expect(owner.locator("#onair h3")).not_to_have_text(title)
    overlay.close()


@pytest.mark.slow
def test_a_session_without_a_public_link_has_a_monitor(
    owner: Page, studio: Studio, on_air: str
) -> None:
    owner.goto(f"{studio.url}/broadcast/{on_air}/monitor/?theme=light&sound=1")
    expect(owner.locator(".lower-title")).to_be_visible()
    expect(owner.locator(".overlay")).to_have_attribute("data-theme", "light")
    # The desk has the sound of the page itself, and two voices at once would be one too many.
    expect(owner.locator(".overlay")).to_have_attribute("data-sound", "0")


def test_an_opened_post_stays_open_when_the_list_changes(
    owner: Page, studio: Studio, on_air: str
) -> None:
    owner.goto(f"{studio.url}/broadcast/{on_air}/")
    first, second, *_ = rundown(studio, on_air)
    owner.locator(f"#post-{second} summary").click(position={"x": 20, "y": 10})
    expect(owner.locator(f"#post-{second} .parts")).to_be_visible()
    expect(owner.locator(f"#post-{first} .parts")).to_be_hidden()
    owner.locator(f"#post-{first}").get_by_role("button", name="Hold").click()
    eventually("it is held", lambda: one(studio, "stories_sourcepost", first)["state"] == "held")
    expect(owner.locator(f"#post-{second} .parts")).to_be_visible()


@pytest.mark.slow
def test_the_chosen_pane_is_remembered_and_its_link_opens_it(
    owner: Page, studio: Studio, on_air: str
) -> None:
    owner.goto(f"{studio.url}/broadcast/{on_air}/")
    owner.get_by_role("radio", name="Health").check()
    owner.reload()
    expect(owner.get_by_role("radio", name="Health")).to_be_checked()
    expect(owner.locator("#health")).to_be_visible()
    owner.goto(f"{studio.url}/stats/")
    owner.goto(f"{studio.url}/broadcast/{on_air}/#chat")
    expect(owner.get_by_label("Message to the producer")).to_be_visible()


@pytest.mark.slow
def test_the_pace_is_set_where_one_hears_it(
    owner: Page, studio: Studio, on_air: str, page_errors: list[str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{on_air}/")
    pace = owner.get_by_label("Pace")
    pace.fill("240")
    pace.press("Enter")

    def paced() -> bool:
        return bool(studio.get(f"/sessions/{on_air}")["settings"]["pace"] == 240)

    eventually("the pace is 240", paced)
    pace.fill("7000")
    owner.evaluate("document.querySelector('.pace').noValidate = true")
    pace.press("Enter")
    expect(owner.locator("#refusal")).to_have_text("Pace must be at most 6000.")
    assert paced()
    page_errors[:] = [text for text in page_errors if "422" not in text]
