"""Every page: no accessibility violation, no sideways scrolling, light, and nothing from elsewhere."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import new_context
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

MOST_BYTES = 180_000
WIDE, NARROW = 1440, 390  # pixels
ONE_OF_EACH_STRUCTURE = (
    "/sessions/",
    "/sessions/{session}/",
    "/start/",
    "/broadcast/{session}/",
    "/stats/?session={session}",
    "/drafting/{session}/{draft}/",
    "/watch/{token}/",
    "/watch/{token}/overlay/",
    "/login/",
)
ALL_OTHERS = (
    "/settings/",
    "/market/?session={session}",
    "/account/",
    "/docs/ai-chain/",
    "/broadcast/{session}/chain/",
    "/sessions/{session}/#tab-share",
    "/sessions/{session}/#tab-sources",
    "/sessions/{session}/#tab-voice",
    "/sessions/{session}/#tab-schedule",
    "/sessions/{session}/#tab-advanced",
    "/sessions/{empty}/",
    "/broadcast/{session}/rundown/",
    "/broadcast/",
    "/broadcast/{empty}/",
    "/broadcast/{session}/threads/",
    "/broadcast/{session}/threads/{thread}/",
    "/sessions/{session}/search/?q=the",
    "/broadcast/{empty}/chain/",
    "/broadcast/{session}/overlay/",
    "/broadcast/{empty}/overlay/?layout=vertical&accent=custom",
    "/broadcast/{session}/artifacts/",
    "/broadcast/{empty}/artifacts/",
    "/docs/artifacts/",
    "/broadcast/{session}/log/",
    "/broadcast/{empty}/log/?text=nowhere",
    "/sessions/{session}/search/?what=posts",
    "/stats/?session={empty}",
    "/market/?session={session}&kind=source",
    "/market/?session={empty}",
    "/drafting/?session={session}",
    "/drafting/{session}/{draft}/?version=2&against=1",
    "/drafting/{session}/{draft}/edit/",
    "/docs/",
    "/needs-you/",
    "/broadcast/{session}/trace/",
    "/broadcast/{empty}/trace/",
    "/settings/stories/",
    "/broadcast/{session}/trace/{story}/",
    "/broadcast/{session}/replay/1/",
    "/watch/{token}/overlay/?layout=full&theme=light",
    "/watch/{token}/replay/1/?at=9999999",
)


SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifts += each.value;
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def places(studio: Studio, told: dict[str, str]) -> dict[str, str]:
    return told | {"empty": studio.create("Nothing yet"), "draft": finished_draft(studio, told)}


def finished_draft(studio: Studio, told: dict[str, str]) -> str:
    """The id of a draft with two versions, the second one by hand."""
    session = told["session"]
    wanted = {"keywords": ["lighthouse", "harbour"], "words": 150}
    path = f"/drafts/{studio.post(f'/sessions/{session}/drafts', wanted).body['id']}"
    eventually("the draft is finished", lambda: studio.get(path)["state"] == "finished")
    by_hand = {"title": "By hand", "text": "The light is lit again."}
    latest = studio.get(path)["version"]
    assert studio.call("PATCH", f"/api{path}", {"version": latest, **by_hand}).status == 200
    return path.rpartition("/")[2]


@pytest.fixture(scope="module")
def signed_in(owner_context: BrowserContext, studio: Studio) -> Iterator[Page]:
    """One signed-in page for all looks at pages, which change nothing."""
    page = owner_context.new_page()
    page.goto(f"{studio.url}/healthz")
    # What other tests chose to see.
    page.evaluate("localStorage.clear()")
    page.add_init_script(SHIFTS)
    yield page
    page.close()


@pytest.fixture(scope="module")
def asset_sizes() -> dict[str, int]:
    """The compressed size of each script and style, by its address."""
    return {}


BY_APPEARANCE = "color-contrast", "link-in-text-block", "scrollable-region-focusable"
# Three rows of each structure stay: axe takes seconds for hundreds that are alike.
THIN_OUT = """() => {
  const name = ({ tagName, classList, dataset: { state, tone, support, health } }) => (
    [tagName, classList, state, tone, support, health].join("."));
  for (const parent of document.querySelectorAll("ul, ol, tbody, main, section, div")) {
    const found = {};
    for (const child of [...parent.children]) {
      if (!["LI", "TR", "ARTICLE"].includes(child.tagName)) continue;
      const inside = new Set([...child.querySelectorAll("*")].map(name));
      const structure = [name(child), ...[...inside].sort()].join();
      found[structure] = (found[structure] ?? 0) + 1;
      if (found[structure] > 3) child.remove();
    }
  }
}"""
NOTE_WHAT_IS_VISIBLE = """() => {
  window.visible = () =>
    [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility());
  window.seen = new Set(visible());
}"""
NEWLY_VISIBLE = """visible().filter((each) => !seen.has(each)
  && (seen.has(each.parentElement) || each.parentElement === document.body))"""


def violations(page: Page, nodes: str = "[document.documentElement]", *rules: str) -> list[str]:
    """What axe, which is loaded in the page, finds in these elements by all its rules or by these."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = page.evaluate(
        f"""(options) => {{
          const nodes = {nodes};
          return nodes.length ? axe.run(nodes, options).then((found) => found.violations) : [];
        }}""",
        options,
    )
    return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]


def check_both_schemes(page: Page) -> None:
    """All rules for everything in the wide window, and for what is visible in the narrow one only.

    The scheme changes colours alone (light-dark() in the tokens) and the width what overlaps and
    what scrolls, so only these rules are left to check in the light scheme: for everything in the
    narrow window and for what is visible in the wide one only.
    """
    for width in (NARROW, WIDE):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(THIN_OUT)
    page.evaluate(AXE_SCRIPT)
    for scheme, width, other, rules in (
        ("dark", WIDE, NARROW, ()),
        ("light", NARROW, WIDE, BY_APPEARANCE),
    ):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        assert violations(page, "[document.documentElement]", *rules) == [], (scheme, width)
        page.evaluate(NOTE_WHAT_IS_VISIBLE)
        page.set_viewport_size({"width": other, "height": 900})
        assert violations(page, NEWLY_VISIBLE, *rules) == [], (scheme, other)


def assets(page: Page) -> set[str]:
    """Addresses of all scripts and styles of the page."""
    found = page.evaluate(
        "[...document.querySelectorAll('script[src], link[rel=stylesheet]')]"
        ".map(each => each.src || each.href)"
    )
    return set(found)


def compressed_size(page: Page, address: str) -> int:
    return len(gzip.compress(page.request.get(address).body()))


@pytest.mark.parametrize(
    "path",
    [*ONE_OF_EACH_STRUCTURE, *(pytest.param(path, marks=pytest.mark.slow) for path in ALL_OTHERS)],
)
def test_a_page_is_accessible_fits_each_window_and_brings_little_and_nothing_from_elsewhere(
    signed_in: Page,
    studio: Studio,
    places: dict[str, str],
    asset_sizes: dict[str, int],
    path: str,
) -> None:
    problems: list[str] = []
    requested: list[str] = []
    note_error = lambda message: problems.append(message.text) if message.type == "error" else None  # noqa: E731
    note_request = lambda request: requested.append(request.url)  # noqa: E731
    signed_in.on("console", note_error)
    signed_in.on("request", note_request)
    signed_in.emulate_media(color_scheme="dark")
    signed_in.set_viewport_size({"width": WIDE, "height": 900})
    signed_in.goto(studio.url + path.format(**places))
    expect(signed_in.locator("body")).to_be_visible()
    # A replay plays at once, and its content changes as it did on air.
    if "#" not in path and not path.endswith("/replay/1/"):
        assert signed_in.evaluate("window.shifts") <= 0.05
    check_both_schemes(signed_in)
    brought = assets(signed_in)
    signed_in.remove_listener("console", note_error)
    signed_in.remove_listener("request", note_request)
    assert problems == []
    assert {urlsplit(address).netloc for address in requested} == {urlsplit(studio.url).netloc}
    for address in brought - asset_sizes.keys():
        asset_sizes[address] = compressed_size(signed_in, address)
    page_size = signed_in.evaluate("performance.getEntriesByType('navigation')[0].encodedBodySize")
    assert page_size + sum(asset_sizes[address] for address in brought) <= MOST_BYTES


@pytest.mark.parametrize(
    "path",
    [
        "/watch/{token}/",
        pytest.param("/sessions/", marks=pytest.mark.slow),
        pytest.param("/stats/?session={session}", marks=pytest.mark.slow),
    ],
)
def test_text_hardly_moves_when_a_slow_typeface_arrives(
    browser: Browser, signed_in: Page, studio: Studio, places: dict[str, str], path: str
) -> None:
    context = new_context(browser, storage_state=signed_in.context.storage_state())
    page = context.new_page()
    page.add_init_script(SHIFTS)
    waiting: list[Route] = []
    page.route("**/*.woff2", lambda route: waiting.append(route))  # noqa: PLW0108
    page.goto(studio.url + path.format(**places), wait_until="commit")
    expect(page.locator("main h1, .watch-bar h1").first).to_be_visible()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert not page.evaluate("document.fonts.check('16px \"SMNB Text\"')")
    for route in waiting:
        route.continue_()
    page.evaluate("() => document.fonts.ready")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert page.evaluate("document.fonts.check('16px \"SMNB Text\"')")
    assert len(waiting) == 2
    assert page.evaluate("window.shifts") <= 0.05
    context.close()


def test_the_bar_shows_the_eight_areas_in_order_and_every_link_answers(
    signed_in: Page, studio: Studio, places: dict[str, str]
) -> None:
    signed_in.goto(f"{studio.url}/broadcast/{places['session']}/")
    links = signed_in.locator(".bar-areas a")
    assert [name.strip() for name in links.all_inner_texts()] == [
        "Session Manager",
        "Broadcast Center",
        "Live Stats",
        "Insight Market",
        "Keyword Drafting",
        "Docs",
        "User Settings",
        "Settings",
    ]
    addresses = [link.get_attribute("href") or "" for link in links.all()]
    for address in addresses:
        answer = signed_in.request.get(urljoin(studio.url, address))
        assert answer.status == 200, address
        assert re.search(r'aria-current="page"', answer.text()), address


def test_the_keyboard_alone_reaches_every_area(signed_in: Page, studio: Studio) -> None:
    signed_in.goto(f"{studio.url}/sessions/")
    seen = []
    for _ in range(12):
        signed_in.keyboard.press("Tab")
        seen.append(signed_in.evaluate("document.activeElement.textContent.trim()"))
    assert seen[0] == "Skip to content"
    for area in ("Session Manager", "Broadcast Center", "Live Stats", "Insight Market", "Docs"):
        assert area in seen
