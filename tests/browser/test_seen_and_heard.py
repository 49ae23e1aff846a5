"""The overlay in motion and aloud, and the browser's own voice: what only a real browser can show."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import live, of_session, off_air
from tests.browser.test_audience import airing, begin_story, break_in, publish
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

KEEP_AUDIO = (
    "const Real = Audio; window.Audio = function () { return (window.heard = new Real()); };"
)
# As they are painted: what moves them runs before us in the same frame.
PLACES = """() => new Promise((done) => requestAnimationFrame(() => done(
  [...document.querySelectorAll("#ticker li")].map((item) => {
    const { left, right } = item.getBoundingClientRect();
    return { id: item.id, left, right };
  }))))"""
UNSPOKEN = (
    """() => [...CSS.highlights.get("unspoken")].map((range) => range.toString()).join(" ")"""
)
VOICE = """
window.said = [];
window.voices = [];
Object.defineProperty(window, "speechSynthesis", {value: {
  speak: (utterance) => said.push(utterance), getVoices: () => voices,
  cancel: () => { window.silenced = said.length; }}});
window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
"""
VOICES = [
    {"name": "far", "lang": "so-SO", "localService": False, "default": False},
    {"name": "other", "lang": "en-US", "localService": True, "default": True},
    {"name": "near", "lang": "so-DJ", "localService": True, "default": False},
]


@pytest.fixture
def streaming(page: Page) -> Page:
    """A page as streaming software shows it."""
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.add_init_script(KEEP_AUDIO)
    return page


@pytest.fixture(scope="module")
def published(studio: Studio) -> Iterator[dict[str, str]]:
    session = live(studio, "Late news", language="so")  # the studio has no voice for it
    yield {"session": session, "path": publish(studio, session)}
    off_air(studio, session)


@pytest.fixture
def broadcast(studio: Studio, published: dict[str, str]) -> dict[str, str]:
    """A published session on air, which has just begun a story of a minute."""
    begin_story(studio, published["session"])
    return published


def test_the_overlay_plays_the_story_and_stops_when_it_is_corrected(
    streaming: Page, studio: Studio
) -> None:
    session = live(studio, "Spoken news")
    path = publish(studio, session)
    break_in(studio, session, "The ferry is late")
    streaming.goto(f"{studio.url}{path}overlay/?sound=1")
    streaming.wait_for_function("() => window.heard?.currentTime > 0 && !heard.paused")
    streaming.wait_for_function("() => heard.src.includes('/sounds/') && !heard.paused")
    first = streaming.evaluate("heard.src")
    story = airing(studio, session)
    assert story is not None
    version = {"title": "The ferry is early", "text": "It came at ten. " * 12, "reason": "A slip."}
    path = f"/sessions/{session}/stories/{story['id']}/correction"
    assert studio.post(path, version).status == 200
    streaming.wait_for_function("first => heard.src !== first && !heard.paused", arg=first)
    assert len(of_session(studio, "broadcast_sound", session)) >= 2
    off_air(studio, session)
    streaming.wait_for_function("() => heard.paused")


# A browser that wants a click first, in a tab that was listening before it was loaded again.
REFUSE = """
sessionStorage.setItem("voice", "on");
window.plays = 0;
HTMLMediaElement.prototype.play = () => {
  window.plays += 1;
  return Promise.reject(new DOMException("", "NotAllowedError"));
};
"""


@pytest.mark.slow
def test_the_watch_page_is_heard_in_time_with_its_words_after_the_identification(
    streaming: Page, studio: Studio
) -> None:
    session = live(studio, "Identified news")
    path = publish(studio, session)
    break_in(studio, session, "The ferry is late")
    streaming.emulate_media(reduced_motion="no-preference")
    streaming.goto(studio.url + path)
    expect(streaming.locator("#onair h2")).to_have_text("The ferry is late")
    streaming.get_by_role("button", name="Listen").click()
    streaming.wait_for_function("() => window.heard?.currentTime > 0 && !heard.paused")
    assert streaming.evaluate("heard.src").endswith("/identification.mp3")
    streaming.wait_for_function("() => /sounds\\/\\d+$/.test(heard.src) && heard.currentTime > 2")
    first = streaming.evaluate("heard.src")
    # It says a sentence twelve times, as long each time, and may be behind the clock of the page.
    streaming.wait_for_timeout(400)
    at, unspoken, rate, seconds = streaming.evaluate(
        f"[heard.currentTime, ({UNSPOKEN})(), heard.playbackRate,"
        " Number(document.getElementById('sound').dataset.seconds)]"
    )
    assert 1 <= rate <= 1.25
    assert 1 - len(unspoken.split()) / 60 == pytest.approx(at / (seconds - 0.8), abs=0.06)
    refusing = streaming.context.new_page()
    refusing.add_init_script(REFUSE)
    refusing.goto(studio.url + path)
    refusing.wait_for_function("() => plays === 1")
    expect(refusing.get_by_role("button", name="Listen")).to_be_visible()
    break_in(studio, session, "The ferry is later still")
    # A new hour would be identified before the second story, which is then heard after that.
    second = "first => heard.src !== first && /sounds\\/\\d+$/.test(heard.src) && !heard.paused"
    streaming.wait_for_function(second, arg=first)
    # What the next story brings is no click either.
    expect(refusing.locator("#onair h2")).to_have_text("The ferry is later still")
    assert refusing.evaluate("plays") == 1
    refusing.close()
    streaming.get_by_role("button", name="Sound on").click()
    assert streaming.evaluate("heard.paused")
    expect(streaming.get_by_role("button", name="Listen")).to_be_visible()
    off_air(studio, session)


@pytest.mark.slow
def test_a_replay_is_heard_at_the_speed_at_which_it_was_told(
    streaming: Page, studio: Studio
) -> None:
    session = live(studio, "Heard again")
    path = publish(studio, session)
    break_in(studio, session, "The ferry is on time")
    streaming.goto(f"{studio.url}{path}overlay/?sound=1")
    streaming.wait_for_function("() => window.heard?.currentTime > 5")
    off_air(studio, session)
    streaming.goto(f"{studio.url}{path}replay/1/")
    story = streaming.locator("a[data-at]", has_text="The ferry is on time")
    story.click()
    expect(streaming.locator("#sound")).to_be_attached()
    assert streaming.evaluate("heard.paused")
    streaming.get_by_role("button", name="Sound").click()
    streaming.wait_for_function("() => heard.currentTime > 0 && !heard.paused")
    streaming.get_by_role("button", name="Pause").click()
    streaming.wait_for_function("() => heard.paused")
    streaming.get_by_label("Speed").select_option("2")
    story.click()
    expect(streaming.locator("#sound")).to_be_attached()
    assert streaming.evaluate("heard.paused")
    streaming.get_by_label("Speed").select_option("1")
    streaming.wait_for_function("() => !heard.paused")
    # A chapter of its episode plays in the player of that page, which names the story.
    episode = f"{path}episodes/1/"
    eventually("it is an episode", lambda: studio.call("GET", episode).status == 200)
    streaming.goto(f"{studio.url}{episode}")
    chapter = streaming.locator("article", has_text="The ferry is on time")
    begins = float(chapter.locator("[data-begins]").get_attribute("data-begins") or "")
    assert begins > 0
    chapter.locator("[data-begins]").click()
    expect(chapter.locator("[aria-current]")).to_be_visible()
    expect(streaming.locator("[data-now]")).to_have_text("The ferry is on time")
    assert streaming.evaluate("document.querySelector('[data-episode]').currentTime") >= begins


@pytest.mark.slow
def test_the_headlines_move_as_one_line(page: Page, studio: Studio) -> None:
    session = live(studio, "Headlines")
    eventually("a story airs", lambda: airing(studio, session))
    page.emulate_media(reduced_motion="no-preference")
    page.goto(f"{studio.url}{publish(studio, session)}overlay/?size=l")
    for number in range(4):
        break_in(studio, session, f"The ferry number {number} is late once more today")
    expect(page.locator("#ticker li")).to_have_count(5)
    before = page.evaluate(PLACES)
    page.wait_for_function(
        "([id, left]) => document.getElementById(id).getBoundingClientRect().left < left - 30",
        arg=[before[-1]["id"], before[-1]["left"]],
    )
    apart(page.evaluate(PLACES))
    break_in(studio, session, "And one that comes meanwhile")
    expect(page.locator("#ticker li")).to_have_count(6)
    apart(page.evaluate(PLACES))
    off_air(studio, session)


def apart(places: list[dict[str, float]]) -> None:
    """No headline lies over another."""
    ordered = sorted(places, key=lambda place: place["left"])
    assert all(a["right"] <= b["left"] for a, b in pairwise(ordered))


@pytest.mark.own_context
def test_an_overlay_that_hears_no_more_clears_the_picture(
    page: Page, studio: Studio, broadcast: dict[str, str], page_errors: list[str]
) -> None:
    page.clock.install()
    page.goto(studio.url + broadcast["path"] + "overlay/")
    expect(page.locator(".lower-title")).to_be_visible()
    page.context.set_offline(True)
    page.clock.run_for(600_000)
    expect(page.locator(".lower-title")).to_be_hidden()
    expect(page.locator("#ticker")).to_be_hidden()
    page.context.set_offline(False)
    page.clock.run_for(1000)
    expect(page.locator("#ticker")).to_be_visible()
    page_errors[:] = [text for text in page_errors if "ERR_INTERNET_DISCONNECTED" not in text]


@pytest.mark.slow
def test_the_voice_speaks_the_language_of_the_session_on_this_machine(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    page.add_init_script(VOICE)
    page.goto(studio.url + broadcast["path"])
    page.evaluate("voices => window.voices.push(...voices)", VOICES)
    assert page.evaluate("said") == []
    page.get_by_role("button", name="Listen").click()
    assert page.evaluate("[said.at(-1).lang, said.at(-1).voice.name]") == ["so", "near"]
    assert page.evaluate("[said[0].lang, said[0].voice.name]") == ["en", "other"]
    assert page.evaluate("said[0].text").startswith("Made by software. Stories here are written")
    assert page.evaluate("said.length") == 2
    story = airing(studio, broadcast["session"])
    assert story is not None
    assert page.evaluate("said.at(-1).text").startswith(f"{story['title']}. ")
    assert story["narrative"].split()[-1] in page.evaluate("said.at(-1).text")
    break_in(studio, broadcast["session"], "The ferry is late")
    page.wait_for_function("() => said.at(-1)?.text.startsWith('The ferry is late. ')")
    page.get_by_role("button", name="Sound on").click()
    assert page.evaluate("silenced === said.length")
    expect(page.get_by_role("button", name="Listen")).to_have_attribute("aria-pressed", "false")


@pytest.mark.slow
def test_a_browser_without_a_voice_says_so(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    page.add_init_script(VOICE)
    page.goto(studio.url + broadcast["path"])
    page.get_by_role("button", name="Listen").click()
    expect(page.get_by_role("button", name="No voice here")).to_be_disabled()


@pytest.mark.slow
def test_a_voice_that_wants_a_click_first_is_offered_again(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    page.add_init_script(VOICE)
    page.goto(studio.url + broadcast["path"])
    page.evaluate("voices => window.voices.push(...voices)", VOICES)
    button = page.locator("[data-voice]")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate("said.at(-1).onerror({error: 'not-allowed'})")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(button).to_be_enabled()


AIR_TIME = """(selector) => {
  const { airedAt, finishAt } = document.querySelector(selector).dataset;
  return [Date.parse(airedAt), Date.parse(finishAt)];
}"""


def at_share(page: Page, selector: str, share: float) -> None:
    """Sets the page's clock to a moment of the story on air: 0 is its beginning, 1 its end."""
    begin, end = page.evaluate(AIR_TIME, selector)
    page.clock.set_fixed_time((begin + (end - begin) * share) / 1000)
    page.wait_for_timeout(400)  # the scripts look every 150 ms


@pytest.mark.own_context
def test_words_brighten_and_captions_follow_at_the_pace_of_speech(
    page: Page, studio: Studio, broadcast: dict[str, str]
) -> None:
    break_in(studio, broadcast["session"], "The ferry is late")
    page.goto(studio.url + broadcast["path"])
    expect(page.locator("#onair h2")).to_have_text("The ferry is late")
    words = (page.locator("#onair [data-reveal]").text_content() or "").split()
    # Not without motion.
    at_share(page, "#onair [data-reveal]", 0.5)
    assert page.evaluate(UNSPOKEN) == ""
    page.emulate_media(reduced_motion="no-preference")
    for share, spoken in ((-0.1, 0), (0.5, len(words) // 2), (0.9, int(len(words) * 0.9))):
        at_share(page, "#onair [data-reveal]", share)
        assert page.evaluate(UNSPOKEN).split() == words[spoken:]
    at_share(page, "#onair [data-reveal]", 1.1)
    assert page.evaluate(UNSPOKEN) == ""
    page.goto(studio.url + broadcast["path"] + "overlay/")
    expect(page.locator(".lower-title")).to_have_text("The ferry is late")
    words = ("It was said at noon. " * 12).split()
    for share, first in ((-0.1, 0), (0.0, 0), (0.45, 20), (0.99, 50), (1.5, 50)):
        at_share(page, ".lower", share)
        caption = page.locator(".lower [data-caption]").text_content() or ""
        # Eleven words at most, and no part of a sentence where two whole ones have ten.
        assert caption.split() == words[first : first + 10]
