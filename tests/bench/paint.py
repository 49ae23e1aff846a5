"""How soon pages show their largest element on a slow processor, and how far their parts move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.bench.figure import Figure, percentile
from tests.browser.conftest import ARGUMENTS, sign_in
from tests.endtoend.studio_process import Studio, running
from tests.provision.browser import find_or_install_chromium

TIMES = 7
SLOWER = 4
MOST_MS, MOST_SHIFT = 1000, 0.05
SETTLED_MS = 2500
WINDOWS = ((1440, 900), (390, 844))  # pixels
OBSERVE = """
window.largest = null;
window.shifts = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) largest = entry; })
  .observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
READ = """() => {
  const { tagName, className, textContent } = largest.element ?? document.body;
  return [largest.startTime, shifts, `${tagName} ${className}: ${textContent.trim().slice(0, 40)}`];
}"""


def measure(folder: Path) -> Iterator[Figure]:
    path = find_or_install_chromium()
    assert path is not None, "No Chromium: set CHROMIUM=/path/to/chromium."
    with (
        running(folder / "var", SMNB_DEMO="1") as studio,
        sync_playwright() as playwright,
    ):
        [demo] = studio.get("/sessions")["items"]
        studio.wait_stories(demo["id"], 6)
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        pages = {
            "the desk": f"/broadcast/{demo['id']}/",
            "the watch page": "/watch/" + demo["watch_url"].split("/watch/")[1],
            "the sessions": "/sessions/",
            "the statistics": f"/stats/?session={demo['id']}",
        }
        for width, height in WINDOWS:
            yield from _of_window(browser, studio, pages, width, height)
        browser.close()


def _of_window(
    browser: Browser, studio: Studio, pages: dict[str, str], width: int, height: int
) -> Iterator[Figure]:
    context = browser.new_context(viewport={"width": width, "height": height})
    context.add_init_script(OBSERVE)
    page = context.new_page()
    sign_in(page, studio)
    devtools = context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    for name, path in pages.items():
        times, shifts, element = [], [], ""
        for _ in range(TIMES):
            page.goto(studio.url + path)
            page.wait_for_timeout(SETTLED_MS)
            at, shift, element = page.evaluate(READ)
            times.append(at)
            shifts.append(shift)
        print(f"     largest element of {name} at {width} px: {element}")
        of = f"of {name} at {width} px"
        yield Figure(f"largest paint {of}, median", percentile(times, 0.5), MOST_MS, "ms")
        yield Figure(f"layout shift {of}, worst", max(shifts), MOST_SHIFT, "")
    context.close()
