"""Each page's answer time in a newsroom of 1,000 sessions and 1,000,000 stories."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from tests.bench.figure import Figure, percentile
from tests.endtoend.studio_process import PASSWORD, ROOT, Studio, running

SESSIONS, STORIES, LARGEST = 1000, 1_000_000, 100_000
TIMES = 40
MOST_MS = 60
PAGES = (
    "/sessions/",
    "/sessions/?q=Evening+77",
    "/sessions/{}/",
    "/broadcast/{}/",
    "/broadcast/{}/threads/",
    "/broadcast/{}/chain/",
    "/stats/?session={}",
    "/stats/?session={}&size=60",
    "/market/?session={}",
    "/market/?session={}&kind=source",
    "/drafting/?session={}",
    "/sessions/{}/search/?q=ferry+storm",
    "/sessions/{}/search/?q=comet&tone=analysis",
    "/docs/",
    "/account/",
    "/settings/",
    "/broadcast/{}/trace/",
    "/settings/stories/",
)
PUBLIC = ("", "overlay/", "feed.atom", "feed.json", "podcast.xml")


def measure(folder: Path) -> Iterator[Figure]:
    with running(folder / "var") as studio:
        large, usual = fill(studio)
        shown = studio.call("PATCH", f"/api/sessions/{large}", {"visible": True}).body
        watch = "/watch/" + shown["watch_url"].split("/watch/")[1]
        browser = Browser(studio)
        for session, size in ((large, f"{LARGEST:,}"), (usual, "900")):
            for page in PAGES:
                name = f"{page.format('…')} with {size} stories"
                yield _figure(browser, page.format(session), name)
        for page in PUBLIC:
            yield _figure(browser, watch + page, f"/watch/…/{page} with {LARGEST:,} stories")


def fill(studio: Studio) -> tuple[str, str]:
    """The ids of the largest session and of a usual one."""
    script = f"from tests.bench.newsroom import fill\nfill({SESSIONS}, {STORIES}, {LARGEST})"
    filled = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", script],
        cwd=ROOT,
        env=studio.env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    large, usual = filled.stdout.split()[-2:]
    return large, usual


def _figure(browser: Browser, path: str, name: str) -> Figure:
    for _ in range(3):
        browser.timed(path)
    times = [browser.timed(path) for _ in range(TIMES)]
    return Figure(f"{name}, p95", percentile(times, 0.95), MOST_MS, "ms")


class Browser:
    """One signed-in connection that is kept open, as a browser's is."""

    def __init__(self, studio: Studio) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
        self._cookies: dict[str, str] = {}
        _, page = self._ask("GET", "/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None
        form = {"username": "studio", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        status, _ = self._ask("POST", "/login/", urlencode(form), studio.url)
        assert status == 302, status

    def _ask(self, method: str, path: str, body: str = "", origin: str = "") -> tuple[int, str]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, text

    def timed(self, path: str) -> float:
        """Milliseconds from the request to the last byte of its answer."""
        begun = time.perf_counter()
        status, _ = self._ask("GET", path)
        took = 1000 * (time.perf_counter() - begun)
        assert status == 200, (path, status)
        return took
