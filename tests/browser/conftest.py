"""A real Chromium for the tests in this folder, and pages that tolerate no error."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.utils import timezone
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.endtoend.studio_process import PASSWORD, Studio, migrated, running
from tests.provision.browser import find_or_install_chromium
from tests.standins.anthropic import AnthropicStandIn

RECORDING = {"kind": "recording", "locator": "demo"}
# How long a page may take to show something or to be loaded: only a failure waits that long.
TIMEOUT = 1000 * int(os.environ.get("SMNB_TEST_PAGE_SECONDS", "60"))  # milliseconds
expect.set_options(timeout=TIMEOUT)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # All tabs of one context, empty ones too, share a process, which starts once.
    "--process-per-site",
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    # Nobody is there to say that this tab may be shared.
    "--auto-accept-this-tab-capture",
    # As in streaming software, a sound needs no click.
    "--autoplay-policy=no-user-gesture-required",
]
PEOPLE = ("rita", "pete", "ines")
CONTEXT: dict[str, Any] = {
    "locale": "en-US",
    "color_scheme": "dark",
    "reduced_motion": "reduce",
    "viewport": {"width": 1280, "height": 900},
}
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", event => console.error(
  `content security policy: ${event.violatedDirective} refused ${event.blockedURI || "inline"}`
  + ` at ${event.sourceFile}:${event.lineNumber}`));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    path = find_or_install_chromium()
    if path is None:
        pytest.fail("No Chromium: set CHROMIUM=/path/to/chromium to run the browser tests.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def model() -> Iterator[AnthropicStandIn]:
    """Whom the studio asks in Anthropic's place, once somebody has given it a key."""
    with AnthropicStandIn() as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, model: AnthropicStandIn) -> Iterator[Studio]:
    """One running studio for all browser tests; it speaks the stories of visible sessions."""
    data = migrated(tmp_path_factory.mktemp("studio") / "var")
    keys = {"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": model.url}
    # Many sessions are on air for the length of a test, and each reading takes processor time.
    with running(data, SMNB_SPEECH="auto", SMNB_POLL_SECONDS="1", **keys) as found:
        yield found


@pytest.fixture(scope="session")
def told(studio: Studio) -> dict[str, str]:
    """A published session that has told forty stories of the recording: ids by name."""
    session = studio.create("A long evening", RECORDING, pace=0, model="extractive")
    studio.command(session, "start")
    # Only what is told in public is spoken, which takes longer than telling it.
    studio.wait_stories(session, 30)
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    studio.wait_stories(session, 40)
    studio.command(session, "stop")
    studio.wait_state(session, "idle")
    stories = studio.items(session, "stories")
    thread = next(story["thread"]["id"] for story in stories if story["thread"])
    token = shown["watch_url"].split("/watch/")[1].strip("/")
    story = str(stories[0]["id"])
    return {"session": session, "token": token, "thread": str(thread), "story": story}


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A context of its own, as a private window has; ``options`` are Playwright's."""
    context = browser.new_context(**{**CONTEXT, **options})
    context.set_default_timeout(TIMEOUT)
    return context


def sign_in(page: Page, studio: Studio, name: str = "studio", password: str = PASSWORD) -> None:
    page.goto(f"{studio.url}/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    # Who signs in for the first time is at the guided start.
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto(f"{studio.url}/sessions/")


@contextmanager
def shared_context(browser: Browser, studio: Studio, name: str = "") -> Iterator[BrowserContext]:
    """A context that many tests share, with the cookies of ``name``, who has signed in.

    Its first page stays open: closing the last tab closes the window and ends the process, and
    another window and process cost more processor time than most tests.
    """
    context = new_context(browser)
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    if name:
        sign_in(page, studio, name)
    page.goto(f"{studio.url}/healthz")
    yield context
    context.close()


@contextmanager
def tab(
    request: pytest.FixtureRequest, shared: BrowserContext, page_errors: list[str]
) -> Iterator[Page]:
    """A new page in a shared context, or in one of its own for a test marked ``own_context``.

    A context costs more processor time than most tests, as its first page is another process. Errors
    in the page's console fail the test at its end.
    """

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_errors.append(message.text)

    context = shared
    if request.node.get_closest_marker("own_context"):
        assert shared.browser is not None
        context = new_context(shared.browser, storage_state=shared.storage_state())
        context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: page_errors.append(str(error)))
    yield page
    if context is not shared:
        context.close()
    for each in shared.pages[1:]:
        each.close()
    assert page_errors == []


@pytest.fixture(scope="session")
def owner_context(browser: Browser, studio: Studio) -> Iterator[BrowserContext]:
    with shared_context(browser, studio, "studio") as context:
        yield context


@pytest.fixture
def owner(
    request: pytest.FixtureRequest, owner_context: BrowserContext, page_errors: list[str]
) -> Iterator[Page]:
    """The owner's page, signed in; nothing is opened yet."""
    with tab(request, owner_context, page_errors) as page:
        yield page


@pytest.fixture(scope="session")
def people(studio: Studio) -> tuple[str, str, str]:
    """The names of three who are not on the staff.

    Only the second one changes the password, and the third one has never signed in.
    """
    # Not by a command: starting Django takes longer than most tests.
    # As the studio expects it: the hashes of the suite are quick, and the studio refuses them.
    hasher, now = PBKDF2PasswordHasher(), timezone.now()
    password = hasher.encode(PASSWORD, hasher.salt())
    insert = (
        "INSERT INTO auth_user (username, password, date_joined, first_name, last_name, email,"
        " is_superuser, is_staff, is_active) VALUES (?, ?, ?, '', '', '', 0, 0, 1)"
    )
    with closing(sqlite3.connect(studio.data / "smnb.sqlite3", timeout=60)) as database, database:
        database.executemany(insert, [(name, password, str(now)) for name in PEOPLE])
    return PEOPLE


@pytest.fixture(scope="session")
def member_context(
    browser: Browser, studio: Studio, people: tuple[str, str, str]
) -> Iterator[BrowserContext]:
    with shared_context(browser, studio, people[0]) as context:
        yield context


@pytest.fixture
def person(
    request: pytest.FixtureRequest, member_context: BrowserContext, page_errors: list[str]
) -> Iterator[Page]:
    """The page of somebody who is not on the staff, signed in."""
    with tab(request, member_context, page_errors) as page:
        yield page


@pytest.fixture
def page_errors() -> list[str]:
    """What went wrong in the page; a test that expects an error takes it out of this list."""
    return []


@pytest.fixture(scope="session")
def public_context(browser: Browser, studio: Studio) -> Iterator[BrowserContext]:
    with shared_context(browser, studio) as context:
        yield context


@pytest.fixture
def page(
    request: pytest.FixtureRequest, public_context: BrowserContext, page_errors: list[str]
) -> Iterator[Page]:
    """A page of somebody who has not signed in."""
    with tab(request, public_context, page_errors) as page:
        yield page
